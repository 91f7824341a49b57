"""Admission: what may enter the ledger's input. Stateless; add workers to the group to go faster.

Owns framing, schema, signature, authority, content hashes and the look for personal data. Everything else is the ledger's to decide. What is refused goes whole to
`hub.dead-letters`, and its sender hears why in its inbox. Once the ledger's input has an event, its sender gets a signed
promise, so that dropping it later would be provable. At-least-once: an event admitted twice after a crash gets a
`duplicate` entry and a second promise, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from hub.domain.reasons import ADVICE, Outcome, Reason
from hub.errors import SettingsError
from hub.flow.kafka import (
    Message,
    Outgoing,
    Partition,
    Writer,
    group_reader,
    plain_reader,
    producer,
)
from hub.flow.keys import TOPIC as KEYS_TOPIC
from hub.flow.keys import LedgerKeys
from hub.flow.personal import suspected
from hub.ledger.apply import DETAIL_CHARS
from schemas import topics
from schemas.catalogue import Schema
from schemas.codec import UnknownSchema, Unreadable, decode, encode, schema_of
from schemas.content import content_hash
from schemas.envelope import (
    EVENT_BYTES,
    KEY_ID,
    KIND,
    NAME_BYTES,
    SIGNATURE,
    from_millis,
    header,
)
from schemas.members import Alliance
from schemas.promises import promise
from schemas.records import Admitted, DeadLetter, Header, MemberKeyChanged
from schemas.records import Outcome as OutcomeRecord
from schemas.signing import Signer, Verifier, load_signer

log = structlog.get_logger("admission")

GROUP = "hub.admission"
BATCH = 500
LETTER_BYTES = 512 * 1024  # what a dead letter keeps of a message,
KEY_BYTES = 1024  # and of its key, should it be larger


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is not admitted. `event_id` and `event_type` where they could be read."""

    reason: Reason
    detail: str
    event_id: str | None = None
    event_type: str | None = None
    subject: str = ""


def check(message: Message, members: Collection[str], verifier: Verifier) -> Admitted | Refusal:
    """Whether a message may enter the ledger, and if not, why. Pure.

    Framing and schema first, then the signature over the exact bytes, then the record, then who may write it, then what
    must not stand in it.
    """
    owner = topics.owner(message.topic)
    if message.fault:
        return Refusal(Reason.UNREADABLE, message.fault)
    if message.value is None:
        return Refusal(
            Reason.UNREADABLE,
            "the message has no value; events are never deleted, publish a correction",
        )
    if len(message.value) > EVENT_BYTES:
        return Refusal(
            Reason.TOO_LARGE,
            f"the event has {len(message.value)} bytes, at most {EVENT_BYTES} are taken; name documents by their URL",
        )
    try:
        schema = schema_of(message.value)
    except UnknownSchema as error:
        return Refusal(Reason.SCHEMA_UNKNOWN, str(error))
    except Unreadable as error:
        return Refusal(Reason.UNREADABLE, str(error))
    if not schema.is_event():
        return Refusal(
            Reason.SCHEMA_INVALID,
            f"{schema.event} is a record of the hub; members publish events of the catalogue",
        )
    key_id = (header(message.headers, KEY_ID) or b"").decode(errors="replace")
    signature = header(message.headers, SIGNATURE) or b""
    if not verifier.valid(key_id, message.value, signature):
        return Refusal(
            Reason.SIGNATURE_INVALID,
            _signature_fault(key_id, signature, verifier),
            event_type=schema.event,
        )
    try:
        event: Any = decode(message.value)
    except Unreadable as error:
        return Refusal(Reason.UNREADABLE, str(error), event_type=schema.event)
    refusal = _names(schema, event.envelope)
    refusal = refusal or _authority(message, schema, event, key_id, owner, members, verifier)
    refusal = refusal or _content(message.value, schema, event)
    if refusal is not None:
        return refusal
    return Admitted(
        source_topic=message.topic,
        source_partition=message.partition,
        source_offset=message.offset,
        published_at=_published(message),
        key_id=key_id,
        signature=signature,
        event=message.value,
    )


