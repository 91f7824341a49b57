"""Personal data of students on its way between two universities: sealed here, read there, erased everywhere.

Owns who may seal, read and destroy what. The formats are `schemas.private`, the file is `PrivateStore`. Every time a data
key is taken out of its wrapping, that is noted (`PrivateStore.reads`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.sdk.contract import Delivery, Permanent
from connectors.sdk.own import own_envelope
from connectors.sdk.private.store import Erasure, HeldKey, PrivateStore, Read, StoredPayload
from schemas import private
from schemas.codec import Unreadable, decode, encode
from schemas.envelope import from_millis, to_millis
from schemas.members import Alliance
from schemas.private import Part, PrivateError
from schemas.records import (
    CreditAwarded,
    EnrollmentRequested,
    PrivatePayload,
    Record,
    StudentErased,
)

OFFICE = "student-records"  # who acts when a student is erased, in the envelope

log = structlog.get_logger("connector")

RandomBytes: TypeAlias = Callable[[int], bytes]
Concerning: TypeAlias = EnrollmentRequested | CreditAwarded


@dataclass(frozen=True, slots=True)
class Person:
    """One of our students in a record, before there is a pseudonym: towards `host`, for `purpose`."""

    local_id: str
    host: str
    purpose: str


@dataclass(frozen=True, slots=True)
class PrivateSettings:
    """`[private]` of connector.toml, read. `recipients` are the encryption keys of alliance.toml by member."""

    member: str
    path: Path
    encryption: X25519PrivateKey
    recipients: Mapping[str, bytes]
    home_key: bytes | None
    wait_s: float
    backups_days: int


class PrivateTable(BaseModel):
    """`[private]`: how personal data of students is kept. Without it, private parts are neither sent nor read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encryption: SecretStr
    home_key: SecretStr | None = None
    store: str = "private.db"
    wait_s: float = Field(default=5, ge=0)
    backups_days: int = Field(default=30, ge=0)


