"""Pieces to test connectors with: a clock that jumps, a hub in memory, a fuse that kills at a chosen moment.

Importable by private kinds too. `Case` is what a kind brings (its `conformance.py`), `Rig` puts it to work, and
`tests/conformance` asks the same questions of every kind.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from connectors.sdk.config import FILE, Config, load_config
from connectors.sdk.contract import Transient
from connectors.sdk.kafka import Inbox, Incoming, Message
from connectors.sdk.outgoing import envelope_of, event_of
from connectors.sdk.private import PrivateSettings, RandomBytes, Vault
from connectors.sdk.private_store import PrivateStore
from connectors.sdk.runtime import Connector
from connectors.sdk.state import State
from connectors.sdk.testing_log import FakeLog
from schemas import envelope, topics
from schemas.codec import decode, encode, from_json
from schemas.records import Heartbeat, Outcome, Promise, Receipts, Record
from schemas.signing import Signer, new_signer

US, THEM = "10611", "10610"
START = datetime(2026, 9, 1, 0, 0, tzinfo=UTC)
_SETTLE_ROUNDS = 40  # turns of the event loop after which only sleepers are left


class FakeClock:
    """A clock that stands still while anyone works, then jumps to the next sleeper's time."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = itertools.count()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        await self._timer(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        both = (self._timer(seconds), asyncio.ensure_future(event.wait()))
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()

    def _timer(self, seconds: float) -> asyncio.Future[None]:
        timer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._number), timer))
        return timer

    async def until(self, done: Callable[[], bool], within_s: float = 600) -> bool:
        """Let everyone work, jumping in time, until `done()`; False when that takes longer than `within_s`."""
        last = self._elapsed_s + within_s
        while True:
            for _ in range(_SETTLE_ROUNDS):
                await asyncio.sleep(0)
                if done():
                    return True
            if not self._sleepers or self._sleepers[0][0] > last:
                return False
            at, _, timer = heapq.heappop(self._sleepers)
            self._elapsed_s = max(at, self._elapsed_s)
            if not timer.done():
                timer.set_result(None)


class Killed(BaseException):
    """The process is gone. Not an `Exception`: nothing may answer it."""


class Fuse:
    """Counts the moments at which a process could die, and dies at the chosen one; then nothing has effects."""

    def __init__(self, burns_at: int = 0) -> None:
        self.burns_at = burns_at
        self.passed: list[str] = []
        self.burnt = False

    def point(self, name: str) -> None:
        """A moment between two effects."""
        self.passed.append(name)
        if self.burnt or len(self.passed) == self.burns_at:
            self.burnt = True
            raise Killed(name)


class _FusedState(State):
    """A state file whose process may die just before or just after a commit.

    What a process has written outlives it without reaching the disk, so nothing here waits for one.
    """

    SYNCHRONOUS = "OFF"

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        self._fuse.point("before commit")
        with super()._transaction() as db:
            yield db
        self._fuse.point("after commit")


class _FusedStore(PrivateStore):
    """A file of private parts whose process may die just before or just after a commit."""

    SYNCHRONOUS = "OFF"

    def __init__(self, path: Path, member: str, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path, member)

    def _begin(self) -> None:
        self._fuse.point("before private commit")
        super()._begin()

    def _commit(self) -> None:
        super()._commit()
        self._fuse.point("after private commit")


def _fused_vault(
    settings: PrivateSettings | None, fuse: Fuse, random_bytes: RandomBytes
) -> Vault | None:
    if settings is None:
        return None
    store = _FusedStore(settings.path, settings.member, fuse)
    return Vault(settings, store, random_bytes)


