"""Reads files that a campus system drops: each row a change (`changes`), or all that is (`full_snapshot`).

Owns the order of one file's steps: copied, checked whole, told page by page, put away. The cursor names the file by its
contents and says how far it is told, so each step can be repeated after a crash. Growing files are in `growing`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from connectors.file_drop.folder import Entry, Folder, LocalFolder, Work
from connectors.file_drop.growing import GrowingFiles
from connectors.file_drop.options import DropOptions, server_of
from connectors.file_drop.reading import (
    Check,
    guarded,
    layout_in,
    rows_at,
    rows_in,
    unreadable,
)
from connectors.file_drop.rows import BadFile, Layout, Row
from connectors.file_drop.sftp import SftpFolder, ssh_command
from connectors.file_drop.yard import ACCEPT, Spooled, Yard, changed_at
from connectors.sdk import changes
from connectors.sdk.contract import (
    ConfigError,
    Context,
    Item,
    Page,
    Seen,
    Source,
    SourceKind,
    Transient,
)
from connectors.sdk.memory import Comparison, Todo

_SHOWN = 3  # rejected files named in one message


@dataclass(frozen=True, slots=True)
class Place:
    """The cursor: a file by name, contents and listing, and how far it is told.

    `changes` counts bytes (`offset`) and lines; `full_snapshot` the changes of the comparison named by `comparison`.
    """

    file: str
    sha256: str
    size: int = 0
    mtime: float = 0
    offset: int = 0
    line: int = 0
    comparison: str = ""
    place: int = 0
    done: bool = False

    @property
    def entry(self) -> Entry:
        """The file as it was listed."""
        return Entry(self.file, self.size, self.mtime)

    def text(self) -> str:
        """As a cursor; what says nothing is left out."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})


def place_of(cursor: str | None) -> Place | None:
    """The place a cursor names; None for the start. Raises `ConfigError` when it is no cursor of ours."""
    if not cursor:
        return None
    try:
        return Place(**json.loads(cursor))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"the cursor {cursor[:80]!r} is none of file_drop; reset it, or set one that was shown"
        ) from error


@dataclass(frozen=True, slots=True)
class Substitute:
    """What a test puts in the place of disks, network and threads (`Context.transport`)."""

    folder: Folder
    work: Work


@dataclass(slots=True)
class _Reading:
    """The file in hand. A comparison lives as long as the process; `name` tells one from the next."""

    file: Spooled
    layout: Layout
    comparison: Comparison | None = None
    name: str = ""

    def close(self) -> None:
        if self.comparison is not None:
            self.comparison.close()


