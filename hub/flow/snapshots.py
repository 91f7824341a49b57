"""Snapshots of the ledger's state as files, and whether one may be started from.

Owns a folder of files and the question whether the log still says what a snapshot says; the bytes are
`hub.ledger.snapshot`'s. What cannot be used is named in the log of the process and passed over, for an older one or for
the log itself. A machine without the folder starts more slowly, and that is all.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import structlog

from hub.flow.kafka import Message, Reader, plain_reader
from hub.ledger.apply import RULE_VERSION
from hub.ledger.audit import Audit
from hub.ledger.head import entry_hash
from hub.ledger.snapshot import (
    Mark,
    SnapshotUnfit,
    dump,
    dump_audit,
    load,
    load_audit,
    mark_of,
    read_mark,
)
from hub.ledger.state import State
from schemas import topics
from schemas.tlog.merkle import Frontier

log = structlog.get_logger("snapshots")

KEPT = 2
PATIENCE_S = 30  # for one record of Kafka
_STATE, _AUDIT = ".snapshot", ".audit"
# What an entry's bytes follow from.
_DECIDING = ("hub.domain", "hub.events", "hub.ledger", "hub.recognition", "schemas")
_SOURCES = frozenset({".avsc", ".json", ".py", ".toml"})


@dataclass(frozen=True, slots=True)
class Start:
    """A state to go on from, and where in the log. `audit` is there for those who asked for it."""

    mark: Mark
    state: State
    audit: Audit | None = None

    @property
    def next_offset(self) -> int:
        """Of `ledger.entries`."""
        return self.mark.offset + 1


@cache
def rules_name() -> str:
    """Names the rules at hand: their version, the Python they run on and a digest of their sources and schemas.

    A changed comment changes it, too: a start from the log is never wrong, one from the state of other rules may be.
    """
    digest = hashlib.sha256()
    for package in _DECIDING:
        (root,) = (Path(place) for place in import_module(package).__path__)
        for path in sorted(root.rglob("*")):
            if path.suffix in _SOURCES:
                content = path.read_bytes()
                digest.update(f"{package}/{path.relative_to(root)} {len(content)}\n".encode())
                digest.update(content)
    python = ".".join(str(number) for number in sys.version_info[:2])
    return f"{RULE_VERSION}-py{python}-{digest.hexdigest()[:32]}"


def newest_first(folder: Path) -> list[Path]:
    """The snapshots of a folder; none when there is no folder."""
    return sorted(folder.glob(f"ledger-*{_STATE}"), reverse=True)


def save(
    folder: Path, state: State, offset: int, frontier: Frontier, audit: Audit | None = None
) -> Path:
    """Write a snapshot whole or not at all, and drop all but the newest two. Raises `OSError`."""
    mark = mark_of(state, offset, frontier, rules_name())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ledger-{mark.seq:012d}{_STATE}"
    if audit is not None:
        _write(path.with_suffix(_AUDIT), dump_audit(audit, mark))
    _write(path, dump(state, mark))
    for old in newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
        old.with_suffix(_AUDIT).unlink(missing_ok=True)
    return path


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """By another name first; a file that has its name is whole, also after a power cut."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with new.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def newest_start(
    bootstrap: str, folder: Path, members: frozenset[str], *, audited: bool = False
) -> Start | None:
    """The newest snapshot that fits these members, the rules at hand and the log; None if the log must be read from its start.

    `audited` asks for one with what an auditor added up by then.
    """
    paths = await asyncio.to_thread(newest_first, folder)
    if not paths:
        return None
    async with plain_reader(bootstrap, [(topics.LEDGER_ENTRIES, 0)], "hub.snapshots") as reader:
        for path in paths:
            try:
                start = await _start(reader, path, members, audited=audited)
            except (SnapshotUnfit, OSError) as error:
                log.warning("snapshot_unfit", file=str(path), why=str(error))
                continue
            log.info("snapshot_taken", file=str(path), seq=start.mark.seq)
            return start
    return None


async def _start(reader: Reader, path: Path, members: frozenset[str], *, audited: bool) -> Start:
    data = await asyncio.to_thread(path.read_bytes)
    mark = read_mark(data)
    if mark.rules != rules_name():
        raise SnapshotUnfit(f"it is of rules {mark.rules}, here are {rules_name()}")
    if mark.members != tuple(sorted(members)):
        raise SnapshotUnfit(f"its members are {', '.join(mark.members)}; alliance.toml has others")
    await _check_log(reader, mark)
    with without_collection():  # in a thread: reading takes seconds, and Kafka wants to hear of us
        state = await asyncio.to_thread(load, data)
        audit = None
        if audited:
            added_up = await asyncio.to_thread(path.with_suffix(_AUDIT).read_bytes)
            audit = await asyncio.to_thread(load_audit, added_up, mark)
    return Start(mark, state, audit)


@contextmanager
def without_collection() -> Iterator[None]:
    """Millions of new objects that all stay: looking for garbage among them takes longer than making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


async def _check_log(reader: Reader, mark: Mark) -> None:
    """Whether the log holds the snapshot's newest entry at that place: else it is another ledger, or one that lost its end."""
    end = await reader.end(topics.LEDGER_ENTRIES)
    if mark.offset >= end:
        raise SnapshotUnfit(
            f"its entry {mark.seq} stands at offset {mark.offset}, ledger.entries ends at {end}"
        )
    reader.seek(topics.LEDGER_ENTRIES, mark.offset)
    found = await _one(reader)
    if found.offset != mark.offset or entry_hash(found.value or b"") != mark.hash:
        raise SnapshotUnfit(
            f"ledger.entries holds another record at offset {found.offset} than its entry {mark.seq} "
            f"with hash {mark.hash.hex()}: it is of another ledger"
        )


async def _one(reader: Reader) -> Message:
    for _ in range(PATIENCE_S):
        for message in await reader.batch(1000, 1):
            return message
    raise SnapshotUnfit(f"its place in ledger.entries could not be read within {PATIENCE_S} s")


def try_to_save(folder: Path, state: State, offset: int, frontier: Frontier, audit: Audit) -> None:
    """As `save`; a full disk is told and costs the next start its time, nothing else."""
    try:
        path = save(folder, state, offset, frontier, audit)
    except OSError as error:
        log.error("snapshot_not_written", folder=str(folder), why=str(error))
        return
    with suppress(OSError):
        log.info("snapshot_written", file=path.name, seq=state.head.seq, bytes=path.stat().st_size)
