"""What the rules look at, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from hub.domain.reasons import Reason
from hub.domain.things import Thing
from hub.ledger.head import GENESIS, Head
from hub.ledger.posting import Book
from schemas.records import Posting

T = TypeVar("T", bound=Thing)
WaitKey: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """The event takes effect: postings, changed things, who is told, what a person must look at."""

    postings: tuple[Posting, ...] = ()
    changes: tuple[Thing, ...] = ()
    audience: frozenset[str] = frozenset()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The event stays without effect, for ever. `detail` is for developers: found, wanted, next step."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The event waits for a predecessor, named by `key`."""

    key: WaitKey
    reason: Reason
    detail: str


Verdict: TypeAlias = Applied | Rejected | Waiting


class View(Protocol):
    """What a rule may read."""

    @property
    def book(self) -> Book: ...
    @property
    def members(self) -> frozenset[str]: ...
    def find(self, kind: type[T], thing_id: str) -> T | None: ...
    def version(self, domain: str, subject: str, member: str) -> int: ...


class Rule(Protocol):
    """The rule of one event type: the event and what is known -> what becomes of it. Pure."""

    def __call__(self, event: Any, view: View, /) -> Verdict: ...


Rules: TypeAlias = Mapping[str, Rule]


@dataclass(frozen=True, slots=True)
class Seen:
    """The first entry about an event id."""

    event_hash: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Input:
    """One message of `ledger.in`: where it stands, when Kafka took it, what admission wrote."""

    offset: int
    timestamp_ms: int
    event: Any  # the decoded record; it has an envelope
    event_type: str
    value: bytes  # framed event, verbatim
    key_id: str
    signature: bytes
    source_topic: str
    source_partition: int
    source_offset: int
    published_ms: int


@dataclass(slots=True)
class Parked:
    """An input that waits, with the seq of its `parked` entry."""

    input: Input
    seq: int


def waits_for_thing(kind: str, thing_id: str) -> WaitKey:
    """The key of an event that waits for a thing to exist."""
    return ("thing", kind, thing_id)


def waits_for_version(domain: str, subject: str, member: str, version: int) -> WaitKey:
    """The key of an event that waits for an earlier statement of the same member about the same subject."""
    return ("version", domain, subject, member, str(version))


@dataclass(slots=True)
class State:
    """Everything derived from the log so far. Changed only by `hub.ledger.apply`."""

    members: frozenset[str]
    head: Head = GENESIS
    next_input: int = 0
    ledger_ms: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)
    versions: dict[tuple[str, str, str], int] = field(default_factory=dict)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    parked: dict[WaitKey, list[Parked]] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)

    def find(self, kind: type[T], thing_id: str) -> T | None:
        found: T | None = self.things.get(kind.KIND, {}).get(thing_id)
        return found

    def version(self, domain: str, subject: str, member: str) -> int:
        """The newest statement of a member about a subject; 0 before the first."""
        return self.versions.get((domain, subject, member), 0)

    def parked_count(self) -> int:
        return sum(len(waiting) for waiting in self.parked.values())