class FakeHub:
    """The hub in memory, as a `Bus`: admits, decides, answers and delivers like the real one, at once.

    `decide` says the outcome of an event the first time it is seen. `silent` keeps answers back, `repeats` puts every
    message into the inbox twice, as a hub that crashed would. With a `log` it enters what it decides, promises it before
    and sends receipts after it; `withhold` keeps the receipts back.
    """

    def __init__(
        self, decide: Callable[[Record], str] = lambda _: "applied", log: FakeLog | None = None
    ) -> None:
        self.decide = decide
        self.log = log
        self.withhold = False
        self.cosignatures: list[Message] = []
        self.silent = False
        self.repeats = False
        self.down = False
        self.published: list[Record] = []  # every copy that reached a member's outbox topic
        self.applied: list[str] = []  # event ids, each once, in the order of the ledger
        self.heartbeats: list[Heartbeat] = []
        self.payloads: dict[str, bytes] = {}
        self.fuse = Fuse()
        self._inboxes: dict[str, list[Incoming]] = {}
        self._news_of: tuple[asyncio.AbstractEventLoop, asyncio.Condition] | None = None
        self._known: dict[str, bytes] = {}
        self._bytes: dict[str, bytes] = {}
        self._seq = 0

    @property
    def news(self) -> asyncio.Condition:
        """What readers of inboxes wait for; one for each event loop, since a test may run several lives in turn."""
        loop = asyncio.get_running_loop()
        if self._news_of is None or self._news_of[0] is not loop:
            self._news_of = loop, asyncio.Condition()
        return self._news_of[1]

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Take messages one by one: a kill may come between any two."""
        self.fuse.point("before publish")
        await asyncio.sleep(0)
        if self.down:
            raise Transient("no broker answers; it is down for this test")
        if topic == topics.COSIGNATURES:
            for message in messages:
                self.cosignatures.append(message)
                self.fuse.point("while publishing")
            return
        if topic == topics.PRIVATE:
            await self._keep_payloads(messages)
            return
        for message in messages:
            record = decode(message.value)
            if isinstance(record, Heartbeat):
                self.heartbeats.append(record)
            else:
                self.published.append(record)
                await self._admit(topics.owner(topic) or "", record, message)
            self.fuse.point("while publishing")

    async def _keep_payloads(self, messages: Sequence[Message]) -> None:
        """The private topic, as it was written; `payloads` is what compaction leaves of it."""
        box = self._inboxes.setdefault(topics.PRIVATE, [])
        for message in messages:
            box.append(Incoming(len(box), message.value, []))
            self.payloads[message.key.decode()] = message.value
            self.fuse.point("while publishing")
        async with self.news:
            self.news.notify_all()

    async def _admit(self, member: str, record: Record, message: Message) -> None:
        event_id = envelope_of(record).event_id
        self._bytes[event_id] = message.value
        known = self._known.setdefault(event_id, message.value)
        if known is not message.value:
            outcome = "duplicate" if known == message.value else "conflict"
        else:
            outcome = self.decide(record)
        if outcome == "applied":
            self.applied.append(event_id)
        if self.log is not None and outcome != "refused":
            said = self.log.promise(member, [message.value])
            await self._put(member, encode(said), [(envelope.KIND, b"promise")])
        if not self.silent:
            await self.answer(member, record, outcome)

    async def answer(self, member: str, record: Record, outcome: str) -> None:
        """Put an outcome (or a refusal) into a member's inbox."""
        about = envelope_of(record)
        refused = outcome == "refused"
        if not refused:
            await self._enter(member, record, self._bytes[about.event_id], outcome)
        said = Outcome(
            event_id=about.event_id,
            event_type=record.EVENT,
            subject=about.subject,
            outcome=outcome,
            seq=None if refused else self._seq,
            refers_to=None,
            about_seq=None,
            about_version=None,
            reason=None if outcome == "applied" else "TEST",
            developer_message="",
            user_message_zh="",
            user_message_en="",
            next_actor=None,
            retryable=False,
            retry_when="",
            source_topic=topics.outbox(member),
            source_partition=0,
            source_offset=len(self.published) - 1,
            decided_at=START,
        )
        headers = [(envelope.KIND, b"refusal" if refused else b"outcome")]
        if not refused:
            headers.append((envelope.LEDGER_SEQ, str(self._seq).encode()))
        await self._put(member, encode(said), headers)
        if self.log is not None and not refused and not self.withhold:
            await self.receipts(member, self.log.receipts([self._seq - 1]))

    async def receipts(self, member: str, receipts: Receipts) -> None:
        """Put receipts into a member's inbox, whatever they prove."""
        await self._put(member, encode(receipts), [(envelope.KIND, b"receipts")])

    async def promise(self, member: str, said: Promise) -> None:
        """Put a promise into a member's inbox, whoever made it."""
        await self._put(member, encode(said), [(envelope.KIND, b"promise")])

    async def _enter(self, member: str, record: Record, value: bytes, outcome: str) -> None:
        """The next entry of the ledger, and its checkpoint for the witnesses."""
        self._seq += 1
        if self.log is not None:
            self.log.enter(member, record, value, outcome)
            await self.checkpoint(self.log.publish())

    async def checkpoint(self, body: bytes) -> None:
        """Publish a checkpoint for the witnesses, whatever it says."""
        box = self._inboxes.setdefault(topics.CHECKPOINTS, [])
        box.append(Incoming(len(box), body, [(envelope.KIND, b"checkpoint")]))
        async with self.news:
            self.news.notify_all()

    async def deliver(self, member: str, record: Record, signer: Signer) -> None:
        """Put another member's event into a member's inbox, signed by `signer`."""
        event = event_of(record, signer)
        await self._enter(envelope_of(record).member, record, event.value, "applied")
        headers = [
            *event.headers,
            (envelope.KIND, b"event"),
            (envelope.LEDGER_SEQ, str(self._seq).encode()),
        ]
        await self._put(member, event.value, headers)

    async def flag(self, member: str, event_id: str, record: Record, kind: bytes = b"flag") -> None:
        """Put the flag of a case into a member's inbox; under another `kind`, something newer than this SDK."""
        await self._enter("", record, encode(record), "applied")
        headers = [
            ("ce_id", event_id.encode()),
            (envelope.KIND, kind),
            (envelope.LEDGER_SEQ, str(self._seq).encode()),
        ]
        await self._put(member, encode(record), headers)

    async def _put(self, member: str, value: bytes, headers: envelope.Headers) -> None:
        box = self._inboxes.setdefault(topics.inbox(member), [])
        for _ in range(2 if self.repeats else 1):
            box.append(Incoming(len(box), value, headers))
        async with self.news:
            self.news.notify_all()

    def delivered(self, member: str) -> int:
        """How many messages a member's inbox holds."""
        return len(self._inboxes.get(topics.inbox(member), ()))

    def inbox(self, topic: str, position: int) -> Inbox:
        """Open a member's inbox at a position."""
        return _FakeInbox(self, self._inboxes.setdefault(topic, []), position)


