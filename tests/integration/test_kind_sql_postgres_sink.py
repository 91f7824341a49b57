"""The SQL sink on a real PostgreSQL, and a whole connector between two tables of it: locks, deadlocks, kills."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sdk.clock import SystemClock
from connectors.sdk.contract import (
    Context,
    Delivery,
    Rejected,
    Transient,
)
from connectors.sdk.database import Database
from connectors.sdk.testing import THEM, US, Case, Fuse, Rig, offering_row, their_request
from connectors.sql_outbox.conformance import CASES as SOURCE_CASES
from connectors.sql_upsert.kind import UpsertOptions
from connectors.sql_upsert.sink import SqlUpsert
from tests.integration.test_kind_sql_postgres import make_outbox
from tests.support.postgres import emptied, postgres


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    with emptied(url) as made:
        yield made


# The sink -----------------------------------------------------------------------------------------------------------

SINK = """
CREATE TABLE hub_applied (sink varchar(100), delivery_key varchar(300), ledger_seq bigint, at timestamptz NOT NULL,
  PRIMARY KEY (sink, delivery_key));
CREATE TABLE course (id text PRIMARY KEY);
INSERT INTO course VALUES ('course-1');
CREATE TABLE requests (enrollment_id text PRIMARY KEY, offering text NOT NULL REFERENCES course DEFERRABLE INITIALLY DEFERRED,
  home varchar(5) NOT NULL, term jsonb, asked timestamptz, day date, version bigint NOT NULL)
"""
TABLE = {
    "table": "requests",
    "key": ["enrollment_id"],
    "version": "version",
    "columns": {
        "enrollment_id": "record.enrollment_id",
        "offering": "record.offering_id",
        "home": "record.home",
        "term": "record.term",
        "asked": "record.envelope.occurred_at",
        "day": "record.envelope.occurred_at",
        "version": "record.envelope.aggregate_version",
    },
}


def make_sink(engine: sa.Engine, url: str, folder: Path, **more: Any) -> SqlUpsert:
    with engine.begin() as db:
        for statement in SINK.split(";"):
            db.exec_driver_sql(statement)
    options = UpsertOptions.model_validate(
        {"dsn": url, "table": "", "tables": {"enrollment.requested": TABLE}} | more
    )
    return SqlUpsert(options, Context(folder, US, "sis", SystemClock()))


def request(number: int, *, version: int = 1, **record: Any) -> Delivery:
    made: Any = their_request(number)
    made = replace(made, envelope=replace(made.envelope, aggregate_version=version), **record)
    event_id = f"{made.envelope.event_id}-{version}"
    return Delivery("event", "enrollment.requested", event_id, number, made)


def bring(sink: SqlUpsert, *batches: list[Delivery]) -> list[list[str]]:
    """The verdicts of each batch, by their names and codes."""

    async def story() -> list[list[str]]:
        said = []
        for batch in batches:
            verdicts = await sink.apply(batch)
            said.append([type(v).__name__ + (f" {v.code}" if isinstance(v, Rejected) else "") for v in verdicts])  # fmt: skip
        await sink.close()
        return said

    return asyncio.run(story())


def test_rows_of_every_type_are_written_once(engine: sa.Engine, url: str, tmp_path: Path) -> None:
    """Times, JSON, numbers: the database's own types, and a repeat that changes nothing."""
    sink = make_sink(engine, url, tmp_path)
    batch = [request(n) for n in range(1, 51)]
    assert bring(sink, batch, batch, [request(1, version=0)]) == [
        ["Applied"] * 50,
        ["Duplicate"] * 50,
        ["Stale"],
    ]
    with engine.connect() as db:
        row = db.exec_driver_sql(
            "SELECT term->>'academic_year', extract(epoch FROM asked), day::text, count(*) OVER () FROM requests "
            "WHERE enrollment_id <> '' ORDER BY enrollment_id LIMIT 1"
        ).one()
    assert tuple(row) == ("2026-2027", 1788249600, "2026-09-01", 50)


