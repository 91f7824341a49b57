"""Whether a connector's connections answer, and whether the machine it runs on is well.

Owns one `Check` a thing: what was looked at, what was found, and what to do. Changes nothing, at the campus or at the hub.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import shutil
import sqlite3
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from connectors.sdk.cli import rights
from connectors.sdk.cli.trying import context_of
from connectors.sdk.clock import Clock
from connectors.sdk.config import Config
from connectors.sdk.contract import ConfigError, ConnectorError, NoPermission, Transient
from connectors.sdk.runtime.host import is_running
from connectors.sdk.runtime.kafka import check_topics
from schemas import topics

_SKEW_S = 30.0  # a whole minute already makes changes look as if they came from the future
_EXPIRES_SOON = timedelta(days=21)
_LITTLE_BYTES = 1 << 30
_TOO_LITTLE_BYTES = 100 << 20
_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `error` is what a fault raised, for the exit code."""

    state: Literal["ok", "warning", "fault"]
    what: str
    said: str
    error: ConnectorError | None = None

    def to_json(self) -> dict[str, str]:
        return {"state": self.state, "what": self.what, "said": self.said}

    def __str__(self) -> str:
        mark = {"ok": "ok   ", "warning": "WARN ", "fault": "FAULT"}[self.state]
        return f"{mark} {self.what}: {self.said}"


async def connections(config: Config, clock: Clock) -> AsyncIterator[Check]:
    """The broker and its topics, then each source and sink, as they answer."""
    yield await _answered("kafka", _broker(config))
    for source in config.sources:
        opened = source.kind.open(source.options, context_of(config, source.name, clock))
        yield await _answered(f"source.{source.name}", opened.check())
        await opened.close()
    for sink in config.sinks:
        target = sink.kind.open(sink.options, context_of(config, sink.name, clock))
        yield await _answered(f"sink.{sink.name}", target.check())
        await target.close()


async def _answered(what: str, work: Awaitable[str]) -> Check:
    try:
        return Check("ok", what, await work)
    except ConnectorError as error:
        return Check("fault", what, str(error), error)


def wanted_topics(config: Config) -> dict[str, int]:
    """The topics of this connector, and whether it reads or writes each."""
    code = config.member.code
    wanted = {
        topics.outbox(code): rights.WRITE,
        topics.inbox(code): rights.READ,
        topics.HEARTBEATS: rights.WRITE,
    }
    if config.trust.witness is not None:
        wanted |= {topics.CHECKPOINTS: rights.READ, topics.COSIGNATURES: rights.WRITE}
    if config.runtime.remote:
        wanted |= {topics.COMMANDS: rights.READ, topics.COMMAND_ANSWERS: rights.WRITE}
    return wanted


async def _broker(config: Config) -> str:
    at, wanted = config.kafka.bootstrap, wanted_topics(config)
    missing = await check_topics(config.kafka, list(wanted))
    if missing:
        raise ConfigError(
            f"the broker at {at} has no {', '.join(missing)}, or hides it from us; the hub's operators run: "
            "alliance topics apply, or give us the rights"
        )
    allowed = await rights.operations(config.kafka, list(wanted))
    refused = rights.lacking(allowed, wanted)
    if refused:
        raise NoPermission(
            f"the broker at {at} does not let {config.kafka.username or 'us'} {', '.join(refused)}; "
            "ask the hub's operators for these rights"
        )
    told = (
        "and lets us read and write them" if allowed else "and does not tell what we may do there"
    )
    return f"{at} has our topics {told}"


async def machine(config: Config, clock: Clock) -> AsyncIterator[Check]:
    """The machine and the folder: versions, keys, disk, files of ours, clocks, certificates."""
    yield Check("ok", "versions", versions())
    for check in (*_keys(config), _disk(config.folder), *_files(config)):
        yield check
    running = await asyncio.to_thread(is_running, config)
    yield Check("ok", "process", "a connector of this folder runs" if running else "none runs")
    for url in sorted(_urls(config)):
        async for check in _remote(url, clock):
            yield check


def versions() -> str:
    """Ours, Python's and the machine's."""
    try:
        ours = importlib.metadata.version("alliance-hub")
    except importlib.metadata.PackageNotFoundError:
        ours = "not installed"
    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"alliance-hub {ours}, Python {python}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}"


