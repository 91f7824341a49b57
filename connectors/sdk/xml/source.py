"""A source that reads XML documents over and over and tells what is new in them.

Owns the sweep over documents, the numbering of facts and the memory of what was told. Where documents lie is a
`Documents`, what they say a `Reader`; both belong to the kinds.

A document holds what *is*. Each thing it is about (a mobility, an award) has a log of what was told of it: entries
`<thing>#1`, `#2`, ... of the table `seen`, so a fact has its number and its event id once and for all. Of one thing, the
next fact comes only when the one before is stored: while one is parked, nothing of that thing goes past it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol, TypeVar, cast

from connectors.sdk import changes
from connectors.sdk.contract import ConfigError, Context, Item, Memory, Page, Seen, Transient
from connectors.sdk.xml.document import MAX_BYTES, Node, XmlError, parse

_DIGEST_BYTES, _AS_OF_BYTES = 32, 8  # what a log entry's hash is made of
HELD_S = 60.0  # how often a document is read again whose next fact is parked


@dataclass(frozen=True, slots=True)
class Fact:
    """Something a document says that may be worth an event.

    `event` chooses the mapping; `thing` is what is numbered; `identity` makes it the same fact when it is read again. A
    fact is told once, or with `follows` whenever it is not the newest of its thing: then under that name. `as_of`
    (milliseconds since 1970, 0 for unknown) is when the document was made: an older one changes nothing.
    `needs_told` and `bars_told` name things of which something must, or must not, have been told before.
    """

    event: str
    thing: str
    identity: Any
    data: Mapping[str, Any]
    follows: str | None = None
    as_of: int = 0
    needs_told: str | None = None
    bars_told: str | None = None


class Reader(Protocol):
    """What documents of one kind say. Pure but for what it remembers of documents that belong together."""

    def facts(self, root: Node, at: str, sha256: str) -> Sequence[Fact]:
        """The facts of a document, oldest first. Raises `XmlError` for one it does not understand."""

    def complete(self, event: str, data: dict[str, Any]) -> bool:
        """Add to the data what must be looked up; False when some of it is not known (yet).

        Asked only for facts that are to be told. One that lacks something is offered all the same, so that its mapping
        can say what; it is offered anew once it is known.
        """


@dataclass(frozen=True, slots=True)
class Named:
    """A document by its name; another `stamp` means that it changed. An empty one tells nothing."""

    name: str
    stamp: str = ""


class Documents(Protocol):
    """Where documents lie."""

    incremental: bool  # whether `names` heeds `since`

    async def check(self) -> str:
        """Open it and say in one line what is there."""

    async def names(self, since: datetime | None) -> Sequence[Named]:
        """The documents there are; those changed since, where that can be asked."""

    async def read(self, names: Sequence[Named]) -> Sequence[tuple[Named, bytes]]:
        """The documents of these names that are still there."""

    async def close(self) -> None:
        """Let go of connections."""


class Folder:
    """Documents in a folder, in the order of their names. A document is a file that has one."""

    incremental = False

    def __init__(self, path: Path, pattern: str, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._pattern = pattern
        self._max_bytes = max_bytes

    async def check(self) -> str:
        """Count the files."""
        return f"{self._path}: {len(await self.names(None))} files match {self._pattern}"

    async def names(self, since: datetime | None) -> Sequence[Named]:
        """The files that match; hidden ones are being written."""
        return await asyncio.to_thread(self._names)

    def _names(self) -> list[Named]:
        if not self._path.is_dir():
            raise ConfigError(f"{self._path}: is no folder; create it or correct `folder`")
        try:
            found = sorted(self._path.glob(self._pattern))
            names = [(str(path.relative_to(self._path)), _stamp(path)) for path in found]
            return [Named(name, stamp) for name, stamp in names if stamp]
        except OSError as error:
            raise Transient(f"{self._path}: {error.strerror}; is the share there?") from error

    async def read(self, names: Sequence[Named]) -> Sequence[tuple[Named, bytes]]:
        """The files' bytes; one that was moved away meanwhile is left out."""
        return await asyncio.to_thread(self._bytes, names)

    def _bytes(self, names: Sequence[Named]) -> list[tuple[Named, bytes]]:
        found = []
        for named in names:
            try:
                with (self._path / named.name).open("rb") as file:
                    found.append((named, file.read(self._max_bytes + 1)))
            except FileNotFoundError:
                continue
            except PermissionError as error:
                raise ConfigError(
                    f"{self._path / named.name}: may not be read; give the connector's account the right to"
                ) from error
            except OSError as error:
                raise Transient(
                    f"{self._path / named.name}: {error.strerror}; is the share there?"
                ) from error
        return found

    async def close(self) -> None:
        """Nothing is open."""


