"""A campus's records to signed events: which mapping, encoded once, signed once. A page has one signature for all.

Owns what happens between a source's page and the outbox. No network; storage only to look up what a collection's
record held before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from connectors.sdk import changes
from connectors.sdk.config import SourceConfig
from connectors.sdk.contract import Item, Permanent, Seen
from connectors.sdk.mapping.coverage import Coverage
from connectors.sdk.mapping.event import EventMapping, no_pseudonyms
from connectors.sdk.mapping.expressions import MISSING, compile_path
from connectors.sdk.private.vault import Person, Vault, prefix
from connectors.sdk.state.file import Mapped, Outgoing, State
from connectors.sdk.state.parking import BLOCKED, MAP, Failure, Parked, mentions
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
        raise Permanent(f"{said}: {error}; correct the mapping", said, code="ENCODE") from error
    if len(value) > envelope.EVENT_BYTES:
        raise Permanent(
            f"{record.EVENT} {about.event_id}: {len(value)} bytes, at most {envelope.EVENT_BYTES} fit; map less text",
            f"{record.EVENT}: too large",
            code="TOO_LARGE",
        )
    return Outgoing(
        event_id=about.event_id,
        event=record.EVENT,
        topic=topics.outbox(about.member),
        key=about.partition_key.encode(),
        value=value,
        headers=envelope.event_headers(about, schema_of(value), signer.key_id, b""),
    )


@dataclass(frozen=True, slots=True)
class _Change:
    """One item to map. `seen` is what is to be remembered of a record of which only the newest contents count."""

    mapping: EventMapping
    id: str
    data: Any
    seen: Seen | None = None


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
        self._signer = signer
        self._state = state
        self._vault = vault
        self._part = f"source.{source.name}"
        self.use(source)
        self._fresh: dict[str, Seen] = {}  # of this page: not yet in the state
        self._stopped: set[str] = set()  # keys of which this page parks something
        self._erased: set[str] = set()  # names of students whom this page erases

    def use(self, source: SourceConfig) -> None:
        """From now on, map as this says: its files were corrected."""
        self._source = source
        self._select = compile_path(source.table.select) if source.table.select else None
        self._key = compile_path(source.table.changes.key) if source.table.changes else None
        watched = [one for one in source.mappings.values() if one.policy.extra_input == "report"]
        changes = source.table.changes
        read = [path for path in (source.table.select, changes.key if changes else None) if path]
        self._coverage = Coverage(watched, read) if watched else None

    def unread(self) -> list[str]:
        """Input that no mapping reads, each path once; of mappings that ask for it (`extra_input = "report"`)."""
        return self._coverage.news() if self._coverage else []

    def dry(self, source: SourceConfig | None = None) -> Mapper:
        """One that looks nothing up and leaves nothing behind; mapping as `source` says, or as this one does."""
        return Mapper(source or self._source, self._signer, None)

    def page(self, items: Sequence[Item], now: datetime) -> Mapped:
        """What a page comes to; stored is what `Vault` keeps of it, nothing else.

        Records parked before that pass now are mended. A change whose key is held by an earlier one is parked behind it
        unread, unless only newest contents count: then it takes the earlier one's place.
        """
        self._begin()
        mapped = Mapped()
        parked = self._parked_among(items)
        for item in items:
            if self._waits(item):
                mapped.parked.append(self._behind(item))
                continue
            try:
                change = self._named(item, now)
                event = None
                if change is None and item.seen is not None:
                    mapped.seen.append(self._ignored(item.seen))
                if change is not None:
                    if change.seen is not None and parked.get(change.id) == change.seen.hash:
                        continue  # tried since the mapping was read, and no other now
                    event = self._event(change, now)
            except Permanent as error:
                row = self._parked(item, error)
                if row.contents is None or parked.get(row.id) != row.contents:
                    mapped.parked.append(row)
                continue
            if event is not None and change is not None:
                mapped.events.append(event)
                if change.seen is not None:
                    mapped.seen.append(change.seen)
                    self._supersede(mapped, change)
            if parked and (id := self._id(item)) in parked:
                mapped.mended.append(id)
        return self._finished(mapped)

    def _supersede(self, mapped: Mapped, change: _Change) -> None:
        """Older contents of the same record that this very page would park count no longer."""
        if change.seen is not None and change.seen.key in self._stopped:
            self._stopped.discard(change.seen.key)
            mapped.parked = [row for row in mapped.parked if row.id != change.id]

    def again(self, queues: Sequence[Sequence[Parked]], now: datetime) -> Mapped:
        """Try parked records again, each queue in order up to the first that does not pass. Stores as `page` does."""
        self._begin()
        mapped = Mapped()
        for queue in queues:
            for row in queue:
                try:
                    event, seen = self.event(_item(row), now)
                except Permanent as error:
                    failure = Failure(row.number, str(error), error.brief, error.code or MAP)
                    mapped.failed.append(failure)
                    break
                mapped.events += [event] if event else []
                mapped.seen += [seen] if seen else []
                mapped.passed.append(row.number)
        return self._finished(mapped)

    def event(self, item: Item, now: datetime) -> tuple[Outgoing | None, Seen | None]:
        """The item's event, not yet signed (None: nothing to tell, by a named rule). Raises `Permanent`."""
        change = self._named(item, now)
        event = None if change is None else self._event(change, now)
        return event, change.seen if change is not None and event is not None else None

    def _begin(self) -> None:
        self._fresh.clear()
        self._stopped.clear()
        self._erased.clear()

    def _finished(self, mapped: Mapped) -> Mapped:
        mapped.events = signed(mapped.events, self._signer)
        if self._erased:
            mapped.parked = [
                row
                for row in mapped.parked
                if not mentions(row.payload["data"], self._erased)
                and not mentions(row.key, self._erased)
            ]
        return mapped

    def _named(self, item: Item, now: datetime) -> _Change | None:
        """What of an item is to be mapped, and how; None: nothing to tell. Raises `Permanent`."""
        if item.fault is not None:
            raise item.fault
        with self._surprises():
            mapping = self._mapping(item)
            if mapping is None:
                return None
            if self._key is not None:
                return self._changed(item, mapping, now)
            if item.seen is not None:
                return self._renumbered(item, mapping, item.seen, now)
            return _Change(mapping, self._id(item), item.data)

    def _event(self, change: _Change, now: datetime) -> Outgoing:
        with self._surprises():
            record = self._record(change.mapping, change.data, now)
            if self._coverage is not None and change.mapping.policy.extra_input == "report":
                self._coverage.add(change.mapping, change.data, record)
            event = _draft(record, self._signer)
        if change.seen is not None:
            self._fresh[change.seen.key] = change.seen
        return event

    @contextmanager
    def _surprises(self) -> Iterator[None]:
        try:
            yield
        except _SURPRISES as error:
            said = f"{self._part}: a record of unexpected shape"
            raise Permanent(
                f"{said}: {type(error).__name__}: {error}; correct the mapping or select",
                said,
                code="MAP_SHAPE",
            ) from error

    # Parking --------------------------------------------------------------------------------------------------------

    def _parked_among(self, items: Sequence[Item]) -> dict[str, bytes | None]:
        """Which of a page's records are parked; asked of the file only when something is."""
        if self._state is None or not self._state.parking.has(self._part):
            return {}
        return self._state.parking.among(self._part, [self._id(item) for item in items])

    def _waits(self, item: Item) -> bool:
        """Whether an earlier change of its key is parked and must go first."""
        if item.key is None or item.seen is not None or self._key is not None:
            return False
        held = self._state.parking.held(self._part) if self._state else ()
        return item.key in self._stopped or item.key in held

    def _behind(self, item: Item) -> Parked:
        said = f"{self._part}: waits behind an earlier change of its key"
        return self._row(item, said, said, BLOCKED)

    def _parked(self, item: Item, error: Permanent) -> Parked:
        row = self._row(item, str(error), error.brief, error.code or MAP)
        if row.key is not None:
            self._stopped.add(row.key)
        return row

    def _row(self, item: Item, reason: str, brief: str, code: str) -> Parked:
        payload = {"source": self._source.name, "origin": item.origin, "data": item.data}
        if item.key is not None:
            payload["key"] = item.key
        if item.fault is not None:
            payload["fault"] = [reason, brief, code]
        contents = None
        if item.seen is not None:
            payload["seen"] = [item.seen.key, item.seen.hash.hex(), item.seen.version]
            contents = item.seen.hash
        elif self._key is not None:
            contents = changes.digest(item.data)
        key = self._key_of(item)
        return Parked(
            "map", self._id(item), reason, brief, payload, self._part, key, code, contents
        )

    def _key_of(self, item: Item) -> str | None:
        """What must stay in order at the source, or what of a collection's record is its name."""
        if item.seen is not None:
            return item.seen.key
        if self._key is None:
            return item.key
        try:
            key = self._key(item.data)
        except _SURPRISES:
            return None
        return None if key is MISSING or key is None else str(key)

    def _id(self, item: Item) -> str:
        """Under what name a record is parked: where it stands, or where only its newest contents count its key."""
        key = None if item.seen is None and self._key is None else self._key_of(item)
        return f"{self._source.name}:{item.origin if key is None else key}"

    # Mapping --------------------------------------------------------------------------------------------------------

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
                code="MAP_NO_MAPPING",
            )
        return found

    def _changed(self, item: Item, mapping: EventMapping, now: datetime) -> _Change | None:
        """What a collection's record holds now, if that is not what it held before."""
        key = self._key_of(item)
        if key is None:
            said = f"{self._part}: a record without its key"
            raise Permanent(f"{said}; correct changes.key", said, code="MAP_MISSING")
        digest = changes.digest(item.data)
        before = self._before(key)
        if before is not None and before.hash == digest:
            return None
        return self._numbered(item, mapping, Seen(key, digest, _next(before)), now)

    def _renumbered(self, item: Item, mapping: EventMapping, seen: Seen, now: datetime) -> _Change:
        """A change that its kind has numbered: on from what was published, whatever of the key is parked."""
        held = self._state is not None and seen.key in self._state.parking.held(self._part)
        if held or seen.key in self._stopped:
            right = _next(self._before(seen.key))
            if right != seen.version:
                return self._numbered(item, mapping, replace(seen, version=right), now)
        return _Change(mapping, self._id(item), item.data, seen)

    def _ignored(self, seen: Seen) -> Seen:
        """What is remembered of contents that nobody wants: not to look at them again. They use up no number."""
        before = self._before(seen.key)
        kept = replace(seen, version=before.version if before else 0)
        self._fresh[seen.key] = kept
        return kept

    def _numbered(self, item: Item, mapping: EventMapping, seen: Seen, now: datetime) -> _Change:
        owner = self._signer.key_id
        data = changes.changed(item.data, seen, now, owner=owner, source=self._source.name)
        return _Change(mapping, self._id(item), data, seen)

    def _before(self, key: str) -> Seen | None:
        """What was last published of a record, this page included."""
        before = self._fresh.get(key)
        if before is None and self._state is not None:
            before = self._state.seen(self._source.name, key)
        return before


def _next(before: Seen | None) -> int:
    return before.version + 1 if before else 1


def _item(row: Parked) -> Item:
    """The item that was parked."""
    payload = row.payload
    seen, fault = payload.get("seen"), payload.get("fault")
    return Item(
        payload["data"],
        payload["origin"],
        payload.get("key"),
        None if seen is None else Seen(seen[0], bytes.fromhex(seen[1]), seen[2]),
        None if fault is None else Permanent(fault[0], fault[1], code=fault[2]),
    )