class _FakeInbox:
    def __init__(self, hub: FakeHub, box: list[Incoming], position: int) -> None:
        self._hub, self._box, self._position = hub, box, position

    async def take(self, limit: int) -> Sequence[Incoming]:
        async with self._hub.news:
            await self._hub.news.wait_for(lambda: len(self._box) > self._position)
        self._hub.fuse.point("inbox taken")
        taken = self._box[self._position : self._position + limit]
        self._position += len(taken)
        return taken


@dataclass(slots=True)
class Case:
    """A campus of one kind that a test can make things happen at.

    `tables` is the TOML of its source and sink tables, `mappings` its mapping files. `happen(n)` makes n changes and
    `spoil()` one that cannot be mapped; both None for a kind without source. `to_tell()` counts the events that must
    reach the ledger. `told` are the keys of the deliveries the
    campus applied, each time it applied one; `poison` are event ids it will not take; `fault(mode, times)` makes the
    campus misbehave that often in one of `faults`.
    """

    tables: str
    mappings: Mapping[str, str] = field(default_factory=dict)
    transport: Any = None
    happen: Callable[[int], None] | None = None
    spoil: Callable[[], None] | None = None
    to_tell: Callable[[], int] = lambda: 0
    told: list[str] | None = None
    poison: set[str] = field(default_factory=set)
    faults: tuple[str, ...] = ()
    fault: Callable[[str, int], None] = lambda mode, times: None


