"""A bus over lists, an alliance of witnesses, and a ledger log to sign: the transparency log without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hub.transparency.bus import Record
from hub.transparency.files import LogFiles
from hub.transparency.record import Signed, SignerRecord, open_record
from hub.transparency.tree import Publication, SigningLog
from schemas import topics
from schemas.envelope import KIND, Headers
from schemas.members import Alliance, Member
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.merkle import EMPTY_ROOT, verify_consistency
from schemas.tlog.note import Signer, join_note
from schemas.tlog.witness import AddCheckpoint
from tests.support.entries import ledger_values, some_told

ORIGIN = "test.example/ledger"
KEY = Signer(ORIGIN, bytes(range(32)))
SICHUAN = (
    "10610",
    "10611",
    "10614",
    *(f"2{n:04}" for n in range(9)),
)  # 12, three of which write events
CHONGQING = tuple(f"3{n:04}" for n in range(8))
WITNESSES = {
    code: CosignatureSigner(f"u{code}.example/witness", ED25519_COSIGNATURE, bytes([number]) * 32)
    for number, code in enumerate((*SICHUAN, *CHONGQING), 1)
}
ALLIANCE = Alliance(
    "Test Alliance",
    ORIGIN,
    {
        code: Member(
            code, code, code, "Sichuan" if code in SICHUAN else "Chongqing", "-", f"u{code}.example",
            {}, signer.verifier.vkey,
        )
        for code, signer in WITNESSES.items()
    },
    log=KEY.verifier.vkey,
    quorum={"Sichuan": 6, "Chongqing": 5},
)  # fmt: skip
ELEVEN = (*SICHUAN[:6], *CHONGQING[:5])
T0_S = 1_790_000_000


def entries(count: int, seed: int = 1) -> list[bytes]:
    """The framed entries of a log."""
    return ledger_values(some_told(count, seed))


@dataclass(frozen=True, slots=True)
class Read:
    """A record as read."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def as_read(values: Sequence[bytes], start: int = 0) -> list[Read]:
    """Values of `ledger.entries` from an offset on."""
    return [
        Read(topics.LEDGER_ENTRIES, offset, b"", value, [])
        for offset, value in enumerate(values[start:], start)
    ]


@dataclass
class ListBus:
    """Topics as lists. `before_send` and `after_send` may raise, as a crash does."""

    topics: dict[str, list[Read]] = field(default_factory=dict)
    before_send: Callable[[str], None] = lambda _topic: None
    after_send: Callable[[str], None] = lambda _topic: None
    most: int = 2000

    def put(self, topic: str, *records: Record) -> None:
        held = self.topics.setdefault(topic, [])
        for record in records:
            held.append(Read(topic, len(held), record.key, record.value, record.headers))

    def ledger(self, values: Sequence[bytes]) -> None:
        self.put(topics.LEDGER_ENTRIES, *(Record(b"", value, []) for value in values))

    def values(self, topic: str, kind: bytes | None = None) -> list[bytes]:
        return [
            read.value or b""
            for read in self.topics.get(topic, [])
            if kind is None or (KIND, kind) in read.headers
        ]

    @asynccontextmanager
    async def reader(self, *names: str) -> AsyncIterator[ListSource]:
        yield ListSource(self, dict.fromkeys(names, 0))

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[ListSink]:
        yield ListSink(self)


class ListSource:
    def __init__(self, bus: ListBus, at: dict[str, int]) -> None:
        self._bus, self._at = bus, at

    async def batch(self, timeout_ms: int, most: int) -> list[Read]:
        found: list[Read] = []
        for topic, at in self._at.items():
            held = self._bus.topics.get(topic, [])[at : at + min(most, self._bus.most)]
            self._at[topic] = at + len(held)
            found += held
        await asyncio.sleep(0 if found else 0.001)
        return found

    async def begin(self, topic: str) -> int:
        return 0

    async def end(self, topic: str) -> int:
        return len(self._bus.topics.get(topic, []))

    def seek(self, topic: str, offset: int) -> None:
        self._at[topic] = offset


class ListSink:
    def __init__(self, bus: ListBus) -> None:
        self._bus = bus

    async def send(self, topic: str, records: Sequence[Record]) -> None:
        self._bus.before_send(topic)
        self._bus.put(topic, *records)
        self._bus.after_send(topic)


class Crash(Exception):
    """The process died here."""


class CrashingFiles(LogFiles):
    """Dies before the file number `at` is put in place; `at` 0 never."""

    def __init__(self, folder: Path, at: int = 0) -> None:
        super().__init__(folder)
        self.left = at

    def _put(self, path: Path, content: bytes) -> set[Path]:
        self.left -= 1
        if self.left == 0:
            raise Crash(f"before {path}")
        return super()._put(path, content)


class CrashingRecord:
    """Dies before or after a change of the record."""

    def __init__(self, record: SignerRecord, where: str = "") -> None:
        self.record, self.where = record, where

    def newest(self) -> Signed:
        return self.record.newest()

    def advance(self, old: Signed, new: Signed) -> None:
        if self.where == "before":
            raise Crash("before the record")
        self.record.advance(old, new)
        if self.where == "after":
            raise Crash("after the record")


@dataclass
class Bench:
    """A folder, a record and a topic, and what one signer after the other makes of them."""

    files: LogFiles
    record: SignerRecord
    published: list[bytes] = field(default_factory=list)

    @property
    def in_topic(self) -> Checkpoint | None:
        found = [AddCheckpoint.parse(one).checkpoint for one in self.published]
        return max(found, key=lambda one: one.size, default=None)

    def open(self, **changed: object) -> SigningLog:
        given = {
            "key": KEY,
            "files": self.files,
            "record": self.record,
            "in_topic": self.in_topic,
        } | changed
        return SigningLog(**given)  # type: ignore[arg-type]

    def publish(self, signing: SigningLog, publication: Publication | None) -> None:
        if publication is not None:
            self.published.append(publication.request)
            signing.published(publication)

    def run(self, signing: SigningLog, values: Sequence[bytes]) -> None:
        """Read the log from where this signer is, then sign until nothing is left."""
        signing.feed(as_read(values, signing.next_offset))
        while True:
            self.publish(signing, signing.step())
            if not signing.pending:
                return

    def sign(self, values: Sequence[bytes]) -> SigningLog:
        """A signer's whole life."""
        signing = self.open()
        self.run(signing, values)
        return signing

    def assert_chain(self) -> None:
        """Every request leads from the checkpoint before it, and no size has two roots."""
        size, root = 0, EMPTY_ROOT
        for body in self.published:
            request = AddCheckpoint.parse(body)
            checkpoint = open_checkpoint(request.note, [KEY.verifier])[0]
            assert request.old_size == size
            assert checkpoint.size > size
            verify_consistency(size, checkpoint.size, root, checkpoint.root, request.proof)
            size, root = checkpoint.size, checkpoint.root


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with open_record(f"sqlite:///{folder / 'signer.db'}", ORIGIN) as record:
        yield Bench(LogFiles(folder / "tlog"), record)


def cosigned(note: bytes, witness: str, signer: CosignatureSigner | None = None) -> Record:
    """What a witness puts into `ledger.cosignatures` for a checkpoint."""
    text = open_checkpoint(note, [KEY.verifier])[1].text
    line = (signer or WITNESSES[witness]).cosign(text, T0_S)
    return Record(witness.encode(), join_note(text, [line]), [])


def other_key(signer: Signer) -> Signer:
    return replace(signer, seed=bytes(32))
