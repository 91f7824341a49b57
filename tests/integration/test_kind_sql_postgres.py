"""The outbox kind on a real PostgreSQL: what an order of reading loses, late commits, broken connections."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sdk.clock import SystemClock
from connectors.sdk.contract import (
    ConfigError,
    Context,
    NoPermission,
    Transient,
)
from connectors.sdk.testing import US
from connectors.sql_outbox.kind import OutboxOptions
from connectors.sql_outbox.source import SqlOutbox
from tests.support.postgres import emptied, postgres

OUTBOX = """
CREATE TABLE {table} (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  aggregatetype varchar(255) NOT NULL,
  aggregateid varchar(255) NOT NULL,
  type varchar(255) NOT NULL,
  payload jsonb,
  version bigint,
  time timestamptz NOT NULL DEFAULT now(),
  taken_at timestamptz,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id());
CREATE INDEX ON {table} (xid, position);
CREATE INDEX ON {table} (position) WHERE taken_at IS NULL
"""
WRITERS, STORM_S, HELD_S, POLL_S = 8, 6.0, 0.05, 0.005


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as found:
        yield found


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    with emptied(url) as made:
        yield made


def make_outbox(engine: sa.Engine, table: str = "hub_outbox") -> None:
    with engine.begin() as db:
        for statement in OUTBOX.format(table=table).split(";"):
            db.exec_driver_sql(statement)


def outbox(url: str, folder: Path, strategy: str, **more: Any) -> SqlOutbox:
    order = {"strategy": strategy} | ({"max_s": 3} if strategy == "gap_wait" else {})
    options = OutboxOptions.model_validate(
        {"dsn": url, "table": "hub_outbox", "order": order, "columns": {"version": "version", "time": "time"}} | more
    )  # fmt: skip
    return SqlOutbox(options, Context(folder, US, "sis", SystemClock()))


class Storm:
    """Writers whose transactions stay open for a while after they numbered their row; some are rolled back."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.committed: dict[str, tuple[str, int]] = {}  # id -> key and version
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        self._until = time.monotonic() + STORM_S
        for thread in self._threads:
            thread.start()

    def over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _write(self, writer: int) -> None:
        rng = random.Random(writer)
        versions: dict[str, int] = defaultdict(int)
        insert = sa.text(
            "INSERT INTO hub_outbox (id, aggregatetype, aggregateid, type, payload, version) "
            "VALUES (:id, 'enrollment', :key, 'changed', '{}', :version)"
        )
        with self._engine.connect() as db:
            while time.monotonic() < self._until:
                key = f"{writer}-{rng.randrange(3)}"
                row = {"id": uuid.UUID(int=rng.getrandbits(128)), "key": key, "version": versions[key] + 1}  # fmt: skip
                db.execute(insert, row)
                time.sleep(rng.uniform(0, HELD_S))
                if rng.random() < 0.03:
                    db.rollback()
                    continue
                db.commit()
                versions[key] += 1
                self.committed[str(row["id"])] = (key, versions[key])


async def read_all(source: SqlOutbox, storm: Storm, settle_s: float) -> list[dict[str, Any]]:
    """What a source gives until the storm is over and `settle_s` brought nothing new."""
    cursor: str | None = None
    read: list[dict[str, Any]] = []
    quiet_since = time.monotonic()
    while not storm.over() or time.monotonic() - quiet_since < settle_s:
        page = await source.page(cursor)
        cursor = page.cursor
        if page.items:
            quiet_since = time.monotonic()
            read += [item.data for item in page.items]
            await source.ack(cursor)
        if not page.more:
            await asyncio.sleep(POLL_S)
    await source.close()
    return read


async def read_by_number(engine: sa.Engine, storm: Storm) -> list[str]:
    """What everybody writes first: rows above the largest number read."""
    last, read = 0, []
    query = sa.text("SELECT position, id FROM hub_outbox WHERE position > :last ORDER BY position")

    def ask() -> Any:
        with engine.connect() as db:
            return db.execute(query, {"last": last}).all()

    ending = False
    while not ending:
        ending = storm.over()
        for position, row_id in await asyncio.to_thread(ask):
            last = position
            read.append(str(row_id))
        await asyncio.sleep(POLL_S)
    return read