class Rig:
    """A connector of a case on a fake hub. Each `life` is one process on the same folder."""

    def __init__(self, folder: Path, case: Case, hub: FakeHub | None = None) -> None:
        self.case = case
        self.clock = FakeClock()
        self.hub = hub or FakeHub()
        self._random = random.Random(7)  # noqa: S311, keys that a test can make again
        self.signers = write_alliance(folder, log=self.hub.log)
        self.config = write_folder(folder, case)

    async def life(
        self, until: Callable[[], bool], *, fuse: Fuse | None = None, within_s: float = 600
    ) -> bool:
        """Run until `until()`, then end the process: by cancelling it, or as the fuse has it. Whether it came true."""
        fuse = self.hub.fuse = fuse or Fuse()
        state = _FusedState(self.config.state_path, fuse)
        inbox = self.hub.inbox(topics.inbox(US), state.inbox_position()[0])
        vault = _fused_vault(self.config.private, fuse, self._random.randbytes)
        connector = Connector(
            self.config,
            state,
            self.hub,
            inbox,
            self.clock,
            random.Random(7),  # noqa: S311, jitter that repeats
            self.case.transport,
            vault=vault,
            payloads=self.hub.inbox(topics.PRIVATE, vault.store.position()) if vault else None,
            checkpoints=self.hub.inbox(topics.CHECKPOINTS, state.checkpoints_position()),
        )
        running = asyncio.ensure_future(connector.run())
        try:
            return await self.clock.until(lambda: running.done() or until(), within_s) and not (
                running.done() and not until()
            )
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, BaseExceptionGroup, Killed):
                await running
            state.close()
            if vault is not None:
                vault.store.close()

    def reload(self) -> None:
        """Read the folder again, after a test changed a file."""
        self.config = load_config(self.config.folder, {})

    def state(self) -> State:
        """The state file, between lives."""
        return State(self.config.state_path)

    def quiet(self) -> bool:
        """Whether nothing is under way: no event without outcome, no message of the inbox left."""
        state = State(self.config.state_path, readonly=True)
        try:
            left = self.hub.delivered(US) - state.inbox_position()[0]
            return left == 0 and state.counts()["outbox_events"] == 0
        finally:
            state.close()


def write_alliance(
    folder: Path, codes: Sequence[str] = (US, THEM), log: FakeLog | None = None
) -> dict[str, Signer]:
    """An alliance with test keys: `alliance.toml` and `<code>.key` in the folder; with a log, its witnesses too."""
    signers = {code: new_signer(code.encode().ljust(32, b".")) for code in codes}
    text = '[alliance]\nname = "Test"\norigin = "test.example/ledger"\n'
    for code, signer in signers.items():
        (folder / f"{code}.key").write_bytes(signer.pem())
        public = base64.b64encode(signer.public).decode()
        text += (
            f'\n[[member]]\ncode = "{code}"\nname_en = "U{code}"\nname_zh = "U{code}"\nregion = "Sichuan"\n'
            f'city = "-"\ndomain = "u{code}.example"\n[[member.key]]\npublic = "{public}"\n'
        )
        reading = X25519PrivateKey.from_private_bytes(code.encode().ljust(32, b"."))
        (folder / f"{code}.encryption").write_bytes(base64.b64encode(reading.private_bytes_raw()))
        sealing = base64.b64encode(reading.public_key().public_bytes_raw()).decode()
        text += f'[member.encryption]\npublic = "{sealing}"\n'
        if log is not None:
            (folder / f"{code}.witness").write_text(log.witnesses[code].private_text, "ascii")
            text += log.member_table(code)
    text += "" if log is None else log.tables()
    (folder / "alliance.toml").write_text(text, encoding="utf-8")
    return signers


