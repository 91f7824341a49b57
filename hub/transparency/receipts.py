"""`alliance run receipts`: collects cosignatures, and tells members what a quorum has seen.

For each checkpoint that has enough cosignatures: receipts to the inboxes first, then the checkpoint with its cosignatures to
the topic, then the file. A crash between two of them repeats what came before; receipts may be repeated. The position is the
newest such checkpoint in the topic or, after a change of the policy, in the folder. A second collector does no harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import httpx
import structlog

from hub.errors import LedgerCorrupt, RetryLater, SettingsError
from hub.transparency.bus import Bus, Message, Record, Sink, Source, backwards
from hub.transparency.files import WITNESSED, LogFiles
from hub.transparency.http_witness import HttpWitness
from hub.transparency.proofs import Parcels, receipts, witnessed_checkpoint
from hub.transparency.quorum import Candidate, Quorum, Witnessed
from hub.transparency.signer import KIND_CHECKPOINT, KIND_WITNESSED
from schemas import topics
from schemas.envelope import KIND, header
from schemas.members import Alliance
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint
from schemas.tlog.errors import Forged, Malformed
from schemas.tlog.merkle import consistency_proof
from schemas.tlog.policy import Policy
from schemas.tlog.proof import verify_checkpoint
from schemas.tlog.tiles import TileReader
from schemas.tlog.witness import AddCheckpoint

log = structlog.get_logger("receipts")

KIND_RECEIPTS = b"receipts"
COSIGNATURES_BACK = (
    5000  # messages looked at again after a start: at least the last 250 checkpoints of 20 members
)
BATCH = 2000
REPORT_S = 60.0
FILES_AGAIN_S = 1.0
TARGET_S = 5.0  # half of what a witness behind HTTP has to answer


class Collector:
    """What arrives from the topics, and what follows from it. `members` have an inbox."""

    def __init__(
        self, policy: Policy, origin: str, files: LogFiles, members: Collection[str]
    ) -> None:
        self.quorum = Quorum(policy, origin)
        self._policy, self._origin, self._files, self._members = policy, origin, files, members

    def take(self, messages: Iterable[Message]) -> None:
        """Take messages of both topics in. Nothing that anybody sends stops it but a second root of one size."""
        for message in messages:
            try:
                self._take(message)
            except Forged as broken:
                self._refuse(message, broken)

    def _take(self, message: Message) -> None:
        value = message.value or b""
        if message.topic == topics.COSIGNATURES:
            self.quorum.cosign(_sender(message), value)
            return
        kind = header(message.headers, KIND)
        if kind == KIND_CHECKPOINT:
            self.quorum.propose(AddCheckpoint.parse(value).note)
        elif kind == KIND_WITNESSED:
            self._witnessed(verify_checkpoint(value, self._policy).checkpoint, value)

    def _witnessed(self, checkpoint: Checkpoint, note: bytes) -> None:
        """The topic has it: everything up to it is told. The file follows the topic."""
        if checkpoint.origin != self._origin:
            raise Malformed("origin of a witnessed checkpoint", checkpoint.origin, self._origin)
        self.quorum.witnessed(checkpoint.size)
        held = witnessed_checkpoint(self._files)
        if held is None or held[0].size < checkpoint.size:
            self._files.write({WITNESSED: note})

    def go_on_behind_file(self) -> None:
        """Take for told what the folder has as witnessed, under whatever policy that was. Raises `LedgerCorrupt`.

        The topic alone would not do: after a change of the policy its older cosignatures are no quorum any more, and all
        receipts would be sent again.
        """
        note = self._files.read_if_there(WITNESSED)
        if note is None:
            return
        try:
            checkpoint, _ = open_checkpoint(note, self._policy.log_verifiers(self._origin))
        except Forged as broken:
            raise LedgerCorrupt(
                f"{self._files.folder / WITNESSED} is not a checkpoint of {self._origin}: {broken}; this folder is another "
                "log's, or the file is damaged: name the right ALLIANCE_TLOG, or take the file away"
            ) from broken
        self.quorum.witnessed(checkpoint.size)

    def _refuse(self, message: Message, broken: Forged) -> None:
        sender = _sender(message)
        count = self.quorum.refused[sender]
        if message.topic != topics.COSIGNATURES or count & (count - 1) == 0:  # 1, 2, 4, 8, ...
            log.warning(
                "refused", topic=message.topic, offset=message.offset, member=sender, count=count, why=str(broken)
            )  # fmt: skip

    async def tell(self, sink: Sink, found: Witnessed) -> int:
        """Send the receipts, publish the checkpoint, write its file. Returns how many receipts.

        Raises `LedgerCorrupt` when the files are not the signed tree, `FileNotFoundError` when some are not there yet.
        """
        sent = await self._send_receipts(sink, found)
        record = Record(self._origin.encode(), found.note, [(KIND, KIND_WITNESSED)])
        await sink.send(topics.CHECKPOINTS, [record])
        self._witnessed(found.checkpoint, found.note)
        return sent

    async def _send_receipts(self, sink: Sink, found: Witnessed) -> int:
        parcels, sent = Parcels(found.note), 0
        try:
            for member, receipt in receipts(self._files, found.checkpoint, self.quorum.size):
                if member not in self._members:
                    continue
                sent += 1
                full = parcels.add(member, receipt)
                if full is not None:
                    await self._to_inboxes(sink, [(member, full)])
        except Forged as broken:
            raise LedgerCorrupt(
                f"the files under {self._files.folder} are not the tree of size {found.checkpoint.size}: {broken}; "
                "delete the file it names and start the signer again, which makes it anew"
            ) from broken
        await self._to_inboxes(sink, list(parcels.rest()))
        return sent

    async def _to_inboxes(self, sink: Sink, messages: Sequence[tuple[str, bytes]]) -> None:
        await asyncio.gather(
            *(
                sink.send(
                    topics.inbox(member),
                    [Record(self._origin.encode(), value, [(KIND, KIND_RECEIPTS)])],
                )
                for member, value in messages
            )
        )

    def prove(self, candidate: Candidate, old_size: int) -> tuple[bytes, ...]:
        """Consistency proof for a witness that is asked. Raises `Forged` and `FileNotFoundError`."""
        checkpoint = candidate.checkpoint
        reader = TileReader(self._files.read, checkpoint.size, checkpoint.root)
        return consistency_proof(old_size, checkpoint.size, reader.read_hash)

    def report(self) -> None:
        """Say who is missed, when something waits for a quorum."""
        newest = self.quorum.newest
        if newest is not None:
            log.warning(
                "quorum_missing",
                size=newest.size,
                witnessed_size=self.quorum.size,
                quorum=self._policy.quorum,
                missing=list(self.quorum.missing()),
                refused=dict(self.quorum.refused),
            )


def _sender(message: Message) -> str:
    return (message.key or b"").decode("utf-8", "replace")[:40]


def load_policy(path: str, alliance: Alliance) -> Policy:
    """The alliance's own policy, or that of a C2SP policy file. Raises `SettingsError` when it does not fit the log."""
    if not path:
        return alliance.policy()
    try:
        policy = Policy.parse(Path(path).read_bytes())
    except (OSError, Forged) as error:
        raise SettingsError(
            f"ALLIANCE_POLICY names {path}, which is no policy ({error}); correct it, or take the setting away"
        ) from error
    if not policy.log_verifiers(alliance.origin):
        raise SettingsError(
            f"the policy {path} has no log {alliance.origin}; add a line: log {alliance.log}"
        )
    return policy