def _stamp(path: Path) -> str:
    """What changes with a file; empty for what is none, or none any more."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ""
    taken = S_ISREG(found.st_mode) and not path.name.startswith(".")
    return f"{found.st_size}:{found.st_mtime_ns}" if taken else ""


def _shown(name: str) -> str:
    """A name as text: file systems take bytes that are none."""
    return name.encode("utf-8", "backslashreplace").decode()


T = TypeVar("T")


class Substitute:
    """What a test puts in the place of a folder, as a context's `transport`."""


def in_place(context: Context, folder: T) -> T:
    """A test's folder where there is one, in place of the real one."""
    given = context.transport
    return cast(T, given) if isinstance(given, Substitute) else folder


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sweep is. `since` is when the last complete one began, `full` when the last one over everything did."""

    after: str = ""
    round: int = 0
    began: str = ""
    since: str = ""
    full: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> Place:
        return cls() if cursor is None else cls(**json.loads(cursor))

    def cursor(self) -> str:
        said = {
            name: value
            for name in ("after", "round", "began", "since", "full")
            if (value := getattr(self, name))
        }
        return json.dumps(said, sort_keys=True)


@dataclass(slots=True)
class _Round:
    """What one look at some documents brings."""

    items: list[Item] = field(default_factory=list)
    # Documents with a fact that was offered and is not stored.
    held: set[str] = field(default_factory=set)
    taken: Counter[str] = field(default_factory=Counter)  # facts of each thing
    offered: set[str] = field(default_factory=set)  # names of its items


class XmlSource:
    """Sweeps over documents. Knows for this life which documents have nothing new, and does not read those again."""

    def __init__(
        self, documents: Documents, reader: Reader, context: Context, *, batch: int = 50, settle_s: float = 10,
        full_every_s: float = 86_400, max_bytes: int = MAX_BYTES,
    ) -> None:  # fmt: skip
        self._documents = documents
        self._reader = reader
        self._context = context
        self._batch = batch
        self._settle_s = settle_s
        self._full_every_s = full_every_s
        self._max_bytes = max_bytes
        self._names: Sequence[Named] | None = None
        self._settled: dict[str, str] = {}
        self._broken: dict[str, tuple[str, float]] = {}  # name: stamp, first seen (monotonic)
        self._offered: set[str] = set()  # names of the items of this look at some documents
        self._returned: str | None = None  # the cursor of the page that offered them
        self._read: tuple[Sequence[Named], Sequence[tuple[Named, bytes]]] = ((), ())
        # Names of items that were offered and not stored with their page: they are parked.
        self._waiting: set[str] = set()
        self._look_again: dict[str, float] = {}  # documents with such, and when (monotonic)
        self._held = False

    async def check(self) -> str:
        """Look at the documents' names."""
        return await self._documents.check()

    async def ack(self, cursor: str) -> None:
        """Documents stay where they are."""

    async def close(self) -> None:
        """Close what is open."""
        await self._documents.close()

    async def page(self, cursor: str | None) -> Page:
        """The next facts of some documents; the same documents again until they have nothing new, then the next."""
        if cursor != self._returned:
            self._offered.clear()  # their page was not stored
        place = await self._begun(Place.of(cursor))
        names = [one for one in self._names or () if one.name > place.after and self._new(one)]
        some = names[: self._batch]
        found = await self._look(await self._documents_of(some, again=place.round > 0))
        self._offered |= found.offered
        if found.items and self._context.memory is not None:
            self._returned = replace(place, round=place.round + 1).cursor()
            return Page(found.items, self._returned, more=True)
        self._held |= bool(found.held)
        self._offered.clear()
        self._read = (), ()
        self._settle([named for named in some if named.name not in found.held])
        more = len(names) > len(some)
        after = replace(place, after=some[-1].name, round=0) if more else self._over(place)
        return Page(found.items, after.cursor(), more)

    async def _documents_of(
        self, some: Sequence[Named], *, again: bool
    ) -> Sequence[tuple[Named, bytes]]:
        """The documents; those of the last look where it is repeated."""
        if some and not (again and self._read[0] == some):
            self._read = some, await self._documents.read(some)
        return self._read[1] if some else ()

    def _new(self, named: Named) -> bool:
        if not named.stamp:
            return True
        if self._settled.get(named.name) == named.stamp:
            return False
        again_s = self._look_again.get(f"{named.name} {named.stamp}", 0.0)
        return self._context.clock.monotonic() >= again_s or bool(self._offered)

    def _settle(self, looked_at: Sequence[Named]) -> None:
        """These have nothing new until they change."""
        for named in looked_at:
            if named.stamp:
                self._settled[named.name] = named.stamp
                self._look_again.pop(f"{named.name} {named.stamp}", None)

    async def _begun(self, place: Place) -> Place:
        """The place, at the start of a sweep with the names of what is to be read."""
        if self._names is not None and (place.after or place.round):
            return place
        incremental = self._documents.incremental
        now = self._context.clock.now()
        if incremental and not place.began:
            whole = place.full and datetime.fromisoformat(place.full)
            due = not whole or (now - whole).total_seconds() >= self._full_every_s
            place = replace(place, began=now.isoformat())
            if due:
                place = replace(place, since="", full=now.isoformat())
        since = datetime.fromisoformat(place.since) if place.since else None
        self._names = sorted(await self._documents.names(since), key=lambda named: named.name)
        return place

    def _over(self, place: Place) -> Place:
        """The place after a sweep. One that left something behind is repeated from where it began."""
        self._names = None
        since = place.since if self._held else place.began
        self._held = False
        return Place(since=since, full=place.full)

    async def _look(self, documents: Sequence[tuple[Named, bytes]]) -> _Round:
        """What the documents have to tell. Changes nothing that a cancelled page would have to take back."""
        found = _Round()
        for named, data in documents:
            await asyncio.sleep(0)  # others have their turn between documents, which may be large
            at = _shown(named.name)
            try:
                sha256 = hashlib.sha256(data).hexdigest()
                facts = self._reader.facts(parse(data, at, max_bytes=self._max_bytes), at, sha256)
            except XmlError as error:
                self._unreadable(named, data, error, found)
                continue
            self._broken.pop(named.name, None)
            for fact in facts:
                self._tell(fact, named, found)
        return found

    def _unreadable(self, named: Named, data: bytes, error: XmlError, found: _Round) -> None:
        """Park the document, unless it may still be written at: then wait `settle_s` for it to change."""
        stamp = named.stamp or hashlib.sha256(data).hexdigest()
        now_s = self._context.clock.monotonic()
        known, since_s = self._broken.get(named.name, ("", now_s))
        since_s = since_s if known == stamp else now_s
        self._broken[named.name] = stamp, since_s
        young = error.code == "XML_TRUNCATED" and now_s - since_s < self._settle_s
        if young:
            found.held.add(named.name)
            return
        name = f"{named.name} {stamp}"
        if name in self._offered or name in self._waiting:
            self._waiting.add(name)
            return
        found.offered.add(name)
        shown = _shown(named.name)
        found.items.append(Item({"document": shown}, shown, fault=error))

    def _tell(self, fact: Fact, named: Named, found: _Round) -> None:
        """Offer a fact if it is the next that its thing has to tell."""
        memory = self._context.memory
        told = list(_told(memory, fact.thing))
        if fact.needs_told and not _any_told(memory, fact.needs_told):
            return
        if fact.bars_told and _any_told(memory, fact.bars_told):
            return
        digests = changes.digest(fact.identity), changes.digest([fact.identity, "lacking"])
        known = told[-1:] if fact.follows else told
        if any(seen.hash[:_DIGEST_BYTES] in digests for seen in known):
            return
        if fact.follows and told and fact.as_of < int.from_bytes(told[-1].hash[_DIGEST_BYTES:]):
            return  # an older transcript lies beside the newer one
        if found.taken[fact.thing] and memory is not None:
            return
        found.taken[fact.thing] += 1
        number = len(told) + found.taken[fact.thing]
        item = self._item(fact, _shown(named.name), number, told, digests)
        event_id = item.data["_change"]["eventId"]
        if event_id in self._offered or event_id in self._waiting:
            self._waiting.add(event_id)
            found.held.add(named.name)
            self._look_again[f"{named.name} {named.stamp}"] = (
                self._context.clock.monotonic() + HELD_S
            )
            return
        found.offered.add(event_id)
        found.items.append(item)

    def _item(
        self, fact: Fact, at: str, number: int, told: Sequence[Seen], digests: tuple[bytes, bytes]
    ) -> Item:
        event = fact.follows if fact.follows and told else fact.event
        now = self._context.clock.now()
        data = {**fact.data, "event": event}
        digest = digests[0] if self._reader.complete(event, data) else digests[1]
        digest += fact.as_of.to_bytes(_AS_OF_BYTES) if fact.as_of > 0 else b""
        key = f"{fact.thing}#{number}"
        data = self._changed(data, Seen(key, digest, number), now)
        data["occurred_at"] = data.get("occurred_at") or data["_change"]["at"]
        if told:
            last = replace(told[-1], version=len(told))
            data["supersedes"] = self._changed({}, last, now)["_change"]["eventId"]
        # An entry of the log is written once, so as a record of the table `seen` it has one version only.
        return Item(data, f"{at}#{fact.thing}", fact.thing, Seen(key, digest, 1))

    def _changed(self, data: Mapping[str, Any], seen: Seen, now: datetime) -> dict[str, Any]:
        return changes.changed(
            data, seen, now, owner=self._context.member, source=self._context.name
        )


def _told(memory: Memory | None, thing: str) -> Iterator[Seen]:
    """What was told of a thing, oldest first."""
    number = 1
    while memory is not None and (seen := memory.get(f"{thing}#{number}")) is not None:
        yield seen
        number += 1


def _any_told(memory: Memory | None, thing: str) -> bool:
    return next(_told(memory, thing), None) is not None
