"""What is left of a student after an erasure: pure, over entries and payloads that the caller reads.

An erasure holds when five things do: the home university said it under its signature (`NOT_ERASED`, `NOT_BY_HOME`); it names
every data key that the student's private parts were sealed with (`KEY_NOT_LISTED`); no payload of the student is left in what
the caller could read (`PAYLOAD_LEFT`); the events with their commitments still stand in the tree that was signed before
(`OTHER_ROOT`); and the tree signed afterwards begins with it (`NOT_CONSISTENT`).

It cannot show that nobody kept a copy of a key, a backup or what was once deciphered: that is for contracts, see decision 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hub.ledger.head import GENESIS, read_entry
from schemas.codec import decode
from schemas.records import (
    CreditAwarded,
    EnrollmentRequested,
    Entry,
    MemberKeyChanged,
    StudentErased,
)
from schemas.signing import Verifier
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import Frontier, leaf_hash, verify_consistency
from schemas.topics import payload_key

_WITH_PRIVATE_PART = ("enrollment.requested", "credit.awarded")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an erasure does not hold. `name` is one of those in the module's docstring."""

    name: str
    place: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.name}: {self.place}: found {self.found}, wanted {self.wanted}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. Sequence numbers are those of the entries; `payloads_seen` counts what could be read of any student."""

    student_id: str
    entries: int
    erased_seqs: tuple[int, ...]
    committed_seqs: tuple[int, ...]
    keys_used: tuple[str, ...]
    keys_listed: tuple[str, ...]
    payloads_seen: int
    payloads_left: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class _Found:
    erased: list[int] = field(default_factory=list)
    committed: list[int] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    tree: Frontier = field(default_factory=Frontier)
    roots: dict[int, bytes] = field(default_factory=dict)


def check_erasure(
    student_id: str,
    entries: Iterable[bytes],
    payloads: Iterable[tuple[str, bytes | None]],
    verifier: Verifier,
    *,
    before: Checkpoint | None = None,
    after: Checkpoint | None = None,
    proof: Sequence[bytes] | None = None,
) -> Report:
    """Whether a student is erased, as far as entries and payloads show it.

    `entries` are the framed records of the log from its first on; void ones are passed over. `payloads` are key and value of
    `private.payloads` in the order of the topic; no value, or an empty one, erases. `verifier` has the first keys of the
    alliance and learns those that the entries add. `before` and `after` are checkpoints whose signatures the caller has
    checked, `proof` their consistency proof; without them that part is not looked at.
    """
    found = _Found()
    sizes = {checkpoint.size for checkpoint in (before, after) if checkpoint is not None}
    for entry, value in _counted(entries):
        found.tree = found.tree.extend([leaf_hash(value)])
        if found.tree.size in sizes:
            found.roots[found.tree.size] = found.tree.root()
        _look(student_id, entry, verifier, found)
    if not found.erased:
        found.problems.append(
            Problem("NOT_ERASED", student_id, "no applied student.erased of its home", "one")
        )
    for key, seq in found.used.items():
        if found.erased and key not in found.listed:
            found.problems.append(
                Problem("KEY_NOT_LISTED", f"entry {seq}", f"a private part under key {key}", "a key that student.erased lists")
            )  # fmt: skip
    seen, left = _left(student_id, payloads)
    for key in left:
        found.problems.append(
            Problem("PAYLOAD_LEFT", key, "a payload", "an empty message, or nothing")
        )
    found.problems += _tree_problems(found, before, after, proof)
    return Report(
        student_id, found.tree.size, tuple(found.erased), tuple(found.committed), tuple(found.used),
        tuple(sorted(found.listed)), seen, tuple(left), tuple(found.problems),
    )  # fmt: skip


def _counted(entries: Iterable[bytes]) -> Iterator[tuple[Entry, bytes]]:
    """Those that count, by the ledger's reading rule."""
    head = GENESIS
    for value in entries:
        entry = read_entry(value)
        extended = head.extended_by(entry, value) if entry is not None else None
        if entry is not None and extended is not None:
            head = extended
            yield entry, value


def _look(student_id: str, entry: Entry, verifier: Verifier, found: _Found) -> None:
    """A private part was sent whatever became of its event; keys change and students are erased by what was applied."""
    if entry.event_type not in _WITH_PRIVATE_PART and (
        entry.outcome != "applied"
        or entry.event_type not in ("student.erased", "member.key-changed")
    ):
        return
    event = decode(entry.event)
    if isinstance(event, MemberKeyChanged):
        if _signed(entry, event.code, verifier):
            _change_keys(event, verifier)
    elif isinstance(event, StudentErased) and event.student_id == student_id:
        if _signed(entry, event.home, verifier) and student_id.startswith(
            f"urn:alliance:student:{event.home}:"
        ):
            found.erased.append(entry.seq)
            found.listed |= set(event.key_ids)
        else:
            owner = verifier.owner(entry.key_id)
            found.problems.append(
                Problem("NOT_BY_HOME", f"entry {entry.seq}", f"key {entry.key_id} of {owner}", f"a valid signature of {event.home}, the student's home")
            )  # fmt: skip
    elif (
        isinstance(event, EnrollmentRequested | CreditAwarded)
        and event.student_id == student_id
        and event.private is not None
    ):
        found.committed.append(entry.seq)
        found.used.setdefault(event.private.key_id, entry.seq)


def _change_keys(event: MemberKeyChanged, verifier: Verifier) -> None:
    gone = event.key_id if event.action == "revoke" else event.replaces
    if gone is not None and verifier.owner(gone) == event.code:
        verifier.remove(gone)
    if event.public_key:
        verifier.add(event.key_id, event.code, event.public_key)


def _signed(entry: Entry, member: str, verifier: Verifier) -> bool:
    owner = verifier.owner(entry.key_id)
    return owner == member and verifier.valid(entry.key_id, entry.event, entry.signature)


def _left(student_id: str, payloads: Iterable[tuple[str, bytes | None]]) -> tuple[int, list[str]]:
    """How many messages there were, and the student's keys whose newest message has a value."""
    live: dict[str, bool] = {}
    seen = 0
    for key, value in payloads:
        seen += 1
        if key.startswith(payload_key(student_id, "")):
            live[key] = bool(value)
    return seen, [key for key, alive in live.items() if alive]


def _tree_problems(
    found: _Found,
    before: Checkpoint | None,
    after: Checkpoint | None,
    proof: Sequence[bytes] | None,
) -> Iterator[Problem]:
    for said, checkpoint in (("before", before), ("after", after)):
        if checkpoint is None:
            continue
        root = found.roots.get(checkpoint.size, Frontier().root() if not checkpoint.size else None)
        if root is None:
            shown = f"{found.tree.size} entries"
            yield Problem("OTHER_ROOT", f"checkpoint {said}", shown, f"{checkpoint.size} entries")
        elif root != checkpoint.root:
            yield Problem("OTHER_ROOT", f"checkpoint {said} of size {checkpoint.size}", root.hex(), checkpoint.root.hex())  # fmt: skip
    if before is not None and after is not None and proof is not None:
        try:
            verify_consistency(before.size, after.size, before.root, after.root, proof)
        except Forged as error:
            yield Problem("NOT_CONSISTENT", error.place, error.found, error.wanted)
