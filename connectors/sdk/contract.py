"""What the author of a connector kind writes: a `Source`, a `Sink`, or both.

Owns the words the author and the runtime share. The runtime, not the author, owns retries, backoff, cursors, parking,
signing, resending and health; an author reads pages or applies batches and says plainly what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from connectors.sdk.clock import Clock
from schemas.codec import to_json
from schemas.records import CaseFlagged, Envelope, Outcome, Record

_PLACE_LENGTH = 120


class ConnectorError(Exception):
    """Something the runtime knows how to answer. The message says thing, found, wanted and next step."""


class Transient(ConnectorError):
    """The other side is unwell: the same call again, with growing pauses. Nothing is dropped."""


class RetryLater(Transient):
    """The other side named its pause (`Retry-After`, a maintenance window)."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class Permanent(ConnectorError):
    """This one record can never pass as it is: it is parked, the rest flows.

    `brief` leaves the campus in heartbeats, so it names fields and files but no values. `code` groups records that were
    parked for one cause (`MAP_MISSING`); it holds no values either.
    """

    def __init__(self, message: str, brief: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.brief = brief or type(self).__name__
        self.code = code


class ConfigError(ConnectorError):
    """A person must change something (URL, password, mapping). State `failed`; tried again rarely."""


class NoPermission(ConfigError):
    """The other side knows us and says no."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a campus's record held at its newest published version. An empty hash: the record is gone."""

    key: str
    hash: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Item:
    """One change as the campus tells it. `origin` finds it again there (`/changes#17`).

    Changes of one `key` stay in their order: while one is parked, later ones wait behind it. Without a key a change
    stands alone. A kind that finds changes by comparing contents says in `seen` what is to be remembered once this one
    is stored; of such a record only the newest contents count, so a newer change takes the place of one that is parked.

    What cannot be read at all comes with its `fault`, and is parked with that instead of being mapped.
    """

    data: Any
    origin: str
    key: str | None = None
    seen: Seen | None = None
    fault: Permanent | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The unit of commit: changes in the campus's order, and the cursor that is safe once they are stored.

    `more` asks for the next page at once; otherwise the source is asked again after `every_s`. `watermark` is the time
    up to which the campus's changes are in, where the source can tell: it shows how far behind we are. Of a cursor that
    ends with notes of the kind's own, ` {...}`, people and heartbeats are shown what stands before them (`place`).
    """

    items: Sequence[Item]
    cursor: str
    more: bool
    watermark: datetime | None = None


def place(cursor: str) -> str:
    """A cursor as it is shown and may leave the campus: without the kind's own notes, at most 120 characters."""
    head = cursor.partition(" {")[0]
    return head if len(head) <= _PLACE_LENGTH else f"{head[:_PLACE_LENGTH]}…"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something for the campus: another member's event, the outcome of one of its own, or the flag of a case.

    `ledger_seq` is None for a refusal (the event never reached the ledger). `outcome` is empty but for outcomes. A flag
    is the hub's word that a case of ours needs a person, or ran out of time; `record` is its hub.case-flagged.

    `private` is the private part of an event, deciphered; `private_state` says `readable`, or why there is none (`missing`,
    `erased`, `unreadable`), and is empty for events that have no such part. `local_id` is our own id of a student of ours
    for whom this connector made the pseudonym.
    """

    kind: Literal["event", "outcome", "flag"]
    event: str
    event_id: str
    ledger_seq: int | None
    record: Record
    outcome: str = ""
    private: Mapping[str, Any] | None = None
    private_state: str = ""
    local_id: str | None = None

    @property
    def order_key(self) -> str:
        """What the delivery is about. Deliveries of one order key are brought in the order of the ledger."""
        if isinstance(self.record, Outcome):
            return self.record.subject
        if isinstance(self.record, CaseFlagged):
            return self.record.case_id
        about = getattr(self.record, "envelope", None)
        return about.subject if isinstance(about, Envelope) else self.event_id

    @property
    def key(self) -> str:
        """What an idempotent receiver remembers: the same key is the same thing."""
        return f"{self.kind}:{self.event_id}:{self.outcome}"

    def to_json(self) -> dict[str, Any]:
        """The JSON form that campuses are sent."""
        head: dict[str, Any] = {
            "kind": self.kind,
            "event": self.event,
            "eventId": self.event_id,
            "ledgerSeq": self.ledger_seq,
        }
        if isinstance(self.record, Outcome):
            said = self.record
            return head | {
                "outcome": said.outcome,
                "reason": said.reason,
                "developerMessage": said.developer_message,
                "userMessageZh": said.user_message_zh,
                "userMessageEn": said.user_message_en,
                "nextActor": said.next_actor,
                "retryable": said.retryable,
                "retryWhen": said.retry_when,
                "refersToSeq": said.refers_to if said.about_seq is None else said.about_seq,
                "refersToVersion": said.about_version,
            }
        whole = head | {"record": to_json(self.record)}
        if self.private_state:
            part = None if self.private is None else dict(self.private)
            whole |= {"private": part, "privateState": self.private_state}
        return whole if self.local_id is None else whole | {"localId": self.local_id}


@dataclass(frozen=True, slots=True)
class Applied:
    """The campus now holds it."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The campus held it already; nothing changed."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The campus holds something newer about the same thing; nothing changed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The campus will not have this one. It is parked with the campus's words, its key waits, the rest flows.

    `code` groups refusals of one cause (`HTTP_422`); it holds no data.
    """

    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class NotNow:
    """This one cannot be brought at present, others can. Its key waits; when that takes too long it is parked."""

    message: str
    after_s: float | None = None


Verdict: TypeAlias = Applied | Duplicate | Stale | Rejected | NotNow


class Source(Protocol):
    """Reads the changes of a campus system.

    Any method may raise `Transient`, `RetryLater` or `ConfigError`; none may lose its place by raising or by being
    cancelled.
    """

    async def check(self) -> str:
        """Open the connection and say in one line what answered. Changes nothing."""

    async def page(self, cursor: str | None) -> Page:
        """The changes after `cursor` (None: from the start), oldest first.

        The same cursor gives the same changes again, with the same event ids, until the runtime asks with a newer one.
        """

    async def ack(self, cursor: str) -> None:
        """The page up to `cursor` is stored here: files may move, rows may be marked. May be missed by a crash, and
        called twice."""

    async def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Countable(Protocol):
    """A source that can say how much there is to read, so that a backfill can tell its time left."""

    async def count(self, after: str | None, until: str | None) -> int | None:
        """Records after one cursor up to another (None: start, end), or None when that cannot be told cheaply."""


class Memory(Protocol):
    """What a source's records held when they were last published: the table `seen` of the state file."""

    def get(self, key: str) -> Seen | None:
        """What is remembered of one record."""

    def path(self) -> Path:
        """The state file, for reading in bulk from another thread (`connectors.sdk.memory`)."""


class Sink(Protocol):
    """Brings events, outcomes and flags into a campus system. Errors as for `Source`."""

    async def check(self) -> str:
        """Open the connection and say in one line what answered. Changes nothing."""

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict for each delivery, same order. Errors that are raised are about all of them.

        May see a delivery again (after a crash, or a timeout whose result is unknown) and must then change nothing.
        """

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind gets besides its options. `name` is the table's name in connector.toml.

    `transport` replaces the network in tests (an httpx transport); None means the real one. `memory` is None where nothing
    may be remembered (check, dry run).
    """

    folder: Path
    member: str
    name: str
    clock: Clock
    transport: Any = None
    memory: Memory | None = None


class Options(BaseModel):
    """Base of a kind's options: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


O = TypeVar("O", bound=Options)  # noqa: E741, one letter as type variables are


@dataclass(frozen=True, slots=True)
class SourceKind(Generic[O]):
    """What a kind's folder exports as `SOURCE`."""

    options: type[O]
    open: Callable[[O, Context], Source]


@dataclass(frozen=True, slots=True)
class SinkKind(Generic[O]):
    """What a kind's folder exports as `SINK`."""

    options: type[O]
    open: Callable[[O, Context], Sink]
