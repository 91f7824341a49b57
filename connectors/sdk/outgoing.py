"""A campus's records to signed events: which mapping, encoded once, signed once. A page has one signature for all.

Owns what happens between a source's page and the outbox. No network; storage only to look up what a collection's
record held before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from connectors.sdk import changes
from connectors.sdk.config import SourceConfig
from connectors.sdk.contract import Item, Permanent, Seen
from connectors.sdk.expressions import MISSING, compile_path
from connectors.sdk.mapping import EventMapping, no_pseudonyms
from connectors.sdk.private import Person, Vault, prefix
from connectors.sdk.state import Mapped, Outgoing, Parked, State, mentions
from schemas import envelope, topics
from schemas.codec import encode, schema_of
from schemas.records import Envelope, Record, StudentErased
from schemas.signing import PAGE_LIMIT, Signer, sign_page

log = structlog.get_logger("connector")

# What data of any shape can raise in a mapping that expected another. The record is parked, the rest flows.
_SURPRISES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def envelope_of(record: Record) -> Envelope:
    """The envelope of a member's event. Raises `Permanent` for a record of the hub, which has none."""
    found = getattr(record, "envelope", None)
    if not isinstance(found, Envelope):
        said = f"{record.EVENT} where a member's event belongs"
        raise Permanent(f"{said}; tell the hub's operators", said)
    return found


def event_of(record: Record, signer: Signer) -> Outgoing:
    """The record as it will be published, byte for byte. Raises `Permanent` when it cannot be."""
    return signed([_draft(record, signer)], signer)[0]


def signed(drafts: Sequence[Outgoing], signer: Signer) -> list[Outgoing]:
    """The events with their signatures; those that are signed together are cheaper to make and to check."""
    events: list[Outgoing] = []
    for start in range(0, len(drafts), PAGE_LIMIT):
        page = drafts[start : start + PAGE_LIMIT]
        made = sign_page(signer, [draft.value for draft in page])
        for draft, signature in zip(page, made, strict=True):
            headers = [*draft.headers[:-1], (envelope.SIGNATURE, signature)]
            events.append(replace(draft, headers=headers))
    return events


def _draft(record: Record, signer: Signer) -> Outgoing:
    """The event without its signature, the last of its headers."""
    about = envelope_of(record)
    try:
        value = encode(record)
    except _SURPRISES as error:
        said = f"{record.EVENT}: does not encode"
        raise Permanent(f"{said}: {error}; correct the mapping", said) from error
    if len(value) > envelope.EVENT_BYTES:
        raise Permanent(
            f"{record.EVENT} {about.event_id}: {len(value)} bytes, at most {envelope.EVENT_BYTES} fit; map less text",
            f"{record.EVENT}: too large",
        )
    return Outgoing(
        event_id=about.event_id,
        event=record.EVENT,
        topic=topics.outbox(about.member),
        key=about.partition_key.encode(),
        value=value,
        headers=envelope.event_headers(about, schema_of(value), signer.key_id, b""),
    )


def _shown(mapping: EventMapping) -> Callable[[Person], str]:
    """Stands in for pseudonyms in a dry run, which must leave nothing behind."""
    return lambda _: f"{prefix(mapping.member)}{'0' * 32}"


