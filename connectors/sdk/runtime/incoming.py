"""The inbox's messages: which are new, which are genuine, which the campus must hear of.

Owns the reading rule of a member's inbox and what an outcome means for the outbox. Changes nothing itself: it says what
to bring and what to commit afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from connectors.sdk.contract import Delivery, Permanent
from connectors.sdk.runtime.kafka import Incoming
from connectors.sdk.runtime.outgoing import envelope_of
from connectors.sdk.state.file import Answered, State, Taken
from connectors.sdk.state.parking import CODES, INBOX, Parked
from connectors.sdk.trust.proofs import LearnedKey, Proven
from connectors.sdk.trust.receipts import ProofReader
from connectors.sdk.trust.settings import Trust
from schemas import envelope
from schemas.codec import Unreadable, decode
from schemas.members import Alliance
from schemas.records import CaseFlagged, MemberKeyChanged, Outcome, Promise, Receipts, Record
from schemas.signing import Verifier, key_id

KINDS = ("event", "outcome", "refusal", "flag", "promise", "receipts")
_PROOFS = ("promise", "receipts")

Found: TypeAlias = tuple[Delivery, Incoming]


class Forged(Permanent):
    """An event whose signature does not hold."""


class InboxReader:
    """Reads one member's inbox, with the alliance's keys and those that members announced since."""

    def __init__(self, member: str, alliance: Alliance, trust: Trust, state: State) -> None:
        self._alliance = alliance
        self._state = state
        self._proofs = ProofReader(member, trust, state)
        self._verifier = self._known_keys()
        self._ahead = False  # whether the keys are those of a batch that may not be committed

    def _known_keys(self) -> Verifier:
        verifier = self._alliance.verifier()
        for key in self._state.proofs.learned_keys():
            _learn(verifier, key)
        return verifier

    def sort(self, batch: Sequence[Incoming], seq: int) -> tuple[list[Found], Taken]:
        """What of a batch to bring to the campus, and what to commit once it has it.

        `seq` is the largest ledger seq taken: a message that is not above it is a repeat. Refusals carry no seq and
        are told apart by the message they refuse. Promises and receipts are no deliveries: they are proven here. Nor are
        outcomes of the connector's own events, of which the campus has never heard.
        """
        if self._ahead:
            self._verifier, self._ahead = self._known_keys(), False
        proven = Proven()
        readable: list[Found] = []
        parked: list[Parked] = []
        for incoming in batch:
            found = _seq(incoming)
            if found is not None and found <= seq:
                continue
            seq = seq if found is None else found
            try:
                if kind_of(incoming) in _PROOFS:
                    proven.add(self.proof(incoming))
                    continue
                delivery = self.delivery(incoming)
                proven.keys += self._learned(delivery)
                readable.append((delivery, incoming))
            except Permanent as error:
                stage = "verify" if isinstance(error, Forged) else "read"
                parked.append(park(stage, str(incoming.offset), error, incoming))
        ours = [delivery.event_id for delivery, _ in readable if delivery.kind == "outcome"]
        book = _OutcomeBook(
            self._state.waiting(ours), self._state.proofs.promised(ours), self._state
        )
        own = self._state.own_ids(ours)
        deliveries = [
            (delivery, incoming)
            for delivery, incoming in readable
            if not isinstance(delivery.record, Outcome)
            or (book.matters(delivery.record) and delivery.event_id not in own)
        ]
        position = batch[-1].offset + 1
        return deliveries, Taken(
            position, seq, book.done, book.still, book.refusals, parked, proven=proven
        )

    def proof(self, incoming: Incoming) -> Proven:
        """What a message of kind promise or receipts proves, and what it shows that cannot be true. Raises `Permanent`."""
        record = _decoded(incoming)
        if isinstance(record, Promise):
            return self._proofs.promise(record, incoming.value)
        if not isinstance(record, Receipts):
            raise _misplaced(record, incoming, "a promise or receipts")
        try:
            return self._proofs.receipts(record)
        except Unreadable as error:
            raise Permanent(
                f"inbox offset {incoming.offset}: {error}; upgrade this connector, then start it again",
                "inbox: a receipt this version cannot read",
            ) from error

    def delivery(self, incoming: Incoming, *, verified: bool = False) -> Delivery:
        """The message as the campus will get it. Raises `Permanent`, or `Forged`.

        What was `verified` when it came stays so, whatever became of its key since.
        """
        kind = kind_of(incoming)
        if kind not in KINDS:
            raise Permanent(
                f"inbox offset {incoming.offset}: kind {kind!r}, known are {', '.join(KINDS)}; upgrade this connector, "
                "then start it again",
                "inbox: a message of unknown kind",
            )
        record = _decoded(incoming)
        if kind == "event":
            return _event(record, incoming) if verified else self._verified(record, incoming)
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
        return _event(record, incoming)

    def _learned(self, delivery: Delivery) -> list[LearnedKey]:
        """What a member's word about its keys changes, from the next message on. Raises `Forged`."""
        said = delivery.record
        if not isinstance(said, MemberKeyChanged):
            return []
        changes = _key_changes(said)
        for change in changes:
            owner = self._verifier.owner(change.key_id)
            fits = not change.valid or key_id(change.public or b"") == change.key_id
            if not fits or owner not in (None, said.code):
                raise Forged(
                    f"{said.EVENT} {delivery.event_id}: key {change.key_id} is not one of {said.code} "
                    f"({'it is one of ' + str(owner) if fits else 'its bytes have another id'}); tell the hub's operators",
                    f"{said.EVENT} of {said.code}: a key that is not its own",
                )
        for change in changes:
            _learn(self._verifier, change)
            self._ahead = True
        return changes