def _keys(config: Config) -> Iterator[Check]:
    """Private files that others on this machine could read."""
    key = config.folder / config.member.key
    beside = [key, key.with_suffix(".encryption"), key.with_suffix(".witness")]
    for path in [path for path in beside if path.exists()]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            said = f"others may read it (mode {mode:o}); run: chmod 600 {path}"
            yield Check("warning", path.name, said)
        else:
            yield Check("ok", path.name, "only its owner may read it")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    said = f"{free / (1 << 30):.1f} GiB free for {folder}"
    if free < _TOO_LITTLE_BYTES:
        return Check("fault", "disk", f"{said}; make room, or nothing can be stored")
    return Check("warning" if free < _LITTLE_BYTES else "ok", "disk", said)


def _files(config: Config) -> Iterator[Check]:
    """Our SQLite files, looked through page by page. Source: https://sqlite.org/pragma.html#pragma_quick_check."""
    paths = {config.state_path, *config.folder.glob("*.db")}
    for path in sorted(path for path in paths if path.exists()):
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
                found = db.execute("PRAGMA quick_check(3)").fetchall()
        except sqlite3.Error as error:
            found = [(f"{type(error).__name__}: {error}",)]
        if found == [("ok",)]:
            yield Check("ok", path.name, f"whole, {path.stat().st_size / (1 << 20):.1f} MiB")
        else:
            words = "; ".join(str(row[0]) for row in found)
            said = f"damaged: {words}; stop the connector and look at the disk. Put no old copy in its place"
            yield Check("fault", path.name, said)


def _urls(config: Config) -> set[str]:
    """Where sources and sinks talk HTTP to: scheme, host and port, nothing else."""
    parts: Sequence[Any] = [*config.sources, *config.sinks]
    found = set()
    for part in parts:
        for url in _texts_named(part.options.model_dump(), ("base_url", "token_url")):
            split = urlsplit(url)
            found.add(f"{split.scheme}://{split.netloc.rpartition('@')[2]}")
    return found


def _texts_named(value: Any, names: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in names and isinstance(inner, str):
                yield inner
            yield from _texts_named(inner, names)


async def _remote(url: str, clock: Clock) -> AsyncIterator[Check]:
    """A campus's server: its clock against ours and, with TLS, how long its certificate holds."""
    host = urlsplit(url).netloc
    try:
        async with httpx.AsyncClient(timeout=_WAIT_S) as client:
            answer = await client.head(url)
    except httpx.HTTPError as error:
        yield Check(
            "fault", f"clock of {host}", f"no answer: {type(error).__name__}", Transient("")
        )
        return
    yield skew(host, answer.headers.get("date"), clock.now())
    if url.startswith("https:"):
        yield await _certificate(url, clock)


def skew(host: str, date: str | None, now: datetime) -> Check:
    """What a `Date` header says about our clock."""
    what = f"clock of {host}"
    said = None
    if date is not None:
        with suppress(ValueError):
            said = parsedate_to_datetime(date)
    if said is None:
        return Check("ok", what, "is not told")
    apart = (now - said.astimezone(UTC)).total_seconds()
    if abs(apart) > _SKEW_S:
        word = "ahead of" if apart > 0 else "behind"
        return Check(
            "warning", what, f"ours is {abs(apart):.0f} s {word} it; set the clock (NTP) of whichever is wrong"
        )  # fmt: skip
    return Check("ok", what, f"within {_SKEW_S:.0f} s of ours")


async def _certificate(url: str, clock: Clock) -> Check:
    split = urlsplit(url)
    what = f"certificate of {split.netloc}"
    try:
        async with asyncio.timeout(_WAIT_S):
            _, writer = await asyncio.open_connection(
                split.hostname, split.port or 443, ssl=ssl.create_default_context()
            )
    except (OSError, TimeoutError) as error:
        return Check("fault", what, f"{type(error).__name__}: {error}", Transient(""))
    found = writer.get_extra_info("peercert")
    writer.close()
    return expiry(what, found.get("notAfter") if found else None, clock.now())


def expiry(what: str, not_after: str | None, now: datetime) -> Check:
    """How long a certificate holds, by its `notAfter`."""
    if not_after is None:
        return Check("warning", what, "tells no end")
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), UTC)
    left = end - now
    if left < _EXPIRES_SOON:
        said = f"holds {left.days} more days, until {end.date()}; renew it"
        return Check("warning", what, said)
    return Check("ok", what, f"holds until {end.date()}")