class Mapper:
    """One source's records to events. `state` None forgets what was seen (dry run).

    Without `vault`, private parts stay out and the mapping can make no pseudonyms.
    """

    def __init__(
        self, source: SourceConfig, signer: Signer, state: State | None, vault: Vault | None = None
    ) -> None:
        self._source = source
        self._signer = signer
        self._state = state
        self._vault = vault
        self._select = compile_path(source.table.select) if source.table.select else None
        self._key = compile_path(source.table.changes.key) if source.table.changes else None
        self._fresh: dict[str, Seen] = {}  # of this page: not yet in the state
        self._erased: set[str] = set()  # names of students whom this page erases

    def page(self, items: Sequence[Item], now: datetime) -> Mapped:
        """What a page comes to; stored is what `Vault` keeps of it, nothing else. Records parked in an earlier life that pass now are mended."""
        self._fresh.clear()
        self._erased.clear()
        mapped = Mapped()
        before = self._state.parked_ids("map") if self._state else set()
        for item in items:
            try:
                event, seen = self.event(item, now)
            except Permanent as error:
                payload = {"source": self._source.name, "origin": item.origin, "data": item.data}
                mapped.parked.append(
                    Parked("map", self._id(item), str(error), error.brief, payload)
                )
                continue
            mapped.events += [event] if event else []
            mapped.seen += [seen] if seen else []
            mapped.mended += [self._id(item)] if before and self._id(item) in before else []
        mapped.events = signed(mapped.events, self._signer)
        if self._erased:
            mapped.parked = [
                row for row in mapped.parked if not mentions(row.payload["data"], self._erased)
            ]
        return mapped

    def event(self, item: Item, now: datetime) -> tuple[Outgoing | None, Seen | None]:
        """The item's event, not yet signed (None: nothing to tell, by a named rule). Raises `Permanent`."""
        try:
            return self._event(item, now)
        except _SURPRISES as error:
            said = f"source.{self._source.name}: a record of unexpected shape"
            raise Permanent(
                f"{said}: {type(error).__name__}: {error}; correct the mapping or select", said
            ) from error

    def _event(self, item: Item, now: datetime) -> tuple[Outgoing | None, Seen | None]:
        mapping = self._mapping(item)
        if mapping is None:
            return None, None
        if self._key is None:
            return _draft(self._record(mapping, item.data, now), self._signer), item.seen
        seen, data = self._changed(item, now)
        if seen is None:
            return None, None
        event = _draft(self._record(mapping, data, now), self._signer)
        self._fresh[seen.key] = seen
        return event, seen

    def _record(self, mapping: EventMapping, data: Any, now: datetime) -> Record:
        """The record an item tells of, its private part sealed and put aside."""
        if self._vault is None:
            return mapping.record(data, no_pseudonyms if self._state else _shown(mapping))
        record = mapping.record(data, self._vault.pseudonym)
        if isinstance(record, StudentErased):
            self._forget(record, self._vault)
            record = self._vault.erasing(record)
        part = mapping.part(data)
        if not part:
            return record
        return self._vault.sealed(record, part, envelope.to_millis(now))

    def _forget(self, record: StudentErased, vault: Vault) -> None:
        """Drop parked records about a student of ours, while it is still known whose pseudonym it is.

        That is committed before the vault destroys the link: a crash between the two repeats the page, and finds less.
        """
        if not record.student_id.startswith(prefix(vault.settings.member)):
            return
        names = vault.store.names(record.student_id)
        self._erased |= names
        if self._state is not None and (gone := self._state.forget_parked(names)):
            log.info("parked_records_forgotten", records=len(gone))

    def _id(self, item: Item) -> str:
        """Under what name a record is parked: where it stands, or in a collection its key."""
        key = self._key(item.data) if self._key else MISSING
        return f"{self._source.name}:{item.origin if key in (MISSING, None) else key}"

    def _mapping(self, item: Item) -> EventMapping | None:
        if self._select is None:
            return self._source.mappings[""]
        value = self._select(item.data)
        if value in self._source.table.ignore:
            return None
        found = self._source.mappings.get(value) if isinstance(value, str) else None
        if found is None:
            at = f"source.{self._source.name}"
            raise Permanent(
                f"{at}: {self._source.table.select} is {value!r}, which no mapping names; "
                f"add it to [{at}.mappings] or to ignore",
                f"{at}: no mapping for this kind of record",
            )
        return found

    def _changed(self, item: Item, now: datetime) -> tuple[Seen | None, Any]:
        """What a collection's record holds now, if that is not what it held before."""
        key = self._key(item.data) if self._key else MISSING
        if key is MISSING or key is None:
            said = f"source.{self._source.name}: a record without its key"
            raise Permanent(f"{said}; correct changes.key", said)
        key = str(key)
        digest = changes.digest(item.data)
        before = self._fresh.get(key)
        if before is None and self._state is not None:
            before = self._state.seen(self._source.name, key)
        if before is not None and before.hash == digest:
            return None, None
        number = before.version + 1 if before else 1
        seen = Seen(key, digest, number)
        owner = self._signer.key_id
        return seen, changes.changed(item.data, seen, now, owner=owner, source=self._source.name)