class FileDrop:
    """One folder of one campus."""

    def __init__(self, options: DropOptions, context: Context, folder: Folder, work: Work) -> None:
        self._options = options
        self._context = context
        self._folder = folder
        self._work = work
        self._look = context.memory is None
        self._yard_held: Yard | None = None
        self._reading: _Reading | None = None
        self._put_away = ""  # the contents that were put away last, in this life

    async def check(self) -> str:
        """Look into the folder."""
        return await self._folder.check()

    async def page(self, cursor: str | None) -> Page:
        """Some rows of the file in hand, or of the next one. Rejected files show while there is nothing else to do."""
        place = place_of(cursor)
        yard = self._yard(place)
        if place is not None and not place.done:
            return await self._told(await self._taken_up(place, yard), place)
        if place is not None:
            await self._finish(place, yard)
        while (file := await yard.next()) is not None:
            if await self._known(file, place, yard):
                continue
            try:
                reading = await self._begun(file)
            except BadFile as error:
                await self._reject(file, str(error), yard)
                continue
            self._hold(reading)
            start = reading.layout
            begun = Place(
                file.entry.name, file.sha256, file.entry.size, file.entry.mtime,
                start.start, start.line, reading.name,
            )  # fmt: skip
            return await self._told(reading, begun)
        await self._complain(yard)
        return Page([], cursor or "", more=False)

    async def ack(self, cursor: str) -> None:
        """Put the file away once all of it is stored. `page` does it as well, should this be missed."""
        place = place_of(cursor)
        if place is not None and place.done:
            await self._finish(place, self._yard(place))

    async def close(self) -> None:
        """Let go of files and connections."""
        self._hold(None)
        if self._yard_held is not None:
            self._yard_held.close()
            self._yard_held = None
        await self._folder.close()

    def _yard(self, place: Place | None) -> Yard:
        """Opened at the first page, so that `check` leaves nothing behind."""
        if self._yard_held is None:
            self._yard_held = Yard(
                self._options, self._context, self._folder, self._work, look=self._look
            )
            self._yard_held.spool.tidy(place.sha256 if place and not place.done else None)
        return self._yard_held

    def _hold(self, reading: _Reading | None) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = reading

    # Which file -----------------------------------------------------------------------------------------------------

    async def _known(self, file: Spooled, last: Place | None, yard: Yard) -> bool:
        """Contents that were told before have no effect. An older full export would undo what came since: people decide."""
        if file.accepted:
            return False
        before = yard.notes.taken(file.sha256)
        if before is not None and (before.newest or self._options.mode == "changes"):
            await yard.done(file.entry, file.sha256)
            return True
        if self._options.mode == "changes" or last is None:
            return False
        told = last.file.removesuffix(ACCEPT)
        if before is not None:
            said = f"it holds what {before.name} held, told at {before.at}, and other exports were told since"
        elif self._options.order == "name" and file.name < told:
            said = f"its name stands before {told}, which was told already, so it seems to be an older export"
        elif self._options.order == "mtime" and file.entry.mtime < last.mtime:
            said = f"it is older than {told}, which was told already"
        else:
            return False
        await self._reject(file, said, yard)
        return True

    async def _begun(self, file: Spooled) -> _Reading:
        """Check a file whole, and compare it. Raises `BadFile`."""
        comparison = Comparison() if self._options.mode == "full_snapshot" else None
        reading: _Reading | None = None
        try:
            check = Check(file.path, self._options, comparison)
            while not await self._work(check.step):
                pass
            if comparison is not None:
                memory = self._context.memory
                found = await self._work(
                    comparison.against, memory.path() if memory else None, self._context.name,
                    self._options.deletes == "tell",
                )  # fmt: skip
                if not file.accepted:
                    guarded(self._options, check.rows, found)
            # Random, because a comparison made anew after a crash has other numbers than the one before.
            reading = _Reading(file, check.layout, comparison, secrets.token_hex(4))
            return reading
        finally:
            if reading is None and comparison is not None:
                comparison.close()

    async def _taken_up(self, place: Place, yard: Yard) -> _Reading:
        """The file in hand, or after a restart the same one again."""
        held = self._reading
        if held is not None and held.file.sha256 == place.sha256 and held.file.path.exists():
            return held
        file = await yard.again(place.entry, place.sha256)
        try:
            if self._options.mode == "full_snapshot":
                accepted = replace(
                    file.entry, name=file.name + ACCEPT
                )  # the guard was asked before
                reading = await self._begun(replace(file, entry=accepted))
            else:
                reading = _Reading(file, await self._work(layout_in, file.path, self._options))
        except BadFile as error:
            raise ConfigError(
                f"{file.name}: half of it is told, and now: {error}; undo what was changed in connector.toml"
            ) from error
        self._hold(reading)
        return reading

    async def _finish(self, place: Place, yard: Yard) -> None:
        if self._put_away != place.sha256 or self._reading is not None:
            self._hold(None)
            await yard.done(place.entry, place.sha256)
            self._put_away = place.sha256

    async def _reject(self, file: Spooled, why: str, yard: Yard) -> None:
        if self._look:
            raise ConfigError(f"{file.name}: would be rejected: {why}")
        accept = f"{file.name}{ACCEPT}"
        whole = (
            f"{why}\n\nCorrect it and deliver it anew. If it is right as it is, bring it back as {accept}: then the guard "
            "is not asked, and contents told before are told again. To forget it, delete it."
        )
        await yard.reject(file, whole, why)

    async def _complain(self, yard: Yard) -> None:
        """Files that wait for a person keep the source `degraded`, while new ones are read."""
        if yard.held:
            raise Transient(yard.held)
        waiting = [] if self._look else await yard.waiting()
        if waiting:
            shown = "; ".join(f"{name}: {why}" for name, why in waiting[:_SHOWN])
            raise Transient(
                f"{len(waiting)} files were rejected: {shown}; deliver them anew, bring them back as NAME{ACCEPT}, or delete them"
            )

    # What it tells --------------------------------------------------------------------------------------------------

    async def _told(self, reading: _Reading, place: Place) -> Page:
        """The next page of a file. Its last page says so: what is behind it is another file."""
        try:
            if reading.comparison is not None:
                return await self._compared(reading, reading.comparison, place)
            return await self._rows(reading, place)
        except BadFile as error:
            raise ConfigError(
                f"{reading.file.name}: half of it is told, and now: {error}; undo what was changed in connector.toml"
            ) from error

    async def _rows(self, reading: _Reading, place: Place) -> Page:
        layout, batch = reading.layout, self._options.batch
        found = await self._work(
            rows_in, reading.file.path, layout, place.offset, place.line, batch + 1
        )
        told = found[:batch]
        after = replace(place, done=len(found) <= batch)
        if told:
            after = replace(after, offset=told[-1].end, line=told[-1].last)
        items = [self._row_item(row, reading) for row in told]
        return self._page(items, after, reading)

    def _page(self, items: list[Item], after: Place, reading: _Reading) -> Page:
        """`more` even behind the last row: the file is to be put away, and another may wait."""
        at = changed_at(reading.file.entry, self._context.clock.now())
        return Page(items, after.text(), more=True, watermark=at if after.done else None)

    def _row_item(self, row: Row, reading: _Reading) -> Item:
        origin = f"file:{reading.file.name}#L{row.line}"
        if row.fault:
            return unreadable(row, origin, row.fault)
        key = reading.layout.key_of(row) if self._options.key else None
        return Item(row.data, origin, key)

    async def _compared(self, reading: _Reading, comparison: Comparison, place: Place) -> Page:
        batch = self._options.batch
        start = place.place if place.comparison == reading.name else 0
        found = await self._work(comparison.todo, start, batch)
        rows = await self._work(rows_at, reading.file.path, reading.layout, found)
        items = [
            item
            for one, row in zip(found, rows, strict=True)
            if (item := self._change_item(one, row, reading)) is not None
        ]
        at = found[-1].place if found else start
        after = replace(place, comparison=reading.name, place=at, done=len(found) < batch)
        return self._page(items, after, reading)

    def _change_item(self, one: Todo, row: Row | None, reading: _Reading) -> Item | None:
        """A change with its number. The memory is asked at the last moment: a parked record may have passed meanwhile."""
        origin = f"file:{reading.file.name}" + (f"#L{one.line}" if row else "#gone")
        if one.key is None:
            return unreadable(row, origin, one.fault) if row else None
        memory = self._context.memory
        before = memory.get(one.key) if memory is not None else None
        if before is not None and before.hash == one.hash:
            return None
        seen = Seen(one.key, one.hash, before.version + 1 if before else 1)
        data: dict[str, Any] = reading.layout.of_key(one.key) if row is None else row.data
        at = changed_at(reading.file.entry, self._context.clock.now())
        told = changes.changed(
            data, seen, at, owner=self._context.member, source=self._context.name
        )
        return Item(told, origin, one.key, seen)


def _folder_of(options: DropOptions, context: Context) -> tuple[Folder, Work]:
    if isinstance(context.transport, Substitute):
        return context.transport.folder, context.transport.work
    if "://" not in options.location:
        return LocalFolder(context.folder / options.location, asyncio.to_thread), asyncio.to_thread
    server = server_of(options.location)
    identity, known_hosts = (
        _beside(context.folder, name) for name in (options.identity, options.known_hosts)
    )
    command = ssh_command(server, identity, known_hosts, options.timeout_s)
    return SftpFolder(server, command, options.timeout_s), asyncio.to_thread


def _beside(folder: Path, name: str | None) -> Path | None:
    return None if name is None else (folder / name).resolve()


def open_drop(options: DropOptions, context: Context) -> Source:
    """The source of one folder."""
    folder, work = _folder_of(options, context)
    kind = GrowingFiles if options.mode == "append" else FileDrop
    return kind(options, context, folder, work)


SOURCE = SourceKind(options=DropOptions, open=open_drop)
