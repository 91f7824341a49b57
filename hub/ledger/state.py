"""What the rules look at, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from hub.domain.flags import Flag
from hub.domain.keys import MemberKey, named_key
from hub.domain.life import Thing
from hub.domain.reasons import Reason
from hub.ledger.head import GENESIS, Head
from hub.ledger.posting import Book
from hub.ledger.seen import SeenIds
from schemas.records import Posting

T = TypeVar("T", bound=Thing)
WaitKey: TypeAlias = tuple[str, ...]
ThingKey: TypeAlias = tuple[str, str]  # kind, id


@dataclass(frozen=True, slots=True)
class Applied:
    """The event takes effect: postings, changed things, who is told, what a person must look at."""

    postings: tuple[Posting, ...] = ()
    changes: tuple[Thing, ...] = ()
    audience: frozenset[str] = frozenset()
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The event stays without effect, for ever. `detail` is for developers: found, wanted, next step.

    `about` is the thing in the way, `version` the one the sender should have known; both are told to the sender.
    """

    reason: Reason
    detail: str
    about: Thing | None = None
    version: int | None = None


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
    @property
    def now_ms(self) -> int:
        """The ledger's time when it last looked at its clock (a TICK), milliseconds since 1970; 0 before the first."""

    def find(self, kind: type[T], thing_id: str) -> T | None: ...
    def version(self, domain: str, subject: str, member: str) -> int: ...


class Rule(Protocol):
    """The rule of one event type: the event and what is known -> what becomes of it. Pure."""

    def __call__(self, event: Any, view: View, /) -> Verdict: ...


class Overdue(Protocol):
    """What happens to a thing of one kind when its deadline is over. Pure; it moves no value, but may void what is pending."""

    def __call__(self, thing: Any, view: View, /) -> Applied: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides: `decide` by event name, `overdue` by kind of thing.

    A kind without an entry in `overdue` is flagged at its deadline and stays as it is.
    """

    decide: Mapping[str, Rule]
    overdue: Mapping[str, Overdue]


@dataclass(frozen=True, slots=True)
class Input:
    """One message of `ledger.in`: where it stands, when Kafka took it, what admission, the clock or the operators wrote."""

    offset: int
    timestamp_ms: int
    event: Any  # the decoded record: a member's event, which has an envelope, a Tick or a Close
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
    """An input that waits, with its event's hash, and the seq and the ledger time of its `parked` entry."""

    input: Input
    event_hash: bytes
    seq: int
    since_ms: int


class Alarm(NamedTuple):
    """Something to do at a ledger time. It counts while the thing's deadline is the one set by entry `set_seq`."""

    at_ms: int
    kind: str
    id: str
    due_ms: int
    set_seq: int


class Deadline(NamedTuple):
    """When a wait is over, and the entry that set it: the same day set again is another deadline."""

    due_ms: int
    set_seq: int


def waits_for_thing(kind: str, thing_id: str) -> WaitKey:
    """The key of an event that waits for a thing to exist."""
    return ("thing", kind, thing_id)


def waits_until_known(kind: type[Thing], thing_id: str, detail: str) -> Waiting:
    """An event that refers to a thing that does not exist yet; `detail` says whose event it waits for."""
    return Waiting(waits_for_thing(kind.KIND, thing_id), Reason.UNKNOWN_REFERENCE, detail)


def waits_for_version(domain: str, subject: str, member: str, version: int) -> WaitKey:
    """The key of an event that waits for an earlier statement of the same member about the same subject."""
    return ("version", domain, subject, member, str(version))


def known_key(view: View, member: str, key_id: str) -> MemberKey | None:
    """What the ledger knows of a key where a member signs with it. Nothing of a first key, until that member revokes it."""
    return view.find(MemberKey, key_id) or view.find(MemberKey, named_key(member, key_id))


@dataclass(slots=True)
class State:
    """Everything derived from the log so far. Changed only by `hub.ledger.apply`."""

    members: frozenset[str]
    head: Head = GENESIS
    next_input: int = 0
    ledger_ms: int = 0
    now_ms: int = 0
    tick_seq: int = 0  # the entry of the last look at the clock
    closed_to: int = 0  # the last entry that belongs to a closed period
    seen: SeenIds = field(default_factory=SeenIds)
    versions: dict[tuple[str, str, str], int] = field(default_factory=dict)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed_at: dict[ThingKey, int] = field(default_factory=dict)  # seq of the newest entry
    book: Book = field(default_factory=Book)
    parked: dict[WaitKey, list[Parked]] = field(default_factory=dict)
    deadlines: dict[ThingKey, Deadline] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)  # a heap
    outcomes: dict[str, int] = field(default_factory=dict)

    def find(self, kind: type[T], thing_id: str) -> T | None:
        found: T | None = self.things.get(kind.KIND, {}).get(thing_id)
        return found

    def version(self, domain: str, subject: str, member: str) -> int:
        """The newest statement of a member about a subject; 0 before the first."""
        return self.versions.get((domain, subject, member), 0)

    def seq_of(self, thing: Thing | None) -> int | None:
        """The newest entry that changed a thing."""
        return self.changed_at.get((thing.KIND, thing.id)) if thing is not None else None

    def parked_count(self) -> int:
        return sum(len(waiting) for waiting in self.parked.values())