def _signature_fault(key_id: str, signature: bytes, verifier: Verifier) -> str:
    if not key_id or not signature:
        return f"headers {KEY_ID} and {SIGNATURE} are wanted, at least one is missing; sign the framed bytes"
    if verifier.owner(key_id) is None:
        return (
            f"key {key_id} is not in the alliance configuration, and no member added it by an event; "
            "register it: alliance connector key add, or as a first key: alliance members keygen"
        )
    return f"the signature does not fit key {key_id} and these bytes; sign the framed bytes exactly as sent"


def _names(schema: Schema, envelope: Any) -> Refusal | None:
    """The entry repeats these names beside the event, so they are short."""
    for field_name in ("event_id", "source", "subject", "partition_key"):
        size = len(getattr(envelope, field_name).encode("utf-8", "surrogatepass"))
        if size > NAME_BYTES:
            return Refusal(
                Reason.TOO_LARGE,
                f"envelope.{field_name} has {size} bytes, at most {NAME_BYTES} are taken; use a shorter id",
                event_type=schema.event,
            )
    return None


def _authority(
    message: Message,
    schema: Schema,
    event: Any,
    key_id: str,
    owner: str | None,
    members: Collection[str],
    verifier: Verifier,
) -> Refusal | None:
    envelope = event.envelope

    def refuse(reason: Reason, detail: str) -> Refusal:
        return Refusal(reason, detail, envelope.event_id, schema.event, envelope.subject)

    if envelope.member not in members:
        return refuse(
            Reason.UNKNOWN_MEMBER,
            f"the event speaks for {envelope.member!r}, which is not a member; correct the code or add the member",
        )
    if not envelope.member == owner == verifier.owner(key_id):
        return refuse(
            Reason.NOT_WRITER,
            f"the event speaks for {envelope.member}, key {key_id} belongs to {verifier.owner(key_id)}, "
            f"the topic to {owner}; the three must be one member",
        )
    entitled = [getattr(event, name) for name in schema.writer]
    if envelope.member not in entitled:
        return refuse(
            Reason.NOT_WRITER,
            f"{schema.event} is written by its {' or '.join(schema.writer)} ({' or '.join(entitled)}), "
            f"not by {envelope.member}; that member must publish it",
        )
    if isinstance(event, MemberKeyChanged):
        # The ledger does not know whose the first keys are; nobody may revoke another's by naming it.
        for name in filter(None, (event.key_id, event.replaces)):
            if verifier.owner(name) not in (None, envelope.member):
                return refuse(
                    Reason.NOT_WRITER,
                    f"key {name} belongs to {verifier.owner(name)}, the event is of {envelope.member}; "
                    "leave it to its owner",
                )
    wanted = getattr(event, schema.key)
    if envelope.partition_key != wanted or message.key != wanted.encode():
        return refuse(
            Reason.KEY_MISMATCH,
            f"key is {(message.key or b'').decode(errors='replace')!r} and envelope.partition_key {envelope.partition_key!r}, "
            f"both must be {schema.key} {wanted!r}",
        )
    about = getattr(event, schema.subject)
    if envelope.subject != about and not envelope.subject.startswith(f"{about}/"):
        return refuse(
            Reason.KEY_MISMATCH,
            f"envelope.subject is {envelope.subject!r}, it must be {schema.subject} {about!r} or a part of it",
        )
    return None


def _content(value: bytes, schema: Schema, event: Any) -> Refusal | None:
    """What must never get into the ledger: a hash of other content, and personal data."""
    envelope = event.envelope

    def refuse(reason: Reason, detail: str) -> Refusal:
        return Refusal(reason, detail, envelope.event_id, schema.event, envelope.subject)

    if schema.hash:
        said, found = getattr(event, schema.hash), content_hash(event)
        if said != found:
            return refuse(
                Reason.HASH_MISMATCH,
                f"{schema.hash} is {said[:64]!r}, the content ({', '.join(schema.hashed)}) hashes to {found}; "
                "leave the field empty in the mapping, the connector fills it",
            )
    person = suspected(event, value)
    if person:
        return refuse(
            Reason.PII_SUSPECTED,
            f"{person} seems to be in the event; take it out and name people by their pseudonym",
        )
    return None


