"""`alliance run signer`: follows the ledger, keeps its files, signs checkpoints and publishes them.

Owns reading, pacing and publishing; what is signed, and what never is, stands in `tree`. One signer works; a second one ends
with `AnotherSigner`, by the lock on the folder or by the record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from hub.errors import LedgerCorrupt, SettingsError
from hub.transparency.bus import Bus, Record, Sink, Source, backwards
from hub.transparency.files import LogFiles
from hub.transparency.record import SignerRecord, open_record
from hub.transparency.tree import Publication, SigningLog
from schemas import topics
from schemas.envelope import KIND, header
from schemas.members import Alliance
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint
from schemas.tlog.errors import Forged
from schemas.tlog.note import Signer, Verifier
from schemas.tlog.witness import AddCheckpoint

log = structlog.get_logger("signer")

KIND_CHECKPOINT = b"checkpoint"
KIND_WITNESSED = b"witnessed"
EVERY_S = 1.0  # between two checkpoints, unless many entries wait
MANY = 256  # entries, one bundle
SOONEST_S = 0.2  # between two checkpoints in any case: each one is cosigned by every member
BATCH = 2000


def load_key(path: Path, alliance: Alliance) -> Signer:
    """The key that signs checkpoints. Raises `SettingsError` when it cannot be read or is not the alliance's."""
    try:
        key = Signer.from_private_text(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} holds no log key ({error}); run: alliance members keygen --hub --out {path.parent}, "
            "or set ALLIANCE_HUB_KEYS"
        ) from error
    if key.verifier.vkey != alliance.log:
        raise SettingsError(
            f"{path} is the key {key.verifier.vkey}, the alliance configuration names {alliance.log or 'none'} as "
            "[log] checkpoint_key; use the key that belongs to it, or run: alliance members keygen --hub"
        )
    return key


async def run_signer(
    bus: Bus, key: Signer, folder: Path, database_url: str, stop: asyncio.Event
) -> None:
    """Sign until `stop` is set.

    Raises `AnotherSigner` when somebody else signs, `LedgerCorrupt` when what it should sign contradicts what was signed.
    """
    files = LogFiles(folder)
    with files.locked(), open_record(database_url, key.name) as record:
        async with bus.reader(topics.LEDGER_ENTRIES) as reader, bus.writer() as sink:
            await _follow(reader, sink, await _open(bus, key, files, record), stop)


async def _open(bus: Bus, key: Signer, files: LogFiles, record: SignerRecord) -> SigningLog:
    async with bus.reader(topics.CHECKPOINTS) as reader:
        in_topic = await newest_checkpoint(reader, key.verifier)
    signing = await asyncio.to_thread(SigningLog, key, files, record, in_topic)
    if signing.why_rebuilt:
        log.warning("files_made_anew", why=signing.why_rebuilt, size=signing.signed.size)
    return signing


async def newest_checkpoint(reader: Source, verifier: Verifier) -> Checkpoint | None:
    """The largest checkpoint of the log near the end of the topic; what the log did not sign is passed over."""
    async for messages in backwards(reader, topics.CHECKPOINTS):
        found = [
            checkpoint
            for message in messages
            if header(message.headers, KIND) == KIND_CHECKPOINT
            and (checkpoint := _checkpoint_in(message.value, verifier)) is not None
        ]
        if found:
            return max(found, key=lambda checkpoint: checkpoint.size)
    return None


def _checkpoint_in(value: bytes | None, verifier: Verifier) -> Checkpoint | None:
    try:
        return open_checkpoint(AddCheckpoint.parse(value or b"").note, [verifier])[0]
    except Forged:
        return None


async def _follow(reader: Source, sink: Sink, signing: SigningLog, stop: asyncio.Event) -> None:
    end = await reader.end(topics.LEDGER_ENTRIES)
    begin = await reader.begin(topics.LEDGER_ENTRIES)
    position = signing.next_offset
    if not begin <= position <= max(end - 1, 0):
        raise LedgerCorrupt(
            f"ledger.entries has the offsets {begin} to {end - 1}, the signer's record ends at {position}; "
            "entries that were signed are gone: restore the topic before anything is signed"
        )
    reader.seek(topics.LEDGER_ENTRIES, position)
    log.info("signing", size=signing.signed.size, from_offset=position)
    pace = Pace(time.monotonic)
    await _sign(signing, sink)  # what a crash left unsaid
    while not stop.is_set():
        messages = await reader.batch(pace.wait_ms(signing.pending), BATCH)
        signing.feed(messages)
        if messages:
            position = messages[-1].offset + 1
        if signing.told and signing.behind is None:
            continue
        if signing.behind is not None or pace.due(signing.pending):
            await _sign(signing, sink)
            pace.signed()
        if signing.behind is not None and position >= end and not signing.pending:
            raise LedgerCorrupt(
                f"ledger.entries ends with entry {signing.size}, {signing.behind.size} entries were signed with root "
                f"{signing.behind.root.hex()}; restore the topic before anything is signed"
            )


async def _sign(signing: SigningLog, sink: Sink) -> None:
    while True:
        before = signing.pending
        publication = await asyncio.to_thread(signing.step)
        if publication is not None:
            await publish(sink, publication)
            await asyncio.to_thread(signing.published, publication)
            log.info("signed", size=publication.checkpoint.size, void=signing.void)
        if signing.pending in (0, before):
            return


async def publish(sink: Sink, publication: Publication) -> None:
    """Tell witnesses and collectors."""
    record = Record(
        publication.checkpoint.origin.encode(), publication.request, [(KIND, KIND_CHECKPOINT)]
    )
    await sink.send(topics.CHECKPOINTS, [record])


class Pace:
    """When to sign: at most every second, sooner where many entries wait, and at once after a quiet time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last = now() - EVERY_S

    def signed(self) -> None:
        """A checkpoint was signed just now."""
        self._last = self._now()

    def due(self, pending: int) -> bool:
        """Whether to sign now, with so many entries waiting."""
        return self._left_s(pending) <= 0

    def wait_ms(self, pending: int) -> int:
        """How long to wait for more entries."""
        return max(1, min(500, int(1000 * self._left_s(pending)) + 1)) if pending else 500

    def _left_s(self, pending: int) -> float:
        return self._last + (SOONEST_S if pending >= MANY else EVERY_S) - self._now()
