"""The inbox's messages: which are new, which are genuine, which the campus must hear of.

Owns the reading rule of a member's inbox and what an outcome means for the outbox. Changes nothing itself: it says what
to bring and what to commit afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from connectors.sdk.contract import Delivery, Permanent
from connectors.sdk.kafka import Incoming
from connectors.sdk.outgoing import envelope_of
from connectors.sdk.state import Parked, State, Taken
from schemas import envelope
from schemas.codec import Unreadable, decode
from schemas.records import CaseFlagged, Outcome, Record
from schemas.signing import Verifier

KINDS = ("event", "outcome", "refusal", "flag")

Found: TypeAlias = tuple[Delivery, Incoming]


class Forged(Permanent):
    """An event whose signature does not hold."""


class InboxReader:
    """Reads one member's inbox, with the alliance's keys."""

    def __init__(self, verifier: Verifier, state: State) -> None:
        self._verifier = verifier
        self._state = state

    def sort(self, batch: Sequence[Incoming], seq: int) -> tuple[list[Found], Taken]:
        """What of a batch to bring to the campus, and what to commit once it has it.

        `seq` is the largest ledger seq taken: a message that is not above it is a repeat. Refusals carry no seq and
        are told apart by the message they refuse.
        """
        readable: list[Found] = []
        parked: list[Parked] = []
        for incoming in batch:
            found = _seq(incoming)
            if found is not None and found <= seq:
                continue
            seq = seq if found is None else found
            try:
                readable.append((self.delivery(incoming), incoming))
            except Permanent as error:
                stage = "verify" if isinstance(error, Forged) else "read"
                parked.append(park(stage, str(incoming.offset), error, incoming))
        ours = [delivery.event_id for delivery, _ in readable if delivery.kind == "outcome"]
        book = _OutcomeBook(self._state.waiting(ours), self._state)
        deliveries = [
            (delivery, incoming)
            for delivery, incoming in readable
            if not isinstance(delivery.record, Outcome) or book.matters(delivery.record)
        ]
        position = batch[-1].offset + 1
        return deliveries, Taken(position, seq, book.done, book.still, book.refusals, parked)

    def delivery(self, incoming: Incoming) -> Delivery:
        """The message as the campus will get it. Raises `Permanent`, or `Forged`."""
        kind = (envelope.header(incoming.headers, envelope.KIND) or b"").decode("latin-1")
        if kind not in KINDS:
            raise Permanent(
                f"inbox offset {incoming.offset}: kind {kind!r}, known are {', '.join(KINDS)}; upgrade this connector, "
                "then start it again",
                "inbox: a message of unknown kind",
            )
        record = _decoded(incoming)
        if kind == "event":
            return self._verified(record, incoming)
        return _flag(record, incoming) if kind == "flag" else _outcome(record, incoming)

    def _verified(self, record: Record, incoming: Incoming) -> Delivery:
        """Another member's event, if that member's key signed these bytes."""
        about = envelope_of(record)
        key = (envelope.header(incoming.headers, envelope.KEY_ID) or b"").decode("latin-1")
        signature = envelope.header(incoming.headers, envelope.SIGNATURE) or b""
        owner = self._verifier.owner(key)
        if owner != about.member or not self._verifier.valid(key, incoming.value, signature):
            raise Forged(
                f"{record.EVENT} {about.event_id} says {about.member}, but key {key} of {owner} does not vouch "
                "for it; is alliance.toml up to date? If so, tell the hub's operators",
                f"{record.EVENT} of {about.member}: signature does not verify",
            )
        return Delivery("event", record.EVENT, about.event_id, _seq(incoming), record)


class _OutcomeBook:
    """Which outcomes the campus must hear of, and what they make of our outbox.

    The outcome of a second copy (`duplicate`, or a refusal of the copy) says nothing about the event once the first
    copy has its own. `parked` is not the last word: the event stays until the ledger says `applied` or `rejected`.
    """

    def __init__(self, waiting: dict[str, str | None], state: State) -> None:
        self._waiting = waiting
        self._state = state
        self.done: list[str] = []
        self.still: list[str] = []
        self.refusals: list[tuple[str, int, int]] = []

    def matters(self, said: Outcome) -> bool:
        """Whether the campus must hear of it; notes what follows for the outbox."""
        ours = said.event_id in self._waiting
        known = self._waiting.get(said.event_id)
        if said.outcome == "refused":
            refusal = (said.source_topic, said.source_partition, said.source_offset)
            if refusal in self.refusals or self._state.refusal_seen(refusal):
                return False
            self.refusals.append(refusal)
        if said.outcome in ("duplicate", "refused") and (not ours or known == "parked"):
            return False
        if said.outcome == "parked":
            if ours:
                self._waiting[said.event_id] = "parked"
                self.still.append(said.event_id)
        elif ours and not (said.outcome == "conflict" and known == "parked"):
            del self._waiting[said.event_id]
            self.done.append(said.event_id)
        return True


def _outcome(record: Record, incoming: Incoming) -> Delivery:
    if not isinstance(record, Outcome):
        raise _misplaced(record, incoming, "an outcome")
    seq = _seq(incoming)
    return Delivery("outcome", record.event_type, record.event_id, seq, record, record.outcome)


def _flag(record: Record, incoming: Incoming) -> Delivery:
    """A case that needs a person. It has no envelope: its id is the header's."""
    event_id = envelope.header(incoming.headers, "ce_id")
    if not isinstance(record, CaseFlagged) or not event_id:
        raise _misplaced(record, incoming, "a flag with its ce_id")
    return Delivery("flag", record.EVENT, event_id.decode("latin-1"), _seq(incoming), record)


def _misplaced(record: Record, incoming: Incoming, wanted: str) -> Permanent:
    return Permanent(
        f"inbox offset {incoming.offset}: {record.EVENT} where {wanted} belongs; tell the hub's operators",
        "inbox: a message that is not of its kind",
    )


def _seq(incoming: Incoming) -> int | None:
    raw = envelope.header(incoming.headers, envelope.LEDGER_SEQ)
    return int(raw) if raw and raw.isdigit() else None


def _decoded(incoming: Incoming) -> Record:
    try:
        return decode(incoming.value)
    except Unreadable as error:
        raise Permanent(
            f"inbox offset {incoming.offset}: {error}; upgrade this connector, then start it again",
            "inbox: a message this version cannot read",
        ) from error


def park(stage: str, name: str, error: Permanent, incoming: Incoming) -> Parked:
    """A message put aside as it came, to be tried again by the next start."""
    headers = [(key, value.hex()) for key, value in incoming.headers]
    payload = {"offset": incoming.offset, "value": incoming.value.hex(), "headers": headers}
    return Parked(stage, name, str(error), error.brief, payload)


def unparked(payload: Any) -> Incoming:
    """The message that was put aside."""
    headers = [(name, bytes.fromhex(value)) for name, value in payload["headers"]]
    return Incoming(payload["offset"], bytes.fromhex(payload["value"]), headers)
