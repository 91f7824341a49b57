"""What a connector says of itself, for the hub's operators and for its own pages: one heartbeat.

Owns the judgement of the whole from its parts. What does not change while a process runs is computed once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config
from connectors.sdk.contract import place
from connectors.sdk.runtime.keeping import Health
from connectors.sdk.runtime.parts import OpenedSource, Part, Parts
from connectors.sdk.runtime.silence import silence
from connectors.sdk.state.file import State
from schemas import envelope
from schemas.catalogue import catalogue
from schemas.records import BackfillProgress, ConnectorPart, Heartbeat

_LONGEST_REASON = 1_000  # characters, in heartbeats
_WORST = ("failed", "degraded", "stopped", "paused", "running")
_NOTED_EVERY_S = 60.0  # how exactly it is kept when a source last spoke; each note is a commit


@cache
def connector_version() -> str:
    """The version in heartbeats."""
    try:
        return version("alliance-hub")
    except PackageNotFoundError:
        return "unpackaged"


@cache
def reader_schemas() -> tuple[str, ...]:
    """Every schema this build reads, as `hub.outcome/2`."""
    return tuple(sorted(f"{one.event}/{one.version}" for one in catalogue().by_id.values()))


def mapping_hash(folder: Path, files: Sequence[Path]) -> str:
    """16 hex digits that change with any of these files, names included; empty without files."""
    if not files:
        return ""
    said = sha256()
    for file in sorted(set(files)):
        name = file.relative_to(folder) if file.is_relative_to(folder) else file
        body = file.read_bytes()
        said.update(f"{name}\n{len(body)}\n".encode() + body)
    return said.hexdigest()[:16]


def files_of(config: Config) -> list[Path]:
    """The mappings and code tables of a folder."""
    tables = [source.table for source in config.sources]
    names = {name for table in tables for name in (table.mapping, *table.mappings.values()) if name}
    return sorted(config.folder / name for name in names) + sorted(
        (config.folder / "codes").glob("*.csv")
    )


class Beats:
    """Makes the heartbeats of one connector; `sources` are the open ones by name."""

    def __init__(
        self, config: Config, state: State, clock: Clock, health: Health, parts: Parts,
        sources: Mapping[str, OpenedSource],
    ) -> None:  # fmt: skip
        self._config = config
        self._state = state
        self._clock = clock
        self._health = health
        self._parts = parts
        self._sources = sources
        self._expected = {source.name: source.table.expect for source in config.sources}
        self.mappings_read()
        self._host, self._pid = socket.gethostname(), os.getpid()
        self._started_at = clock.now()
        self._noted_at: float | None = None
        self._noted: dict[str, int | None] = {}

    def mappings_read(self) -> None:
        """From now on, tell of mappings and code tables as their files are now."""
        self._mapping_hash = mapping_hash(self._config.folder, files_of(self._config))

    def condition(self) -> tuple[str, str]:
        """The worst state, and all that people should look at. Reasons may leave the campus."""
        said = [self._health.overall()]
        if (held := self._parts.condition()) is not None:
            said.append(held)
        now_ms = self._now_ms()
        evidence = self._state.proofs.evidence_count()
        if evidence:
            newest = self._state.proofs.newest_brief()
            said.append(("failed", f"{evidence} pieces of evidence, newest: {newest}"))
        count, newest = self._state.parked_count()
        if count:
            said.append(("degraded", f"{count} parked, newest: {newest}"))
        count, newest = self._state.parking.waiting()
        if count:
            said.append(("degraded", f"{count} tried again soon, newest: {newest}"))
        for name, words in self._silent().items():
            said.append(("degraded", f"source.{name}: {words}"))
        if self._config.trust.policy is not None:
            after_ms = self._config.trust.receipt_after_ms
            count, oldest = self._state.receipts_overdue_count(now_ms, after_ms)
            if count:
                said.append(("degraded", f"{count} events without receipt, oldest: {oldest}"))
        words = "; ".join(reason for _, reason in said if reason)
        if len(said) > 1:
            words += "; run: alliance connector status"
        return min((state for state, _ in said), key=_WORST.index), words

    def make(self, state: str, reason: str) -> Heartbeat:
        """The heartbeat of now."""
        self._note()
        counts = self._state.counts()
        cursors = {name: place(cursor) for name, cursor in self._state.cursors().items()}
        parked = self._state.parking.by_part()
        silent = self._silent()
        return Heartbeat(
            member=self._config.member.code,
            connector=self._config.member.name,
            version=connector_version(),
            state=state,
            reason=reason[:_LONGEST_REASON],
            cursor=" ".join(f"{name}={cursor}" for name, cursor in cursors.items()),
            outbox_events=counts["outbox_events"],
            inbox_position=self._state.inbox_position()[0],
            published_total=counts["published_total"],
            applied_total=counts["applied_total"],
            at=self._clock.now(),
            mapping_hash=self._mapping_hash,
            reader_schemas=reader_schemas(),
            parts=tuple(self._part(part, cursors, parked, silent) for part in self._parts),
            backfills=tuple(
                BackfillProgress(one.source, one.state, one.pages, one.rows, one.rows_total)
                for one in self._state.backfills.newest()
            ),
            host=self._host,
            pid=self._pid,
            started_at=self._started_at,
        )

    def _part(
        self, part: Part, cursors: Mapping[str, str], parked: Mapping[str, tuple[int, int]], silent: Mapping[str, str]
    ) -> ConnectorPart:  # fmt: skip
        name = part.name.partition(".")[2]
        state, reason = part.state(self._health)
        source = self._sources.get(name) if not part.is_sink else None
        if source is not None and state == "running" and name in silent:
            state, reason = "degraded", silent[name]
        keys, events = parked.get(part.name, (0, 0))
        if state == "running" and events:
            state, reason = "degraded", f"{events} parked"
        wanted = self._expected.get(name) if source is not None else None
        return ConnectorPart(
            name=part.name,
            kind=part.kind,
            state=state,
            reason=reason[:_LONGEST_REASON],
            cursor=cursors.get(name) if source is not None else None,
            parked_keys=keys,
            parked_events=events,
            last_record_at=self._last(name) if source is not None else None,
            expected_s=None if wanted is None else wanted.every_s,
            behind_s=self._behind_s(source),
        )

    def _behind_s(self, source: OpenedSource | None) -> int | None:
        if source is None or source.watermark is None:
            return None
        return max(0, round((self._clock.now() - source.watermark).total_seconds()))

    def _last(self, name: str) -> datetime | None:
        """When a source last gave a record: in this life, or noted in an earlier one."""
        fresh = self._sources[name].last_record_at
        if fresh is not None:
            return fresh
        noted = self._state.commands.last_record_at(name)
        return None if noted is None else envelope.from_millis(noted)

    def _silent(self) -> dict[str, str]:
        """Sources that should have spoken, with words about it. One that people hold is not expected to speak."""
        held = {part.name for part in self._parts if part.held}
        now = self._clock.now()
        found = {}
        for name, wanted in self._expected.items():
            if wanted is None or f"source.{name}" in held:
                continue
            since = self._state.commands.since(name)
            first = self._started_at if since is None else envelope.from_millis(since)
            if words := silence(self._last(name), first, now, wanted):
                found[name] = words
        return found

    def _note(self) -> None:
        """Keep when sources last gave a record, once a minute: a start must not make a silent source look fresh."""
        now = self._clock.monotonic()
        if self._noted_at is not None and now - self._noted_at < _NOTED_EVERY_S:
            return
        last = {
            name: None if one.last_record_at is None else envelope.to_millis(one.last_record_at)
            for name, one in self._sources.items()
        }
        if last and last != self._noted:
            self._state.commands.note_progress(last, self._now_ms())
            self._noted = last
        self._noted_at = now

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())
