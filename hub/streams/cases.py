"""Open cases: whose turn it is, since when, until when. From `ledger.entries`, pure.

A case is open while the newest change of it names next actors, or since a flag named some after it was closed. Each open
case is one value under its own key, apart from the place up to which they hold, and is written before it. So a crash in
between leaves cases ahead of the place, and the entries from the place on come again:

- a case that is there has the `seq` of its newest entry, and an entry that is not newer changes nothing;
- a case closed in the meantime is not there any more, so an older entry may open it again, with times that are too late.
  Not for good: whatever closed it lies behind the place too, and the reading ends where it had ended before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from hub.errors import LedgerCorrupt
from hub.ledger.head import GENESIS, Head, read_entry
from hub.streams.activity import StateBehind
from schemas.codec import UnknownSchema, Unreadable, decode
from schemas.records import CaseFlagged, Change, Entry, OpenCase
from schemas.topics import case_key

Known: TypeAlias = Callable[[str], OpenCase | None]
Changed: TypeAlias = dict[str, OpenCase | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Every entry before `next_offset` of `ledger.entries` is in the cases; `head` is the newest of them."""

    next_offset: int
    head: Head


FIRST = Place(0, GENESIS)


def follow(
    place: Place, records: Iterable[tuple[int, bytes | None]], known: Known
) -> tuple[Place, Changed]:
    """The place after records (offset and value), and the cases they changed by key; None for a closed one.

    A case that was opened and closed on the way is named too: readers may have it from an earlier count.
    """
    changed: Changed = {}

    def now(key: str) -> OpenCase | None:
        return changed[key] if key in changed else known(key)

    for offset, value in records:
        place, entry = take(place, offset, value)
        if entry is not None:
            changed |= fold(entry, now)
    return place, changed


def take(place: Place, offset: int, value: bytes | None) -> tuple[Place, Entry | None]:
    """The place after a record, and its entry if that counts: not for a repeat, nor for a void record.

    Raises `StateBehind` when records in between are missing, and `LedgerCorrupt` for an entry of a newer hub.
    """
    if offset < place.next_offset:
        return place, None
    if offset > place.next_offset:
        raise StateBehind(
            f"ledger.entries: offset {offset} came, the cases end before {place.next_offset}; "
            f"read again from {place.next_offset}"
        )
    entry = read_entry(value)
    head = place.head.extended_by(entry, value) if entry is not None and value is not None else None
    return Place(offset + 1, head or place.head), entry if head else None


def fold(entry: Entry, known: Known) -> Changed:
    """What an entry, which the reader has accepted, makes of the cases it is about: changes first, then its flag."""
    changed: Changed = {}
    for about in _about(entry):
        key = _key(about)
        before = known(key)
        if before is not None and before.seq >= entry.seq:
            continue
        now = changed.get(key, before)
        after = (
            _turned(now, about, entry) if isinstance(about, Change) else _flagged(now, about, entry)
        )
        if before is None and after is None:
            changed.pop(key, None)  # opened and closed by one entry: nobody ever saw it open
        else:
            changed[key] = after
    return changed


def _about(entry: Entry) -> tuple[Change | CaseFlagged, ...]:
    flag = _flag(entry)
    return entry.changes if flag is None else (*entry.changes, flag)


def _flag(entry: Entry) -> CaseFlagged | None:
    if entry.event_type != CaseFlagged.EVENT:
        return None
    try:
        flag = decode(entry.event)
    except UnknownSchema as error:
        raise LedgerCorrupt(f"entry {entry.seq} was written by a newer hub: {error}") from error
    except Unreadable:
        return None  # a flag that nobody can read is on no case
    return flag if isinstance(flag, CaseFlagged) else None


def _key(about: Change | CaseFlagged) -> str:
    if isinstance(about, Change):
        return case_key(about.kind, about.id)
    return case_key(about.case_kind, about.case_id)


def _turned(before: OpenCase | None, change: Change, entry: Entry) -> OpenCase | None:
    if not change.next_actors:
        return None
    in_state = before is not None and before.state == change.state
    in_turn = in_state and before is not None and before.next_actors == change.next_actors
    return OpenCase(
        kind=change.kind,
        id=change.id,
        state=change.state,
        next_actors=change.next_actors,
        due_at=change.due_at,
        opened_at=before.opened_at if before else entry.ledger_at,
        since=before.since if before and in_turn else entry.ledger_at,
        flag=before.flag if before and in_state else None,
        seq=entry.seq,
    )


def _flagged(before: OpenCase | None, flag: CaseFlagged, entry: Entry) -> OpenCase | None:
    """A flag may ask others than those whose turn it is; it takes the turn from nobody."""
    if before is None:
        return _opened_by(flag, entry) if flag.next_actors else None
    actors = tuple(sorted({*before.next_actors, *flag.next_actors}))
    since = before.since if actors == before.next_actors else entry.ledger_at
    return replace(before, next_actors=actors, since=since, flag=flag.flag, seq=entry.seq)


def _opened_by(flag: CaseFlagged, entry: Entry) -> OpenCase:
    return OpenCase(
        kind=flag.case_kind,
        id=flag.case_id,
        state=flag.state,
        next_actors=flag.next_actors,
        due_at=flag.due_at,
        opened_at=entry.ledger_at,
        since=entry.ledger_at,
        flag=flag.flag,
        seq=entry.seq,
    )


def to_bytes(place: Place) -> bytes:
    """The place as JSON, one value."""
    fields = {
        "next_offset": place.next_offset,
        "seq": place.head.seq,
        "hash": place.head.hash.hex(),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def from_bytes(value: bytes | None) -> Place:
    """The place that `to_bytes` wrote; the first one for nothing."""
    if value is None:
        return FIRST
    fields = json.loads(value)
    return Place(fields["next_offset"], Head(fields["seq"], bytes.fromhex(fields["hash"])))


def open_case(value: bytes | None) -> OpenCase | None:
    """A case as it was written; None for nothing."""
    if value is None:
        return None
    case = decode(value)
    if not isinstance(case, OpenCase):
        raise TypeError(f"the state of a case is a {type(case).__name__}, wanted OpenCase")
    return case