async def run_receipts(
    bus: Bus,
    policy: Policy,
    origin: str,
    files: LogFiles,
    members: Collection[str],
    stop: asyncio.Event,
) -> None:
    """Collect until `stop` is set. Raises `LedgerCorrupt` when the log has signed two roots for one size."""
    collector = Collector(policy, origin, files, members)
    async with (
        bus.reader(topics.CHECKPOINTS, topics.COSIGNATURES) as reader,
        bus.writer() as sink,
        httpx.AsyncClient(follow_redirects=False) as client,
    ):
        await find_place(reader, collector)
        target = Target(collector.quorum, time.monotonic)
        log.info("collecting", witnessed_size=collector.quorum.size, quorum=policy.quorum)
        asking = [
            asyncio.create_task(
                _ask(HttpWitness(witness, client, collector.prove), collector.quorum, target)
            )
            for witness in policy.witnesses
            if witness.url
        ]
        try:
            await _collect(reader, sink, collector, asking, stop)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)


async def find_place(reader: Source, collector: Collector) -> None:
    """Take in the ends of both topics: the newest checkpoints, the newest witnessed one, and cosignatures since about then."""
    ends = {topic: await reader.end(topic) for topic in (topics.CHECKPOINTS, topics.COSIGNATURES)}
    begin = await reader.begin(topics.COSIGNATURES)
    collector.go_on_behind_file()
    newest: list[Message] = []
    async for messages in backwards(reader, topics.CHECKPOINTS):
        newest = newest or messages
        witnessed = [one for one in messages if header(one.headers, KIND) == KIND_WITNESSED]
        collector.take(witnessed)
        if collector.quorum.size:
            break
    collector.take(newest)
    reader.seek(topics.CHECKPOINTS, ends[topics.CHECKPOINTS])
    reader.seek(topics.COSIGNATURES, max(begin, ends[topics.COSIGNATURES] - COSIGNATURES_BACK))