def _published(message: Message) -> datetime:
    """Kafka's time; where the topic leaves it to the writer, it may be any number."""
    try:
        return from_millis(message.timestamp_ms)
    except (ValueError, OverflowError, OSError):
        return from_millis(0)


def dead_letter(message: Message, refusal: Refusal, now_ms: int) -> DeadLetter:
    """The message with the reason; whole, as far as it fits."""
    advice = ADVICE[refusal.reason]
    key, value, headers = message.key or b"", message.value or b"", message.headers
    size = len(key) + len(value) + sum(len(name) + len(held or b"") for name, held in headers)
    detail = refusal.detail[:DETAIL_CHARS]
    if size > LETTER_BYTES:
        headers, key, value = (), key[:KEY_BYTES], value[: LETTER_BYTES - KEY_BYTES]
        detail += f"; the message had {size} bytes, the first of its value and key are kept"
    return DeadLetter(
        source_topic=message.topic,
        source_partition=message.partition,
        source_offset=message.offset,
        member=topics.owner(message.topic) or "",
        reason=refusal.reason.value,
        developer_message=detail,
        user_message_zh=advice.zh,
        user_message_en=advice.en,
        event_id=refusal.event_id or _claimed_id(message),
        event_type=refusal.event_type,
        key=None if message.key is None else key,
        value=None if message.value is None else value,
        headers=tuple(Header(name, held or b"") for name, held in headers),
        published_at=_published(message),
        refused_at=from_millis(now_ms),
    )


def notice(letter: DeadLetter, subject: str = "") -> OutcomeRecord:
    """What the sender is told about a message that was not admitted."""
    advice = ADVICE[Reason(letter.reason)]
    return OutcomeRecord(
        event_id=letter.event_id or "",
        event_type=letter.event_type or "",
        subject=subject,
        outcome=Outcome.REFUSED.value,
        seq=None,
        refers_to=None,
        about_seq=None,
        about_version=None,
        reason=letter.reason,
        developer_message=letter.developer_message,
        user_message_zh=letter.user_message_zh,
        user_message_en=letter.user_message_en,
        next_actor=advice.next_actor,
        retryable=advice.retryable,
        retry_when=advice.retry_when.value,
        source_topic=letter.source_topic,
        source_partition=letter.source_partition,
        source_offset=letter.source_offset,
        decided_at=letter.refused_at,
    )


def _claimed_id(message: Message) -> str | None:
    """The id the headers claim, so that the sender can find its event; unverified."""
    raw = header(message.headers, "ce_id")
    return raw[:KEY_BYTES].decode(errors="replace") if raw else None


@dataclass(frozen=True, slots=True)
class Promiser:
    """The hub's key for promises, and how long at most it takes to keep one, in milliseconds."""

    signer: Signer
    merge_ms: int

    def promises(self, work: Work, now_ms: int) -> Iterable[tuple[str, Outgoing]]:
        """One promise for each member of a batch, as (inbox, message)."""
        made_at, merge_by = from_millis(now_ms), from_millis(now_ms + self.merge_ms)
        for member, values in work.accepted.items():
            said = promise(self.signer, member, values, made_at, merge_by)
            yield (
                topics.inbox(member),
                Outgoing(member.encode(), encode(said), [(KIND, b"promise")]),
            )


def load_promiser(path: Path, alliance: Alliance, merge_ms: int) -> Promiser | None:
    """The key of promises, or None where the alliance has none or admission holds none.

    Raises `SettingsError` when the file holds another key than the alliance expects: nobody would believe its promises.
    """
    if alliance.promise_key is None or not path.exists():
        return None
    try:
        signer = load_signer(path)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} holds no key for promises ({error}); run: alliance members keygen --hub --out {path.parent}"
        ) from error
    if signer.public != alliance.promise_key:
        raise SettingsError(
            f"{path} holds key {signer.key_id}, which is not log.promise_key of the alliance configuration; "
            "set ALLIANCE_HUB_KEYS to the folder that has it"
        )
    return Promiser(signer, merge_ms)