def load_private(
    path: str, folder: Path, table: PrivateTable, member: str, alliance: Alliance, faults: list[str]
) -> PrivateSettings | None:
    """The table read, or None with the faults told; `path` names the file in them."""
    try:
        encryption = private.read_private_key(table.encryption.get_secret_value())
    except PrivateError as error:
        faults.append(f"{path}: private.encryption: {error}; run: alliance members keygen")
        return None
    home_key = None
    try:
        if table.home_key is not None:
            home_key = private.read_secret(table.home_key.get_secret_value())
    except PrivateError as error:
        faults.append(f"{path}: private.home_key: {error}")
    public = encryption.public_key().public_bytes_raw()
    recipients = {code: m.encryption for code, m in alliance.members.items() if m.encryption}
    if recipients.get(member) != public:
        faults.append(
            f"{path}: private.encryption: its public half is not the encryption key of {member} in alliance.toml, "
            "so what others seal for us could not be read; add it there"
        )
    return PrivateSettings(
        member, folder / table.store, encryption, recipients, home_key, table.wait_s,
        table.backups_days,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of an event's private part: `readable` with the part, else `missing`, `erased` or `unreadable`."""

    state: str
    part: Mapping[str, Any] | None = None


class Vault:
    """One connector's personal data. `random_bytes` is `secrets.token_bytes` but in tests."""

    def __init__(
        self, settings: PrivateSettings, store: PrivateStore, random_bytes: RandomBytes
    ) -> None:
        self.settings = settings
        self.store = store
        self._random = random_bytes

    # What we write --------------------------------------------------------------------------------------------------

    def pseudonym(self, person: Person) -> str:
        """The student's pseudonym, kept so that answers find back. Raises `Permanent` without a home secret."""
        secret = self.settings.home_key
        if secret is None:
            raise Permanent(
                "the mapping makes a pseudonym and connector.toml has no private.home_key; add it",
                "no private.home_key",
            )
        with self.store.together():
            salt = self.store.salt(person.local_id, self._random(private.KEY_BYTES))
            name = private.pseudonym(
                secret, home=self.settings.member, local_id=person.local_id, host=person.host,
                purpose=person.purpose, salt=salt,
            )  # fmt: skip
            self.store.keep_pseudonym(name, person.local_id, person.host, person.purpose)
        return name

    def sealed(self, record: Record, part: Part, now_ms: int) -> Record:
        """The record with the commitment to its private part; the payload is stored and waits to be sent.

        A record that comes again (the page was not stored) gets the payload it had. Without a key that may be used the
        event goes without its private part, which is logged: the fact matters more. Raises `Permanent`.
        """
        if not isinstance(record, EnrollmentRequested | CreditAwarded):
            raise Permanent(
                f"{record.EVENT} has no private part; take [private] out of its mapping"
            )
        event_id, student_id = record.envelope.event_id, record.student_id
        try:
            with self.store.together():
                kept = self.store.payload(student_id, event_id)
                if kept is not None:
                    return self._repeated(record, part, kept, now_ms)
                found = self._key_for(record, now_ms)
                if isinstance(found, str):
                    log.warning(
                        "private_part_left_out",
                        event_type=record.EVENT,
                        event_id=event_id,
                        reason=found,
                    )
                    return record
                return self._stored(record, part, found)
        except PrivateError as error:
            said = f"{record.EVENT} {event_id}: private part"
            raise Permanent(f"{said}: {error}", f"{record.EVENT}: private part") from error

    def _stored(self, record: Concerning, part: Part, found: tuple[HeldKey, bytes]) -> Record:
        held, data_key = found
        event_id, student_id = record.envelope.event_id, record.student_id
        nonce = self._random(private.NONCE_BYTES)
        ciphertext = private.seal(part, data_key, nonce, student_id=student_id, event_id=event_id)
        other = record.host if self.settings.member == record.home else record.home
        wrapped = private.wrap(
            data_key, self.settings.recipients[other], self._random(private.KEY_BYTES),
            member=other, student_id=student_id,
        )  # fmt: skip
        payload = PrivatePayload(
            student_id, event_id, self.settings.member, held.key_id, nonce, ciphertext,
            (held.wrapped, wrapped),
        )  # fmt: skip
        value = encode(payload)
        self.store.keep_payload(StoredPayload(student_id, event_id, value), ours=True)
        return replace(record, private=private.part_of(nonce, ciphertext, held.key_id))

    def _repeated(self, record: Concerning, part: Part, kept: bytes, now_ms: int) -> Record:
        """The same event again; its payload must say the same, or an event id is used twice."""
        event_id = record.envelope.event_id
        if not kept:
            return record  # erased meanwhile
        payload = _payload(kept)
        held = self.store.key(payload.key_id)
        if held is None:
            return record
        data_key = self._unwrapped(held, event_id, "repeat", now_ms)
        if private.unseal(payload, data_key) != dict(part):
            raise PrivateError(
                f"event id {event_id} was used with another private part before; make a new id for each change at the source"
            )
        return replace(
            record, private=private.part_of(payload.nonce, payload.ciphertext, payload.key_id)
        )

    def _key_for(self, record: Concerning, now_ms: int) -> tuple[HeldKey, bytes] | str:
        """The student's data key, made if we are the home; else why there is none that may be used."""
        us, student_id = self.settings.member, record.student_id
        other = record.host if us == record.home else record.home
        if us not in (record.home, record.host) or other == us:
            return f"{us} is neither home nor host of two universities"
        if self.store.is_erased(student_id):
            return "the student was erased"
        if other not in self.settings.recipients:
            return f"{other} has no encryption key in alliance.toml; ask for it"
        held = self.store.key_for(student_id, record.host)
        if held is not None:
            return held, self._unwrapped(held, record.envelope.event_id, "seal", now_ms)
        if us == record.host:
            return f"home {record.home} shared no key of this student"
        data_key = self._random(private.KEY_BYTES)
        public = self.settings.encryption.public_key().public_bytes_raw()
        wrapped = private.wrap(
            data_key, public, self._random(private.KEY_BYTES), member=us, student_id=student_id
        )
        held = HeldKey(private.key_id(data_key), student_id, us, record.host, wrapped)
        self.store.keep_key(held)
        return held, data_key

    def _unwrapped(self, held: HeldKey, event_id: str, purpose: str, now_ms: int) -> bytes:
        data_key = private.unwrap(
            held.wrapped, self.settings.encryption, student_id=held.student_id, key=held.key_id
        )
        self.store.note_read(Read(now_ms, held.key_id, event_id, purpose))
        return data_key

    # What we read ---------------------------------------------------------------------------------------------------

    def take(self, values: Sequence[bytes], position: int) -> int:
        """Keep the payloads that are for us, and move on. How many there were.

        An empty message is passed over: anyone could have written it, and only a home's signed word erases. What comes
        for a student of ours who was erased is answered by an erasing message.
        """
        kept = 0
        with self.store.together():
            for value in values:
                try:
                    payload = _payload(value) if value else None
                except PrivateError as error:
                    log.warning("private_payload_unreadable", reason=str(error))
                    continue
                if payload is None or self._wrapped_for_us(payload) is None:
                    continue
                self._take(payload, value)
                kept += 1
            self.store.move_on(position)
        return kept

    def _take(self, payload: PrivatePayload, value: bytes) -> None:
        if not self.store.is_erased(payload.student_id):
            stored = StoredPayload(payload.student_id, payload.event_id, value)
            self.store.keep_payload(stored, ours=False)
        elif payload.student_id.startswith(prefix(self.settings.member)):
            self.store.erase_payload(payload.student_id, payload.event_id)

    def _wrapped_for_us(self, payload: PrivatePayload) -> HeldKey | None:
        for wrapped in payload.wrapped:
            if wrapped.member == self.settings.member:
                return HeldKey(payload.key_id, payload.student_id, "", "", wrapped)
        return None

    def opened(self, record: Concerning, now_ms: int) -> Opened:
        """The private part of an event that was verified. A key that a home shares with us is kept for our answers."""
        if record.private is None:
            return Opened("")
        value = self.store.payload(record.student_id, record.envelope.event_id)
        if value == b"" or self.store.is_erased(record.student_id):
            return Opened("erased")
        if value is None:
            return Opened("missing")
        try:
            return self._read(record, private.checked(_payload(value), record.private), now_ms)
        except PrivateError as error:
            log.warning(
                "private_part_unreadable", event_type=record.EVENT, event_id=record.envelope.event_id,
                reason=str(error),
            )  # fmt: skip
            return Opened("unreadable")

    def _read(self, record: Concerning, payload: PrivatePayload, now_ms: int) -> Opened:
        event_id = record.envelope.event_id
        known = self.store.key(payload.key_id)
        held = known or self._wrapped_for_us(payload)
        if held is None:
            raise PrivateError(f"event {event_id}: its key was not shared with us")
        if held.student_id != record.student_id:
            raise PrivateError(f"event {event_id}: key {held.key_id} is another student's")
        with self.store.together():
            part = private.unseal(payload, self._unwrapped(held, event_id, "delivery", now_ms))
            if known is None and record.envelope.member == record.home:
                self.store.keep_key(replace(held, home=record.home, host=record.host))
        return Opened("readable", part)

    def delivery(self, delivery: Delivery, now_ms: int) -> Delivery:
        """The delivery with what we can read of its private part; one without private part is as it was."""
        record = delivery.record
        if delivery.kind != "event" or not isinstance(record, EnrollmentRequested | CreditAwarded):
            return delivery
        opened = self.opened(record, now_ms)
        local_id = self.store.local_id(record.student_id)
        return replace(delivery, private=opened.part, private_state=opened.state, local_id=local_id)

    # Erasure --------------------------------------------------------------------------------------------------------

    def forgotten(self, delivery: Delivery, now_ms: int) -> str | None:
        """Another's home has erased a student: destroy our copies of keys and private parts. Gives the student's pseudonym."""
        record = delivery.record
        if delivery.kind != "event" or not isinstance(record, StudentErased):
            return None
        if not record.student_id.startswith(prefix(record.home)):
            return None
        keys = self.store.forget(record.student_id, record.home, record.envelope.event_id, now_ms)
        scrubbed = self.store.scrub()
        log.info(
            "student_forgotten", event_id=record.envelope.event_id, keys=keys, scrubbed=scrubbed
        )
        return record.student_id

    def erasing(self, record: Record) -> Record:
        """The campus erases a student of ours: destroy what is held, and name the keys in the event.

        The same record again (the page was not stored) names the same keys, so its event has the same bytes.
        """
        if not isinstance(record, StudentErased) or not record.student_id.startswith(
            prefix(self.settings.member)
        ):
            return record
        erasure = self.store.erase(
            record.student_id, record.envelope.event_id, to_millis(record.erased_at),
            to_millis(record.backups_clear_at), queued=True,
        )  # fmt: skip
        return replace(record, key_ids=tuple(sorted({*record.key_ids, *erasure.key_ids})))

    def erasures_due(self, source: str) -> list[tuple[str, StudentErased]]:
        """Erasures whose event does not wait in the outbox yet, with that event; the same after every crash."""
        return [
            (erasure.event_id, erased(erasure, self.settings.member, source))
            for erasure in self.store.erasures()
            if not erasure.queued
        ]


def open_vault(
    settings: PrivateSettings | None, random_bytes: RandomBytes = secrets.token_bytes
) -> Vault | None:
    """The vault of a folder that has one; close its store."""
    if settings is None:
        return None
    return Vault(settings, PrivateStore(settings.path, settings.member), random_bytes)


def prefix(home: str) -> str:
    """How pseudonyms of a member's students begin."""
    return f"urn:alliance:student:{home}:"


def home_of(student_id: str) -> str | None:
    """The university that gave a pseudonym; None for what is none."""
    found = re.match(r"urn:alliance:student:([^:]+):", student_id)
    return found[1] if found else None


def erased(erasure: Erasure, home: str, source: str) -> StudentErased:
    """The event that tells the alliance of an erasure. `source` is the connector's CloudEvents source."""
    at = from_millis(erasure.at_ms)
    student = (erasure.student_id, erasure.student_id)
    about = own_envelope(erasure.event_id, source, home, student, at, erasure.version, OFFICE)
    clear = from_millis(erasure.backups_clear_ms)
    return StudentErased(about, erasure.student_id, home, erasure.key_ids, at, clear)


def _payload(value: bytes) -> PrivatePayload:
    try:
        found = decode(value)
    except Unreadable as error:
        raise PrivateError(f"a payload cannot be read: {error}") from error
    if not isinstance(found, PrivatePayload):
        raise PrivateError(f"{found.EVENT} where a payload belongs; tell the hub's operators")
    return found
