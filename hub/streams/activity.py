"""What each member did, counted from `ledger.entries`. Pure: a state and a record give a state.

The state names the place in the topic up to which it counts, so a record delivered again changes nothing. It also holds
the head of the ledger, because only a record that extends the head counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hub.errors import HubError
from hub.ledger.head import GENESIS, Head, read_entry
from schemas.codec import from_json, to_json
from schemas.records import Entry, MemberActivity


class StateBehind(HubError):
    """Records between the state and the one at hand are missing; read again from the state's place."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Counts per member of every entry before `next_offset` of `ledger.entries`; `head` is the newest of them."""

    next_offset: int
    head: Head
    members: Mapping[str, MemberActivity]


EMPTY = Activity(0, GENESIS, {})


def take(state: Activity, offset: int, value: bytes | None) -> tuple[Activity, str | None]:
    """Count the record at `offset` once. Also gives the member concerned, whose counts are to be published.

    A repeat leaves the state and still names the member, so that counts whose publication was lost go out again. A
    void record moves the place and nothing else. Raises `StateBehind` when records in between are missing, and
    `LedgerCorrupt` for an entry of a newer hub.
    """
    entry = read_entry(value)
    if offset < state.next_offset:
        known = entry is not None and entry.member in state.members
        return state, entry.member if entry is not None and known else None
    if offset > state.next_offset:
        raise StateBehind(
            f"ledger.entries: offset {offset} came, the counts end before {state.next_offset}; "
            f"read again from {state.next_offset}"
        )
    passed = replace(state, next_offset=offset + 1)
    head = state.head.extended_by(entry, value) if entry is not None and value is not None else None
    if entry is None or head is None:
        return passed, None
    if not entry.member:  # the hub's own: ticks and flags
        return replace(passed, head=head), None
    return fold(replace(passed, head=head), entry), entry.member


def fold(state: Activity, entry: Entry) -> Activity:
    """The counts with one more entry, which the reader has accepted.

    An event counts once in `events` and `by_type`, when the ledger first meets it; an entry that releases a parked
    event (`input_index` above 0) adds to the outcomes alone.
    """
    seen = state.members.get(entry.member) or _nothing_of(entry)
    first_met = int(entry.input_index == 0)
    by_type = dict(seen.by_type)
    if first_met:
        by_type[entry.event_type] = by_type.get(entry.event_type, 0) + 1
    counted = MemberActivity(
        member=entry.member,
        events=seen.events + first_met,
        applied=seen.applied + (entry.outcome == "applied"),
        rejected=seen.rejected + (entry.outcome == "rejected"),
        duplicate=seen.duplicate + (entry.outcome == "duplicate"),
        conflict=seen.conflict + (entry.outcome == "conflict"),
        parked=seen.parked + (entry.outcome == "parked"),
        by_type=by_type,
        first_at=seen.first_at,
        last_at=entry.ledger_at,
        last_seq=entry.seq,
    )
    return replace(state, members={**state.members, entry.member: counted})


def _nothing_of(entry: Entry) -> MemberActivity:
    return MemberActivity(
        entry.member, 0, 0, 0, 0, 0, 0, {}, entry.ledger_at, entry.ledger_at, entry.seq
    )


def to_bytes(state: Activity) -> bytes:
    """The state as JSON, one value, so that it is written whole or not at all."""
    return json.dumps(
        {
            "next_offset": state.next_offset,
            "seq": state.head.seq,
            "hash": state.head.hash.hex(),
            "members": [to_json(counts) for _, counts in sorted(state.members.items())],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def from_bytes(value: bytes | None) -> Activity:
    """The state that `to_bytes` wrote; the empty one for nothing."""
    if value is None:
        return EMPTY
    fields = json.loads(value)
    counts = [from_json(MemberActivity.EVENT, item) for item in fields["members"]]
    return Activity(
        fields["next_offset"],
        Head(fields["seq"], bytes.fromhex(fields["hash"])),
        {item.member: item for item in counts if isinstance(item, MemberActivity)},
    )