async def _collect(
    reader: Source,
    sink: Sink,
    collector: Collector,
    asking: Sequence[asyncio.Task[None]],
    stop: asyncio.Event,
) -> None:
    report_at = time.monotonic() + REPORT_S
    while not stop.is_set():
        collector.take(await reader.batch(500, BATCH))
        for task in asking:
            if task.done():
                task.result()  # raises what ended it
        best = collector.quorum.best()
        if best is not None:
            try:
                sent = await collector.tell(sink, best)
            except FileNotFoundError as error:
                log.warning("files_awaited", size=best.checkpoint.size, why=str(error))
                await asyncio.sleep(FILES_AGAIN_S)
                continue
            log.info(
                "witnessed", size=best.checkpoint.size, witnesses=len(best.witnesses), receipts=sent
            )
            report_at = time.monotonic() + REPORT_S
        if time.monotonic() >= report_at:
            collector.report()
            report_at = time.monotonic() + REPORT_S


class Target:
    """The one checkpoint that all witnesses behind HTTP are asked for at a time.

    Asked each for the newest when it happens to be free, they would cosign different ones, and none would have enough. Once
    it is witnessed, or nobody made it so in time, it is the newest.
    """

    def __init__(self, quorum: Quorum, now: Callable[[], float]) -> None:
        self._quorum, self._now = quorum, now
        self._chosen: Candidate | None = None
        self._chosen_at = 0.0

    def current(self) -> Candidate | None:
        """The checkpoint to ask for, None when there is none."""
        late = self._now() >= self._chosen_at + TARGET_S
        if self._chosen is None or self._chosen.size <= self._quorum.size or late:
            self._chosen, self._chosen_at = self._quorum.newest, self._now()
        return self._chosen


async def _ask(witness: HttpWitness, quorum: Quorum, target: Target) -> None:
    """Offer one witness each checkpoint that all are asked for, for ever."""
    offered: Checkpoint | None = None
    while True:
        wanted = target.current()
        if wanted is None or wanted.checkpoint == offered:
            await asyncio.sleep(0.1)
            continue
        try:
            quorum.add(witness.name, wanted.note.text, await witness.ask(wanted))
            offered = wanted.checkpoint
        except (RetryLater, Forged, FileNotFoundError) as error:
            after_s = error.after_s if isinstance(error, RetryLater) else 10.0
            log.warning("witness_gives_nothing", witness=witness.name, why=str(error))
            await asyncio.sleep(after_s)
