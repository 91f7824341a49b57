"""What the author of a connector kind writes: a `Source`, a `Sink`, or both.

Owns the words the author and the runtime share. The runtime, not the author, owns retries, backoff, cursors, parking,
signing, resending and health; an author reads pages or applies batches and says plainly what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from connectors.sdk.clock import Clock
from schemas.codec import to_json
from schemas.records import Outcome, Record


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

    `brief` leaves the campus in heartbeats, so it names fields and files but no values.
    """

    def __init__(self, message: str, brief: str = "") -> None:
        super().__init__(message)
        self.brief = brief or type(self).__name__


class ConfigError(ConnectorError):
    """A person must change something (URL, password, mapping). State `failed`; tried again rarely."""


class NoPermission(ConfigError):
    """The other side knows us and says no."""


@dataclass(frozen=True, slots=True)
class Item:
    """One change as the campus tells it. `origin` finds it again there (`/changes#17`)."""

    data: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Page:
    """The unit of commit: changes in the campus's order, and the cursor that is safe once they are stored.

    `more` asks for the next page at once; otherwise the source is asked again after `every_s`.
    """

    items: Sequence[Item]
    cursor: str
    more: bool


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
class Rejected:
    """The campus will not have this one. It is parked with the campus's words, the rest flows."""

    message: str


Verdict: TypeAlias = Applied | Duplicate | Rejected


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


class Sink(Protocol):
    """Brings events, outcomes and flags into a campus system. Errors as for `Source`."""

    async def check(self) -> str:
        """Open the connection and say in one line what answered. Changes nothing."""

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict for each delivery, same order: `Applied`, `Duplicate` or `Rejected`.

        May see a delivery again (after a crash, or a timeout whose result is unknown) and must then change nothing.
        """

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind gets besides its options. `name` is the table's name in connector.toml.

    `transport` replaces the network in tests (an httpx transport); None means the real one.
    """

    folder: Path
    member: str
    name: str
    clock: Clock
    transport: Any = None


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
