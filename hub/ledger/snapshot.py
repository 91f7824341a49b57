"""The ledger's state as bytes and back, so that a start need not recompute the log.

Owns the format and every check that needs no Kafka; files and the look into the log are in `hub.flow.snapshots`. A
snapshot is a shortcut, never a source: whoever cannot use one reads the log from its start and gets the same state.

Layout: a line that names the format, a line of JSON (`Mark`), pieces (8 bytes of length, then a pickle), and SHA-256 over
all before it. A pickle makes millions of small objects without a line of Python each; ours makes values of the ledger's own
classes only and calls nothing else.
The digest tells what broke, not who wrote: whoever may write the folder may decide what a hub starts with.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from itertools import islice
from typing import Any

from hub.errors import HubError
from hub.ledger.audit import Audit
from hub.ledger.balances import balances_root
from hub.ledger.head import Head
from hub.ledger.seen import SeenIds
from hub.ledger.state import State
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import Frontier

FORMAT = b"alliance ledger snapshot 1\n"
_CHUNK = 20_000  # rows of a piece: what a pickle remembers while it is read stays small
_LENGTH_BYTES = 8
_DIGEST_BYTES = 32
_OURS = ("hub.domain.", "hub.ledger.", "hub.recognition.", "hub.events.", "schemas.records")
_VALUES = (Counter, Decimal, SeenIds, date, datetime, timedelta, timezone)
_TABLES = frozenset({"book", "changed_at", "seen", "things", "versions"})  # of a state, in pieces


class SnapshotUnfit(HubError):
    """A snapshot that cannot be used, and why. An older one may do; the log always does."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a snapshot is of. `offset` is where the newest entry stands in `ledger.entries`, reading goes on behind it.

    `rules` names the rules that made the state; `frontier` is the tree over all entries so far.
    """

    seq: int
    hash: bytes
    offset: int
    frontier: Frontier
    balances_root: bytes
    members: tuple[str, ...]
    rules: str

    def to_line(self) -> bytes:
        said = {
            "seq": self.seq,
            "hash": self.hash.hex(),
            "offset": self.offset,
            "frontier": self.frontier.to_bytes().hex(),
            "balances_root": self.balances_root.hex(),
            "members": self.members,
            "rules": self.rules,
        }
        return json.dumps(said).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Mark:
        """Raises `SnapshotUnfit`."""
        try:
            said = json.loads(line)
            frontier = Frontier.from_bytes(bytes.fromhex(said["frontier"]))
            mark = cls(
                int(said["seq"]),
                bytes.fromhex(said["hash"]),
                int(said["offset"]),
                frontier,
                bytes.fromhex(said["balances_root"]),
                tuple(said["members"]),
                str(said["rules"]),
            )
        except (ValueError, TypeError, KeyError, RecursionError, Forged) as error:
            raise SnapshotUnfit(f"its first lines cannot be read: {error}") from error
        if mark.frontier.size != mark.seq:
            raise SnapshotUnfit(f"its tree has {mark.frontier.size} entries, its ledger {mark.seq}")
        return mark


def mark_of(state: State, offset: int, frontier: Frontier, rules: str) -> Mark:
    """The mark of a state whose newest entry stands at `offset`. Everything its input made must be in the log already."""
    members = tuple(sorted(state.members))
    root = balances_root(state.book)
    return Mark(state.head.seq, state.head.hash, offset, frontier, root, members, rules)


def dump(state: State, mark: Mark) -> Iterator[bytes]:
    """The bytes of a snapshot, part by part. The state must not change meanwhile."""
    return _sealed(mark, _state_pieces(state))


def dump_audit(audit: Audit, mark: Mark) -> Iterator[bytes]:
    """What an auditor has added up by that place of the log, in the same layout."""
    return _sealed(mark, _audit_pieces(audit))


def read_mark(data: bytes) -> Mark:
    """What a snapshot says it is of; nothing else of it is checked yet. Raises `SnapshotUnfit`."""
    if not data.startswith(FORMAT):
        raise SnapshotUnfit(f"it begins with {data[: len(FORMAT)]!r}, wanted {FORMAT!r}")
    end = data.find(b"\n", len(FORMAT))
    if end < 0:
        raise SnapshotUnfit(f"it ends after {len(data)} bytes, before its second line does")
    return Mark.from_line(data[len(FORMAT) : end])


def load(data: bytes) -> State:
    """The state, checked against its digest, its mark and its balances root. Raises `SnapshotUnfit`."""
    mark = read_mark(data)
    state: State | None = None
    try:
        for name, content in _opened(data):
            if name == "state":
                state = State(**content)
            elif state is not None:
                _fill(state, name, content)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SnapshotUnfit(f"its pieces are not those of a state: {error}") from error
    if state is None or state.head != Head(mark.seq, mark.hash):
        raise SnapshotUnfit(f"its state is not that of entry {mark.seq}")
    root = balances_root(state.book)
    if root != mark.balances_root or tuple(sorted(state.members)) != mark.members:
        raise SnapshotUnfit(
            f"its balances have root {root.hex()}, its mark says {mark.balances_root.hex()}"
        )
    return state


def load_audit(data: bytes, mark: Mark) -> Audit:
    """What an auditor had added up at the same place. Raises `SnapshotUnfit`."""
    if read_mark(data) != mark:
        raise SnapshotUnfit(f"its audit is not that of entry {mark.seq}")
    audit = Audit()
    for name, content in _opened(data):
        if not hasattr(audit, name):
            raise SnapshotUnfit(f"it has a piece {name!r}, which no audit has")
        known = getattr(audit, name)
        if isinstance(known, dict):
            dict.update(known, content)
        else:
            setattr(audit, name, content)
    return audit


def _state_pieces(state: State) -> Iterator[tuple[str, Any]]:
    yield (
        "state",
        {f.name: getattr(state, f.name) for f in fields(State) if f.name not in _TABLES},
    )
    yield "seen", state.seen
    yield from (("versions", chunk) for chunk in _chunks(state.versions))
    for kind, things in state.things.items():
        for chunk in _chunks(things):
            yield "things", (kind, chunk, [state.changed_at[kind, name] for name in chunk])
    yield from (("balances", chunk) for chunk in _chunks(state.book.balances))
    yield from (("pendings", chunk) for chunk in _chunks(state.book.pendings))


def _fill(state: State, name: str, content: Any) -> None:
    if name == "seen":
        state.seen = content
    elif name == "versions":
        state.versions.update(content)
    elif name == "things":
        kind, chunk, seqs = content
        state.things.setdefault(kind, {}).update(chunk)
        state.changed_at.update(zip(((kind, name) for name in chunk), seqs, strict=True))
    elif name == "balances":
        state.book.balances.update(content)
    elif name == "pendings":
        state.book.pendings.update(content)
    else:
        raise SnapshotUnfit(f"it has a piece {name!r}, which this hub does not know")


def _audit_pieces(audit: Audit) -> Iterator[tuple[str, Any]]:
    for item in fields(Audit):
        value = getattr(audit, item.name)
        if isinstance(value, dict):
            yield from ((item.name, chunk) for chunk in _chunks(value))
        else:
            yield item.name, value


def _chunks(table: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    rows = iter(table.items())
    while chunk := dict(islice(rows, _CHUNK)):
        yield chunk


def _sealed(mark: Mark, pieces: Iterable[tuple[str, Any]]) -> Iterator[bytes]:
    digest = sha256()
    for part in _parts(mark, pieces):
        digest.update(part)
        yield part
    yield digest.digest()


def _parts(mark: Mark, pieces: Iterable[tuple[str, Any]]) -> Iterator[bytes]:
    yield FORMAT
    yield mark.to_line()
    for piece in pieces:
        sink = _Sink()
        _Pickler(sink, protocol=5).dump(piece)
        yield sum(map(len, sink.parts)).to_bytes(_LENGTH_BYTES, "big")
        yield from sink.parts


def _opened(data: bytes) -> Iterator[tuple[str, Any]]:
    """The pieces of what `_sealed` made; the digest is checked before the first."""
    end = len(data) - _DIGEST_BYTES
    view = memoryview(data)
    if sha256(view[:end]).digest() != view[end:]:
        raise SnapshotUnfit(f"its {len(data)} bytes do not have the SHA-256 at their end")
    at = data.find(b"\n", len(FORMAT)) + 1
    while at < end:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(view[at:start], "big")
        try:
            name, content = _Unpickler(_Source(view[start:at])).load()
        except (
            pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError, TypeError, ValueError,
        ) as error:  # fmt: skip
            raise SnapshotUnfit(f"a piece at byte {start} cannot be read: {error}") from error
        yield name, content


def _is_ours(found: object) -> bool:
    """Values: of the ledger's own frozen classes, enums and tuples, and a few of Python's."""
    return isinstance(found, type) and (
        found in _VALUES
        or (
            found.__module__.startswith(_OURS)
            and (is_dataclass(found) or issubclass(found, (Enum, tuple)))
        )
    )


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """A dataclass as a call of its class: what frozen classes with slots do by themselves runs in Python, field by field."""
        kind = type(value)
        if kind is SeenIds:
            return kind, (value.names, value.facts)
        if is_dataclass(kind):
            return kind, tuple(getattr(value, item.name) for item in fields(kind) if item.init)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_OURS) or module in ("collections", "datetime", "decimal"):
            found = super().find_class(module, name)
            if _is_ours(found):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value of the ledger")


class _Sink:
    """Where a pickler writes: no file."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: Any) -> int:
        self.parts.append(bytes(part))
        return len(part)


class _Source:
    """What an unpickler reads: a piece in memory."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        end = len(self._data) if count < 0 else self._at + count
        found = bytes(self._data[self._at : end])
        self._at += len(found)
        return found

    def readline(self) -> bytes:
        """Protocol 5 has no lines; a pickle of an older one has no place here."""
        raise pickle.UnpicklingError("a line in a piece; it was written by another program")
