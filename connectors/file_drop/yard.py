"""Where files wait, and where they go: which one is next, where its copy lies, and what becomes of it afterwards.

Every step here may be repeated after a crash and then finds its work done. What stands in a file is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from connectors.file_drop.folder import Entry, Folder, Work
from connectors.file_drop.notes import Notes
from connectors.file_drop.options import DropOptions
from connectors.file_drop.reading import sha256_of
from connectors.file_drop.spool import Spool
from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConfigError, Context
from schemas.envelope import rfc3339

ACCEPT = ".accept"  # behind a name: a person wants this file, whatever the guard says
_WHY = ".why.txt"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file of the folder and its copy here. `sha256` in hex; `accepted` when a person wants it."""

    entry: Entry
    sha256: str
    path: Path

    @property
    def name(self) -> str:
        """The name people know it by."""
        return self.entry.name.removesuffix(ACCEPT)

    @property
    def accepted(self) -> bool:
        """Whether a person wants it."""
        return self.entry.name.endswith(ACCEPT)


class Yard:
    """The folder as one source uses it. With `look` nothing is moved and nothing remembered (check, dry run)."""

    def __init__(
        self, options: DropOptions, context: Context, folder: Folder, work: Work, *, look: bool
    ) -> None:
        self._options = options
        self._clock: Clock = context.clock
        self._folder = folder
        self._work = work
        self._look = look
        self.held = ""
        self._since: dict[str, tuple[Entry, float]] = {}  # since when each file is as it is
        self.spool = Spool(context)
        self.notes = Notes(None if look else context.folder / f"files-{context.name}.db")

    def close(self) -> None:
        """Let go of our own files."""
        self.notes.close()
        self.spool.close()

    # What is next ---------------------------------------------------------------------------------------------------

    async def next(self) -> Spooled | None:
        """The first file, copied here once it is complete; None while it is not. Later ones wait, or they would overtake.

        `held` then says that complete ones wait behind it.
        """
        self.held = ""
        entries = await self._folder.entries()
        mine = [one for one in entries if self._matches(one.name) and not self.notes.stays(one)]
        mine.sort(key=lambda one: (one.mtime if self._options.order == "mtime" else 0, one.name))
        names = {one.name for one in entries}
        self._since = {name: since for name, since in self._since.items() if name in names}
        await self._drop_stray_markers(names)
        complete = [self._complete(one, names) for one in mine]
        if not mine or not complete[0]:
            if any(complete):
                self.held = f"{mine[0].name} is not complete, and {sum(complete)} complete files wait behind it; finish or remove it"
            return None
        return await self._fetched(mine[0])

    async def _drop_stray_markers(self, names: set[str]) -> None:
        """One whose file is gone is left from a crash. It would call the next file of that name complete too early."""
        suffix = self._options.ready.suffix
        if self._look or self._options.ready.type != "marker":
            return
        for name in sorted(names):
            plain = name.removesuffix(suffix)
            if name != plain and plain not in names and fnmatchcase(plain, self._options.pattern):
                await self._folder.remove(name)

    def _matches(self, name: str) -> bool:
        ready = self._options.ready
        marker = ready.type == "marker" and name.endswith(ready.suffix)
        plain = name.removesuffix(ACCEPT)
        return not name.startswith(".") and not marker and fnmatchcase(plain, self._options.pattern)

    def _complete(self, entry: Entry, names: set[str]) -> bool:
        ready = self._options.ready
        if self._look or ready.type == "rename":
            return True
        if ready.type == "marker":
            return entry.name.endswith(ACCEPT) or entry.name + ready.suffix in names
        now = self._clock.monotonic()
        known, since = self._since.get(entry.name, (None, now))
        if known != entry:
            self._since[entry.name] = (entry, now)
            since = now
        return now - since >= ready.for_s

    async def _fetched(self, entry: Entry) -> Spooled | None:
        """A copy of it; None when it changed meanwhile, so that it is looked at again."""
        part = self.spool.new()
        try:
            await self._folder.fetch(entry.name, part)
            if entry not in await self._folder.entries() or part.stat().st_size != entry.size:
                return None
            sha256 = await self._work(sha256_of, part)
            return Spooled(entry, sha256, part.rename(self.spool.copy(sha256)))
        finally:
            part.unlink(missing_ok=True)

    async def again(self, entry: Entry, sha256: str) -> Spooled:
        """The copy of a file that is half told. Raises `ConfigError` when it is nowhere to be had."""
        copy = self.spool.copy(sha256)
        if copy.exists() and await self._work(sha256_of, copy) == sha256:
            return Spooled(entry, sha256, copy)
        found = await self._folder.entries()
        found = [one for one in found if one.size == entry.size]
        for one in sorted(found, key=lambda one: one.name != entry.name):
            taken = await self._fetched(one)
            if taken is not None and taken.sha256 == sha256:
                return taken
        raise ConfigError(
            f"{entry.name}: it is half told and gone, with its copy; put the file with SHA-256 {sha256[:16]}... back, "
            "or set another cursor"
        )

    # What becomes of it ---------------------------------------------------------------------------------------------

    async def done(self, entry: Entry, sha256: str) -> None:
        """It is told (or was told before): remember its contents, and move it as the options say."""
        plain = entry.name.removesuffix(ACCEPT)
        self.notes.take(sha256, plain, rfc3339(self._clock.now()))
        if self._options.on_error == "keep":
            self.notes.accept(plain)
        await self._put_away(entry, await self._target(entry, sha256, self._options.on_done))
        if entry.name != plain and not self._look and self._options.on_error != "keep":
            await self._folder.remove(f"{self._options.on_error.rstrip('/')}/{plain}{_WHY}")
        self.spool.copy(sha256).unlink(missing_ok=True)

    async def reject(self, file: Spooled, why: str, brief: str) -> None:
        """It must not be told: move it where people find it, with the reason beside it. `brief` may leave the campus."""
        target = await self._target(file.entry, file.sha256, self._options.on_error)
        self.notes.reject(PurePosixPath(target).name, brief)
        if target != file.entry.name:
            text = f"{rfc3339(self._clock.now())} {file.name} was rejected.\n\n{why}\n"
            await self._folder.write(f"{target}{_WHY}", text)
        await self._put_away(file.entry, target)
        file.path.unlink(missing_ok=True)

    async def _target(self, entry: Entry, sha256: str, where: str) -> str:
        """Where a file goes: its own name if it stays, nothing if it is deleted."""
        if self._look or where == "keep":
            return entry.name
        if where == "delete":
            return ""
        inner = where.replace("{date}", self._clock.now().date().isoformat()).rstrip("/")
        names = {one.name for one in await self._folder.entries(inner)}
        return f"{inner}/{_free(entry.name.removesuffix(ACCEPT), sha256, names)}"

    async def _put_away(self, entry: Entry, target: str) -> None:
        """Unless something else has that name by now: that is a new delivery."""
        if target == entry.name:
            self.notes.keep(entry)
            return
        if entry not in await self._folder.entries():
            return
        if target:
            await self._folder.move(entry.name, target)
        else:
            await self._folder.remove(entry.name)
        if self._options.ready.type == "marker":
            await self._folder.remove(entry.name.removesuffix(ACCEPT) + self._options.ready.suffix)

    async def waiting(self) -> list[tuple[str, str]]:
        """Rejected files that nobody has dealt with, and why. Those that are gone are forgotten."""
        target = self._options.on_error
        if target == "keep":
            there = {one.name for one in await self._folder.entries() if self.notes.stays(one)}
        else:
            found = await self._folder.entries(target.rstrip("/"))
            there = {one.name for one in found if not one.name.endswith(_WHY)}
        for name, _ in self.notes.rejected():
            if name not in there:
                self.notes.accept(name)
        if target == "keep":
            return self.notes.rejected()
        return [(name, self.notes.why(name) or f"see {name}{_WHY}") for name in sorted(there)]


def _free(name: str, sha256: str, names: set[str]) -> str:
    """The name, or one with a piece of the contents' hash in it if that name is taken."""
    if name not in names:
        return name
    path = PurePosixPath(name)
    return f"{path.stem}.{sha256[:8]}{path.suffix}"


def changed_at(entry: Entry, now: datetime) -> datetime:
    """When a file's contents were so: its time of change, unless that lies ahead of our clock."""
    return min(datetime.fromtimestamp(entry.mtime, UTC), now)