def test_each_refused_row_has_its_code_even_by_a_deferred_constraint(
    engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """A foreign key that is checked at the commit would refuse the batch without naming anybody."""
    sink = make_sink(engine, url, tmp_path)
    batch = [request(1), request(2, offering_id="nowhere"), request(3, home="too long for it"), request(4)]  # fmt: skip
    assert bring(sink, batch) == [
        ["Applied", "Rejected SQL_23503", "Rejected SQL_22001", "Applied"]
    ]


def test_a_lock_that_is_held_too_long_is_waited_for_again(
    engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """An office has the row open; the batch comes again, and nothing of it is written twice."""
    sink = make_sink(engine, url, tmp_path, timeout_s=1)

    async def story() -> None:
        await sink.apply([request(1)])
        with engine.begin() as office:
            office.exec_driver_sql("SELECT 1 FROM requests FOR UPDATE")
            with pytest.raises(Transient, match=r"SQL_55P03|SQL_57014"):
                await sink.apply([request(2), request(1, version=2)])
        assert [
            type(v).__name__ for v in await sink.apply([request(2), request(1, version=2)])
        ] == [
            "Applied",
            "Applied",
        ]
        await sink.close()

    asyncio.run(story())


def test_a_deadlock_is_tried_again_and_no_row_is_parked(
    engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """The database picks a victim; which one is no matter of the row."""
    sink = make_sink(engine, url, tmp_path)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.exec_driver_sql("ALTER SYSTEM SET deadlock_timeout = '50ms'")
        db.exec_driver_sql("SELECT pg_reload_conf()")

    async def story() -> None:
        await sink.apply([request(1), request(2)])
        with engine.connect() as office:
            office.exec_driver_sql(
                "SELECT 1 FROM requests WHERE enrollment_id = 'enrollment-2' FOR UPDATE"
            )
            ours = asyncio.ensure_future(sink.apply([request(1, version=2), request(2, version=2)]))
            await asyncio.sleep(0.02)

            def cross() -> bool:
                try:
                    office.exec_driver_sql(
                        "SELECT 1 FROM requests WHERE enrollment_id = 'enrollment-1' FOR UPDATE"
                    )
                except sa.exc.DBAPIError:
                    return True
                finally:
                    office.rollback()
                return False

            victim = await asyncio.to_thread(cross)
            try:
                verdicts = await ours
            except Transient as error:
                assert "SQL_40P01" in str(error)  # noqa: PT017, either of the two is the victim
                verdicts = await sink.apply([request(1, version=2), request(2, version=2)])
            else:
                assert victim or verdicts
        assert [type(v).__name__ for v in verdicts] == ["Applied", "Applied"]
        await sink.close()

    asyncio.run(story())


def test_a_copy_of_us_that_still_writes_is_not_written_over(
    engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """Work that was broken off may still commit; whoever comes second finds its note."""
    sink = make_sink(engine, url, tmp_path)

    async def story() -> None:
        first = asyncio.ensure_future(sink.apply([request(n) for n in range(1, 100)]))
        await asyncio.sleep(0.02)
        first.cancel()
        options = UpsertOptions.model_validate({"dsn": url, "table": "", "tables": {"enrollment.requested": TABLE}})  # fmt: skip
        second = SqlUpsert(options, Context(tmp_path, US, "sis", SystemClock()))
        for _ in range(3):
            try:
                verdicts = await second.apply([request(n) for n in range(1, 100)])
                break
            except Transient:
                continue
        assert len(verdicts) == 99
        await sink.close()
        await second.close()
        with engine.connect() as db:
            assert db.exec_driver_sql("SELECT count(*) FROM hub_applied").scalar_one() == 99

    asyncio.run(story())


# A whole connector --------------------------------------------------------------------------------------------------


class RealClock(SystemClock):
    """The machine's clock for a rig: threads of drivers take real time."""

    async def until(self, done: Callable[[], bool], within_s: float = 20) -> bool:
        ends_at = time.monotonic() + min(within_s, 20)
        while not done():
            if time.monotonic() > ends_at:
                return False
            await asyncio.sleep(0.01)
        return True


def test_a_connector_that_is_killed_reads_and_writes_each_row_once(
    engine: sa.Engine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the outbox to the hub and from the hub to the tables, with the threads and the connections of a real run."""
    make_outbox(engine)
    with engine.begin() as db:
        for statement in SINK.split(";"):
            db.exec_driver_sql(statement)
    outbox_case = SOURCE_CASES["mark"]()
    case = Case(
        f'''
[source.campus]
kind = "sql_outbox"
dsn = "{url}"
table = "hub_outbox"
order = {{ strategy = "xid_fence" }}
batch = 3
every_s = 0.05
mapping = "mapping/offering.toml"
[sink.campus]
kind = "sql_upsert"
dsn = "{url}"
create = true
[sink.campus.tables."enrollment.requested"]
table = "requests"
key = ["enrollment_id"]
columns = {{ enrollment_id = "record.enrollment_id", offering = "record.offering_id", home = "record.home", version = "record.envelope.aggregate_version" }}
''',
        mappings=outbox_case.mappings,
        to_tell=lambda: 10,
    )

    async def story() -> None:
        rig = Rig(tmp_path, case)
        rig.clock = RealClock()  # type: ignore[assignment]  # what a rig needs of a clock
        with engine.begin() as db:
            for number in range(1, 11):
                row = offering_row(number)
                db.execute(
                    sa.text(
                        "INSERT INTO hub_outbox (id, aggregatetype, aggregateid, type, payload) "
                        "VALUES (CAST(:id AS uuid), 'offering', :key, 'changed', CAST(:payload AS jsonb))"
                    ),
                    {"id": row["eventId"], "key": row["id"], "payload": json.dumps(row)},
                )
        for number in range(1, 6):
            await rig.hub.deliver(US, their_request(number), rig.signers[THEM])
        for moment in (5, 9, 14):
            await rig.life(lambda: False, fuse=Fuse(burns_at=moment), within_s=5)
        assert await rig.life(lambda: len(rig.hub.applied) == 10 and rig.quiet(), within_s=20)
        assert len(set(rig.hub.applied)) == 10
        for database in opened:
            await database.close()  # who is killed closes nothing

    opened: list[Database] = []
    begin = Database.__init__

    def noted(self: Database, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        opened.append(self)

    monkeypatch.setattr(Database, "__init__", noted)
    asyncio.run(story())
    with engine.connect() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM requests").scalar_one() == 5
        kinds = "SELECT kind, count(*) FROM hub_in GROUP BY kind"
        assert [tuple(row) for row in db.exec_driver_sql(kinds)] == [("outcome", 10)]
