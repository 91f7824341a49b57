"""Whole connectors: from a campus to the bus, or from the inbox to a campus, with the state file on its disk.

Files, SQLite and HTTP on the loopback address are real; the bus takes what is published and answers nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.bench.compare import outbox
from connectors.bench.servers import FIELDS, served
from connectors.elmo.conformance import folder as elmo
from connectors.ewp.conformance import folder as ewp
from connectors.reference.conformance import both_ways as reference
from connectors.sdk.clock import SystemClock
from connectors.sdk.runtime.connector import Connector
from connectors.sdk.runtime.kafka import Message
from connectors.sdk.state.file import State
from connectors.sdk.testing import (
    OFFERING_MAPPING,
    THEM,
    US,
    Case,
    FakeHub,
    offering_row,
    their_request,
    write_alliance,
    write_folder,
)
from connectors.sdk.testing.log import FakeLog
from connectors.webhook_in.conformance import sender
from schemas import topics

_LOOK_EACH_S = 0.01
_PATIENCE_S = 300.0


class _QuietHub(FakeHub):
    """Takes events and counts them."""

    def __init__(self, log: FakeLog | None = None) -> None:
        super().__init__(log=log)
        self.taken = 0

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        if topic == topics.outbox(US):
            self.taken += len(messages)


@dataclass(frozen=True, slots=True)
class Measured:
    """One direction of one kind. `campus`: real, or in the memory of this process, whose cost is then in the figures."""

    events: int
    took_s: float
    cpu_s: float
    campus: str

    def to_json(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "events_per_s": round(self.events / self.took_s),
            "cpu_us_per_event": round(self.cpu_s / self.events * 1e6),
            "campus": self.campus,
        }


async def _life(folder: Path, case: Case, hub: _QuietHub, done: Callable[[State], bool]) -> tuple[float, float]:  # fmt: skip
    """Run until done; seconds by the clock and of CPU of this process."""
    config = write_folder(folder, case)
    state = State(config.state_path)
    connector = Connector(
        config, state, hub, hub.inbox(topics.inbox(US), 0), SystemClock(),
        random.Random(7), case.transport,  # noqa: S311, jitter
        checkpoints=hub.inbox(topics.CHECKPOINTS, 0), commands=hub.inbox(topics.COMMANDS, 0),
    )  # fmt: skip
    begun, cpu = time.perf_counter(), time.process_time()
    running = asyncio.ensure_future(connector.run())
    try:
        while not done(state):
            if running.done() or time.perf_counter() - begun > _PATIENCE_S:
                raise TimeoutError(f"{folder.name} did not finish in {_PATIENCE_S:g} s")
            await asyncio.sleep(_LOOK_EACH_S)
        if state.parked():
            raise LookupError(f"parked: {state.parked()[0].reason}")
        return time.perf_counter() - begun, time.process_time() - cpu
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, BaseExceptionGroup):
            await running
        state.close()


def source(folder: Path, case: Case, events: int, campus: str) -> Measured:
    """From the campus to the bus."""
    write_alliance(folder)
    hub = _QuietHub()
    took_s, cpu_s = asyncio.run(_life(folder, case, hub, lambda _: hub.taken >= events))
    return Measured(events, took_s, cpu_s, campus)


def sink(folder: Path, case: Case, events: int, campus: str) -> Measured:
    """From the inbox to the campus."""
    signers = write_alliance(folder)
    hub = _QuietHub()

    async def work() -> tuple[float, float]:
        for n in range(1, events + 1):
            await hub.deliver(US, their_request(n), signers[THEM])
        return await _life(
            folder, case, hub, lambda state: state.inbox_position()[0] >= hub.delivered(US)
        )

    took_s, cpu_s = asyncio.run(work())
    return Measured(events, took_s, cpu_s, campus)


def _csv(folder: Path, events: int) -> None:
    drop = folder / "drop"
    drop.mkdir(parents=True)
    rows = [offering_row(n) for n in range(1, events + 1)]
    lines = ["eventId,id,at,version,title,start,credits"]
    lines += [f"{r['eventId']},{r['id']},{r['at']},1,Course,{r['start']},2.5" for r in rows]
    (drop / "changes_1.csv").write_text("\n".join(lines) + "\n", "utf-8")


def _from_file(folder: Path, events: int) -> Measured:
    _csv(folder, events)
    titles = 'titles = { each = "[{lang: \'zh\', value: title}]", fields = { lang = "lang", value = "value" } }'
    mapping = OFFERING_MAPPING.replace(
        'titles = { each = "titles", fields = { lang = "lang", value = "value" } }', titles
    ).replace('"version"', '"to_number(version)"')
    tables = (
        '[source.campus]\nkind = "file_drop"\nlocation = "drop"\npattern = "changes_*.csv"\nmode = "changes"\nbatch = 500\n'
        'ready = { type = "rename" }\nmapping = "mapping/offering.toml"\n'
    )
    return source(folder, Case(tables, mappings={"offering.toml": mapping}), events, "folder")


def _from_table(folder: Path, events: int) -> Measured:
    path = outbox(folder, events)
    mapping = OFFERING_MAPPING
    for name in FIELDS:
        mapping = mapping.replace(f'= "{name}"', f'= "payload.{name}"')
    tables = (
        f'[source.campus]\nkind = "sql_outbox"\ndsn = "sqlite:///{path}"\ntable = "hub_outbox"\n'
        'order = { strategy = "mark" }\nbatch = 500\nmapping = "mapping/offering.toml"\n'
    )
    return source(folder, Case(tables, mappings={"offering.toml": mapping}), events, "SQLite")


def _into_table(folder: Path, events: int) -> Measured:
    import sqlite3

    db = sqlite3.connect(folder / "campus.db")
    db.executescript(
        "PRAGMA journal_mode = WAL; CREATE TABLE hub_applied (sink TEXT, delivery_key TEXT, ledger_seq INTEGER, at TIMESTAMP,"
        " PRIMARY KEY (sink, delivery_key)); CREATE TABLE hub_in (delivery_key TEXT PRIMARY KEY, kind TEXT, event TEXT,"
        " event_id TEXT, outcome TEXT, subject TEXT, version INTEGER, ledger_seq INTEGER, body TEXT, brought_at TIMESTAMP);"
    )
    db.close()
    tables = f'[sink.campus]\nkind = "sql_upsert"\ndsn = "sqlite:///{folder / "campus.db"}"\nbatch = 200\n'
    return sink(folder, Case(tables), events, "SQLite")


def _http(folder: Path, events: int, kind: str) -> Measured:
    with served(events) as url:
        if kind == "http_push":
            tables = f'[sink.campus]\nkind = "http_push"\nbase_url = "{url}"\npath = "/inbox"\nbatch = 200\n'
            return sink(folder, Case(tables), events, "HTTP")
        tables = (
            f'[source.campus]\nkind = "http_poll"\nbase_url = "{url}"\npath = "/changes"\n'
            'params = { after = "{cursor}" }\nrecords = "items"\nmore = "hasMore"\ncursor = "number"\ninitial = "0"\n'
            'mapping = "mapping/offering.toml"\n'
        )
        case = Case(tables, mappings={"offering.toml": OFFERING_MAPPING})
        return source(folder, case, events, "HTTP")


def _ooapi(folder: Path, events: int) -> Measured:
    from connectors.ooapi.conformance import codes, mapping

    with served(events) as url:
        tables = (
            f'[source.campus]\nkind = "ooapi"\nversion = "6"\nbase_url = "{url}"\npath = "/course-offerings"\n'
            'page_size = 250\nbatch = 500\nmapping = "mapping/offering.toml"\n'
        )
        case = Case(tables, mappings={"offering.toml": mapping(), **codes()})
        return source(folder, case, events, "HTTP")


def _associations(folder: Path, events: int) -> Measured:
    with served(1) as url:
        tables = (
            f'[sink.campus]\nkind = "ooapi"\nbase_url = "{url}"\noutcomes = false\nflags = false\n'
        )
        return sink(folder, Case(tables), events, "HTTP, two requests each")


def _in_memory(folder: Path, events: int, case: Case) -> Measured:
    if case.happen:
        case.happen(events)
    return source(folder, case, events, "memory")


def _sink_in_memory(folder: Path, events: int, case: Case) -> Measured:
    case.tables = "".join(case.tables.partition("[sink.")[1:])
    return sink(folder, case, events, "memory")


def _without_sink(case: Case) -> Case:
    case.tables = case.tables.partition("[sink.")[0]
    return case


WAYS: dict[str, Callable[[Path, int], Measured]] = {
    "http_poll source": lambda folder, n: _http(folder, n, "http_poll"),
    "http_push sink": lambda folder, n: _http(folder, n, "http_push"),
    "ooapi source": _ooapi,
    "ooapi sink": lambda folder, n: _associations(folder, n // 5),
    "sql_outbox source": _from_table,
    "sql_upsert sink": _into_table,
    "file_drop source": _from_file,
    "webhook_in source": lambda folder, n: _in_memory(folder, n, sender()),
    "elmo source": lambda folder, n: _in_memory(folder, n // 5, _without_sink(elmo())),
    "elmo sink": lambda folder, n: _sink_in_memory(folder, n // 5, elmo()),
    "ewp source": lambda folder, n: _in_memory(folder, n // 5, _without_sink(ewp())),
    "ewp sink": lambda folder, n: _sink_in_memory(folder, n // 5, ewp()),
    "reference source": lambda folder, n: _in_memory(folder, n, _without_sink(reference())),
    "reference sink": lambda folder, n: _sink_in_memory(folder, n, reference()),
}


def kinds_of(folder: Path, events: int, begun: Callable[[str], None]) -> dict[str, Any]:
    """Figures by kind and direction. What one of them raises stands in its place."""
    found: dict[str, Any] = {}
    for name, way in WAYS.items():
        begun(name)
        inner = folder / name.replace(" ", "-")
        inner.mkdir(parents=True)
        try:
            found[name] = way(inner, events).to_json()
        except Exception as error:  # noqa: BLE001, the others are worth having
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # plain values