def _key_changes(said: MemberKeyChanged) -> list[LearnedKey]:
    """The keys that count from now on and those that count no longer."""
    if said.action == "revoke":
        return [LearnedKey(said.key_id, said.code, None, valid=False)]
    added = [LearnedKey(said.key_id, said.code, said.public_key, valid=True)]
    if said.action == "rotate" and said.replaces:
        added.append(LearnedKey(said.replaces, said.code, None, valid=False))
    return added


def _learn(verifier: Verifier, key: LearnedKey) -> None:
    if not key.valid:
        verifier.remove(key.key_id)
    elif key.public is not None:
        verifier.add(key.key_id, key.member, key.public)


class _OutcomeBook:
    """Which outcomes the campus must hear of, and what they make of our outbox.

    The outcome of a second copy (`duplicate`, or a refusal of the copy) says nothing about the event once the first
    copy has its own. `parked` is not the last word: the event stays until the ledger says `applied` or `rejected`. Nor
    can an event that the hub has promised to enter be refused: that, too, is said of a second copy.
    """

    def __init__(self, waiting: dict[str, str | None], promised: set[str], state: State) -> None:
        self._waiting = waiting
        self._promised = promised
        self._state = state
        self.done: list[Answered] = []
        self.still: list[Answered] = []
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
        if said.outcome == "refused" and said.event_id in self._promised:
            return False
        answered = Answered(said.event_id, said.outcome, said.seq, _reason(said))
        if said.outcome == "parked":
            if ours:
                self._waiting[said.event_id] = "parked"
                self.still.append(answered)
        elif ours and not (said.outcome == "conflict" and known == "parked"):
            del self._waiting[said.event_id]
            self.done.append(answered)
        return True


def _reason(said: Outcome) -> str:
    """The code of the reason and the words for developers; empty when all is well."""
    return ": ".join(part for part in (said.reason, said.developer_message) if part)


def _event(record: Record, incoming: Incoming) -> Delivery:
    return Delivery("event", record.EVENT, envelope_of(record).event_id, _seq(incoming), record)


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


def kind_of(incoming: Incoming) -> str:
    """What a message of the hub is, by its header; empty when it does not say."""
    return (envelope.header(incoming.headers, envelope.KIND) or b"").decode("latin-1")


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
    """A message put aside as it came, to be tried again."""
    code = error.code or CODES[stage]
    return Parked(stage, name, str(error), error.brief, packed(incoming), INBOX, code=code)


def packed(incoming: Incoming) -> dict[str, Any]:
    """A message as JSON; `unparked` reads it."""
    headers = [(key, value.hex()) for key, value in incoming.headers]
    return {"offset": incoming.offset, "value": incoming.value.hex(), "headers": headers}


def unparked(payload: Any) -> Incoming:
    """The message that was put aside."""
    headers = [(name, bytes.fromhex(value)) for name, value in payload["headers"]]
    return Incoming(payload["offset"], bytes.fromhex(payload["value"]), headers)