def write_folder(
    folder: Path, case: Case, *, code: str = US, bootstrap: str = "127.0.0.1:1"
) -> Config:
    """A campus folder for a case; the alliance's files are in it, or beside it."""
    folder.mkdir(exist_ok=True)
    files = "." if (folder / "alliance.toml").exists() else ".."
    (folder / "mapping").mkdir(exist_ok=True)
    for name, text in case.mappings.items():
        (folder / "mapping" / name).write_text(text, encoding="utf-8")
    head = (
        f'[member]\ncode = "{code}"\nname = "campus"\nkey = {{ file = "{files}/{code}.key" }}\n'
        f'alliance = "{files}/alliance.toml"\n'
        f'[kafka]\nbootstrap = "{bootstrap}"\n'
    )
    (folder / FILE).write_text(f"{head}\n{case.tables}", encoding="utf-8")
    return load_config(folder, {})


OFFERING_MAPPING = """
[event]
type = "offering.changed"
[envelope]
event_id = "eventId"
occurred_at = "at"
recorded_at = "at"
aggregate_version = "version"
[fields]
offering_id = { path = "id", required = true }
host = { member = true }
"course.member" = { member = true }
"course.course_code" = { path = "id", required = true }
titles = { each = "titles", fields = { lang = "lang", value = "value" } }
term = { path = "start", required = true, convert = "term" }
mode = { const = "online" }
"credits.scheme" = { const = "cn_credit" }
"credits.value" = { path = "credits", required = true, convert = "decimal" }
capacity = { const = 30 }
teachers = { const = [] }
joint_members = { const = [] }
status = { const = "active" }
"""


def offering_row(number: int, **changes: Any) -> dict[str, Any]:
    """A campus's row that `OFFERING_MAPPING` understands; `credits="many"` makes it one it does not."""
    return {
        "number": number,
        "eventId": f"00000000-0000-4000-8000-{number:012d}",
        "id": f"course-{number}",
        "at": "2026-09-01T08:00:00Z",
        "version": 1,
        "titles": [{"lang": "en", "value": f"Course {number}"}],
        "start": "2026-09-07",
        "credits": 2.5,
    } | changes


def their_request(number: int, home: str = THEM, host: str = US) -> Record:
    """An enrollment another member asks us for."""
    enrollment = f"enrollment-{number}"
    about = {
        "event_id": f"10000000-0000-4000-8000-{number:012d}",
        "source": f"urn:alliance:member:{home}:campus",
        "member": home,
        "subject": enrollment,
        "partition_key": enrollment,
        "occurred_at": "2026-09-01T08:00:00Z",
        "recorded_at": "2026-09-01T08:00:00Z",
        "aggregate_version": 1,
    }
    return from_json(
        "enrollment.requested",
        {
            "envelope": about,
            "enrollment_id": enrollment,
            "student_id": f"urn:alliance:student:{home}:{number}",
            "home": home,
            "host": host,
            "offering_id": "course-1",
            "term": {"academic_year": "2026-2027", "term_number": 1, "total_terms": 2},
            "activity": "course",
            "delivery": "online",
            "home_active_registration": True,
        },
    )


def case_flag(flag: str = "deadline_near", case_id: str = "enrollment-1") -> Record:
    """A flag of a case of ours."""
    return from_json(
        "hub.case-flagged",
        {
            "flag": flag,
            "case_kind": "enrollment",
            "case_id": case_id,
            "state": "pending",
            "next_actors": [US],
            "due_at": "2026-09-04T00:00:00Z",
            "cause_seq": 1,
            "message_en": "3 days left to decide on this request.",
            "message_zh": "该申请须在 3 天内作出决定。",
            "flagged_at": "2026-09-01T00:00:00Z",
        },
    )