@dataclass(slots=True)
class Work:
    """What one batch of messages becomes. `accepted` are the framed events of each member."""

    admitted: list[Outgoing] = field(default_factory=list)
    accepted: dict[str, list[bytes]] = field(default_factory=dict)
    dead: list[Outgoing] = field(default_factory=list)
    notices: dict[str, list[Outgoing]] = field(default_factory=dict)
    positions: dict[Partition, tuple[int, str]] = field(default_factory=dict)


def sort_out(
    messages: Sequence[Message],
    members: Collection[str],
    verifier: Verifier,
    now_ms: Callable[[], int],
) -> Work:
    """Check each message; nothing a message holds can stop the others."""
    work = Work()
    for message in messages:
        verdict = check(message, members, verifier)
        if isinstance(verdict, Admitted):
            work.admitted.append(Outgoing(message.key, encode(verdict), []))
            member = topics.owner(message.topic) or ""  # `check` found it to be the event's
            work.accepted.setdefault(member, []).append(verdict.event)
        else:
            letter = dead_letter(message, verdict, now_ms())
            work.dead.append(Outgoing(letter.member.encode(), encode(letter), []))
            work.notices.setdefault(letter.member, []).append(
                Outgoing(letter.key, encode(notice(letter, verdict.subject)), [(KIND, b"refusal")])
            )
            log.warning(
                "refused",
                topic=message.topic,
                offset=message.offset,
                reason=verdict.reason.value,
                detail=letter.developer_message,
            )
        work.positions[message.topic, message.partition] = (message.offset + 1, "")
    return work


async def run_admission(
    bootstrap: str,
    alliance: Alliance,
    stop: asyncio.Event,
    now_ms: Callable[[], int],
    instance: str = "1",
    promiser: Promiser | None = None,
) -> None:
    """Work as one admission worker until `stop` is set. Without a key for promises none are made.

    A batch is checked while the one before is on its way; positions are committed after all its Kafka writes.
    """
    members, verifier = frozenset(alliance.members), alliance.verifier()
    outboxes = [topics.outbox(code) for code in alliance.members]
    async with (
        producer(bootstrap, f"{GROUP}.{instance}") as writer,
        plain_reader(bootstrap, [(KEYS_TOPIC, 0)], f"{GROUP}.{instance}.keys") as key_reader,
        group_reader(bootstrap, outboxes, GROUP, instance) as reader,
    ):
        keys = LedgerKeys(key_reader, members, verifier)
        learned = await keys.read_on()
        log.info(
            "started", group=GROUP, members=len(members), keys_learned=len(learned), promises=promiser is not None
        )  # fmt: skip
        sent: tuple[Work, list[Awaitable[int]]] | None = None
        while not stop.is_set():
            messages = await reader.batch(20 if sent else 500, BATCH)
            await keys.look_for(messages)
            work = sort_out(messages, members, verifier, now_ms) if messages else None
            if sent is not None:
                await _settle(writer, *sent, promiser, now_ms)
                await reader.commit(sent[0].positions)
            sent = (work, await _send(writer, work)) if work else None
            if work:
                log.info("admitted", events=len(work.admitted), refused=len(work.dead))
        if sent is not None:
            await _settle(writer, *sent, promiser, now_ms)
            await reader.commit(sent[0].positions)


async def _settle(
    writer: Writer,
    work: Work,
    acks: list[Awaitable[int]],
    promiser: Promiser | None,
    now_ms: Callable[[], int],
) -> None:
    """Wait until Kafka has the batch; what it has, the hub can promise."""
    await asyncio.gather(*acks)
    if promiser is None:
        return
    promised: list[Awaitable[int]] = []
    for inbox, message in promiser.promises(work, now_ms()):
        promised += await writer.send(inbox, [message])
    await asyncio.gather(*promised)


async def _send(writer: Writer, work: Work) -> list[Awaitable[int]]:
    acks = await writer.send(topics.LEDGER_IN, work.admitted)
    acks += await writer.send(topics.DEAD_LETTERS, work.dead)
    for member, records in work.notices.items():
        acks += await writer.send(topics.inbox(member), records)
    return acks