def test_rows_that_commit_late_are_lost_by_number_and_by_no_order_we_offer(
    engine: sa.Engine, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers are given before the commit, so a row can appear behind the last one read: why "id > cursor" is refused."""
    make_outbox(engine)
    sources = {name: outbox(url, tmp_path, name) for name in ("xid_fence", "mark", "gap_wait")}

    async def story() -> tuple[Storm, list[Any]]:
        storm = Storm(engine)
        reading = [read_all(source, storm, 4.5) for source in sources.values()]
        return storm, await asyncio.gather(read_by_number(engine, storm), *reading)

    storm, (by_number, *ours) = asyncio.run(story())
    written = set(storm.committed)
    assert len(written) > 200
    lost = len(written - set(by_number))
    with capsys.disabled():
        print(f"\nby number: {lost} of {len(written)} rows lost ({lost / len(written):.0%})")  # noqa: T201
    assert lost > 0
    for name, read in zip(sources, ours, strict=True):
        ids = [row["id"] for row in read]
        assert len(ids) == len(set(ids)), f"{name}: a row twice"
        assert set(ids) == written, f"{name}: {len(written - set(ids))} lost"
        versions: dict[str, int] = defaultdict(int)
        for row in read:
            assert row["version"] == versions[row["key"]] + 1, f"{name}: {row['key']} out of order"
            versions[row["key"]] += 1


# The fence ----------------------------------------------------------------------------------------------------------


def write(engine: sa.Engine, count: int, table: str = "hub_outbox") -> None:
    with engine.begin() as db:
        db.exec_driver_sql(
            f"INSERT INTO {table} (aggregatetype, aggregateid, type, payload) "  # noqa: S608, of this test
            f"SELECT 'a', 'k' || n, 't', '{{\"n\": 1}}' FROM generate_series(1, {count}) n"
        )


def test_an_open_transaction_holds_rows_back_and_check_names_it(
    engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """Late is not lost, but somebody has to be told who forgot to commit."""
    make_outbox(engine)
    source = outbox(url, tmp_path, "xid_fence")

    async def story() -> None:
        with engine.connect() as forgotten:
            forgotten.exec_driver_sql("SET application_name = 'old report'")
            forgotten.exec_driver_sql("SELECT pg_current_xact_id()")
            pid = forgotten.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            write(engine, 3)
            page = await source.page(None)
            assert page.items == []
            assert page.watermark is None
            said = await source.check()
            assert f"oldest open transaction: pid {pid} (old report, idle in transaction)" in said
            assert "3 rows to read" in said
        page = await source.page(page.cursor)
        assert len(page.items) == 3
        assert page.watermark is not None
        await source.close()

    asyncio.run(story())


def test_an_older_cursor_gives_the_same_events_again_and_they_can_be_counted(
    engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """That is what a backfill is, and how it tells its time left."""
    make_outbox(engine)
    for _ in range(3):
        write(engine, 5)

    async def pages(source: SqlOutbox) -> list[Any]:
        found = [await source.page(None)]
        while found[-1].more:
            found.append(await source.page(found[-1].cursor))
        return found

    async def story() -> None:
        for strategy in ("xid_fence", "gap_wait"):
            source = outbox(url, tmp_path, strategy, batch=4)
            first, again = await pages(source), await pages(source)
            events = [item.data["eventId"] for page in first for item in page.items]
            assert len(set(events)) == 15
            assert events == [item.data["eventId"] for page in again for item in page.items]
            assert await source.count(None, first[-1].cursor) == 15
            assert await source.count(first[1].cursor, first[-1].cursor) == 7
            assert await source.count(first[-1].cursor, None) == 0
            await source.close()

    asyncio.run(story())


def test_a_server_whose_ids_begin_anew_is_noticed(engine: sa.Engine, url: str, tmp_path: Path) -> None:  # fmt: skip
    """After a restore from a dump all new rows would lie behind the cursor, and nobody would ever see them."""
    make_outbox(engine)
    write(engine, 1)
    source = outbox(url, tmp_path, "xid_fence")

    async def story() -> None:
        with pytest.raises(ConfigError, match="restored elsewhere, where ids begin anew"):
            await source.page('{"xid": 999999999, "position": 1}')
        await source.close()

    asyncio.run(story())


@pytest.mark.parametrize("strategy", ["xid_fence", "mark"])
def test_a_connection_that_breaks_is_opened_anew(
    strategy: str, engine: sa.Engine, url: str, tmp_path: Path
) -> None:
    """Databases are restarted by night; by the morning the rows must be here."""
    make_outbox(engine)
    write(engine, 2)
    source = outbox(url, tmp_path, strategy)

    async def story() -> None:
        page = await source.page(None)
        with engine.begin() as db:
            db.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'alliance-connector'"
            )
        await source.ack(page.cursor)
        write(engine, 1)
        assert len((await source.page(page.cursor)).items) == 1
        await source.close()

    asyncio.run(story())


def test_who_may_only_read_gets_the_grant_to_ask_for(engine: sa.Engine, url: str, tmp_path: Path) -> None:  # fmt: skip
    """The message is what one person of a campus sends to the other."""
    make_outbox(engine)
    with engine.begin() as db:
        db.exec_driver_sql("DROP ROLE IF EXISTS reader")
        db.exec_driver_sql("CREATE ROLE reader LOGIN")
    as_reader = url.replace("alliance@", "reader@")
    source = outbox(as_reader, tmp_path, "mark")

    async def story() -> None:
        with pytest.raises(NoPermission, match=r"GRANT SELECT ON hub_outbox"):
            await source.check()
        with engine.begin() as db:
            db.exec_driver_sql("GRANT SELECT ON hub_outbox TO reader")
        with pytest.raises(NoPermission, match=r"GRANT UPDATE \(taken_at\) ON hub_outbox"):
            await source.check()
        with engine.begin() as db:
            db.exec_driver_sql("GRANT UPDATE (taken_at) ON hub_outbox TO reader")
        assert await source.check() == "hub_outbox: 0 rows wait"
        await source.close()
        with engine.begin() as db:
            db.exec_driver_sql("REVOKE ALL ON hub_outbox FROM reader")
            db.exec_driver_sql("DROP ROLE reader")

    asyncio.run(story())


def test_nobody_answers_is_told_without_user_and_password(tmp_path: Path) -> None:
    """The reason goes to the hub with the heartbeat."""
    source = outbox("postgresql://registrar:hunter2@127.0.0.1:1/sis", tmp_path, "mark")

    async def story() -> None:
        with pytest.raises(Transient, match=r"postgresql 127\.0\.0\.1:1/sis") as down:
            await source.page(None)
        assert "hunter2" not in str(down.value)
        assert "registrar" not in str(down.value)
        await source.close()

    asyncio.run(story())


# Speed --------------------------------------------------------------------------------------------------------------


def test_reading_is_by_pages_and_says_its_speed(
    engine: sa.Engine, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first start reads years of rows; the figure is for people, the rule is that a page is one question."""
    make_outbox(engine)
    write(engine, 20_000)
    with engine.begin() as db:
        db.exec_driver_sql("ANALYZE hub_outbox")
    source = outbox(url, tmp_path, "xid_fence", batch=1000)

    async def story() -> float:
        started, rows, cursor, pages = time.perf_counter(), 0, None, 0
        while True:
            page = await source.page(cursor)
            rows, cursor, pages = rows + len(page.items), page.cursor, pages + 1
            if not page.more:
                break
        assert rows == 20_000
        assert pages <= 21
        await source.close()
        return rows / (time.perf_counter() - started)

    speed = asyncio.run(story())
    with capsys.disabled():
        print(f"\noutbox: {speed:,.0f} rows a second")  # noqa: T201
