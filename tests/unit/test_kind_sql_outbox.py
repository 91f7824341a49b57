"""The outbox kind: what is refused before the start, what a row tells, and that no order loses one. On SQLite files."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy.dialects import mssql, oracle, postgresql

from connectors.sdk.config import load_config
from connectors.sdk.contract import ConfigError, Context
from connectors.sdk.testing import US, Case, FakeClock, write_alliance, write_folder
from connectors.sql_outbox.conformance import CASES
from connectors.sql_outbox.kind import SOURCE
from connectors.sql_outbox.rows import Row, Shape, payload
from connectors.sql_outbox.source import SqlOutbox
from connectors.sql_outbox.strategies import OutboxTable, Rowversion, XidFence, strategy_of
from tests.support.outbox import options

# Before the start ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["id", "position", "auto_increment"])
def test_the_order_that_loses_rows_is_refused_with_the_reason(
    strategy: str, tmp_path: Path
) -> None:
    """It works in every trial with one writer; the rows that are missing are noticed at the end of the term."""
    write_alliance(tmp_path)
    case = Case(f'[source.s]\nkind = "sql_outbox"\ndsn = "sqlite:///c.db"\ntable = "t"\norder = {{ strategy = "{strategy}" }}\nmapping = "m.toml"')  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        write_folder(tmp_path, case)
    assert "source.s.order.strategy" in str(refused.value)
    assert "would lose rows: numbers are given before the commit" in str(refused.value)
    assert "xid_fence" in str(refused.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"order": {"strategy": "xid_fence"}}, "xid_fence needs PostgreSQL, dsn names sqlite"),
        ({"order": {"strategy": "rowversion"}}, "rowversion needs SQL Server, dsn names sqlite"),
        ({"dsn": "mssql+pyodbc://h/d", "order": {"strategy": "rowversion"}, "after": "mark"}, "would be read again"),
        ({"after": "keep"}, "needs rows to be marked"),
        ({"timezone": "Asia/Chengdu"}, "no such time zone"),
        ({"dsn": "campus.db"}, "is no database URL"),
        ({"tabel": "x"}, "Extra inputs"),
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused(more: dict[str, Any], said: str) -> None:
    """Found by lint on a desk, not at night on the server."""
    with pytest.raises(ValidationError, match=said):
        options(**more)


def test_a_password_in_the_dsn_is_shown_nowhere(tmp_path: Path) -> None:
    """Configuration errors are copied into mails."""
    write_alliance(tmp_path)
    case = Case('[source.s]\nkind = "sql_outbox"\ndsn = "hunter2:no url"\ntable = "t"\norder = { strategy = "mark" }\nmapping = "m.toml"')  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        write_folder(tmp_path, case)
    assert "source.s.dsn: is no database URL" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(options(dsn="postgresql://u:hunter2@h/d"))


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # fmt: skip
    """A campus installs what it needs; the other half of the installation must say which half is missing."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "connectors.sql_outbox.source")
    monkeypatch.delitem(sys.modules, "connectors.sql_outbox.strategies")
    with pytest.raises(ConfigError, match=r"pip install 'alliance-hub\[sql\]'"):
        SOURCE.open(options(), Context(tmp_path, US, "sis", FakeClock()))


def test_another_driver_that_is_missing_is_named(tmp_path: Path) -> None:
    """Drivers of other databases are the campus's to install."""
    source = SqlOutbox(options(dsn="oracle+oracledb://u:p@h/d"), Context(tmp_path, US, "s", FakeClock()))  # fmt: skip

    async def story() -> None:
        with pytest.raises(ConfigError, match="oracledb is missing"):
            await source.check()
        await source.close()

    asyncio.run(story())


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """SQLite would make an empty one, and the connector would wait for ever for its rows."""
    source = SqlOutbox(options(), Context(tmp_path, US, "s", FakeClock()))

    async def story() -> None:
        with pytest.raises(ConfigError, match=r"there is no file campus\.db"):
            await source.page(None)
        await source.close()

    asyncio.run(story())
    assert not (tmp_path / "campus.db").exists()


# What a row tells ---------------------------------------------------------------------------------------------------


def shape(zone: str | None = None) -> Shape:
    from zoneinfo import ZoneInfo

    return Shape("hub_outbox", "10611/sis", ZoneInfo(zone) if zone else None)


def row(**values: Any) -> Row:
    whole = {
        "id": 7,
        "aggregateid": "s1",
        "type": "graded",
        "payload": "{}",
        "aggregatetype": "student",
    }
    return Row(12, whole | values)


def test_a_row_becomes_a_change_of_its_aggregate() -> None:
    """The aggregate's id is the key: its changes stay in order, and one that is parked holds back its own alone."""
    item = shape().item(row(payload='{"grade": 4.5}', version=3))
    assert item.key == "s1"
    assert item.origin == "hub_outbox#12"
    assert item.data == {
        "id": 7, "eventId": item.data["eventId"], "key": "s1", "type": "graded", "payload": {"grade": 4.5},
        "aggregatetype": "student", "version": 3,
    }  # fmt: skip


def test_an_id_that_is_no_uuid_gives_the_same_event_id_each_time() -> None:
    """A row that is read again after a crash must be the same event, and a row of another campus another."""
    made = shape().item(row()).data["eventId"]
    assert made == shape().item(row(payload="changed")).data["eventId"]
    assert made != Shape("hub_outbox", "10610/sis", None).item(row()).data["eventId"]
    given = "0B6F1E1C-7A37-4B7C-8B57-0E4C5D0A9B11"
    assert shape().item(row(id=given)).data["eventId"] == given.lower()


@pytest.mark.parametrize("text", ['{"half": ', "NaN", "[" * 100_000, "not json"])
def test_a_payload_that_is_no_json_stays_text(text: str) -> None:
    """The mapping parks that row with what it misses; the rows behind it go on."""
    assert payload(text) == text


def test_times_without_a_zone_get_the_campus_s() -> None:
    """08:00 in Chengdu is no 08:00 UTC; without an option the mapping refuses such a time rather than guess."""
    naive = datetime(2026, 9, 1, 8, 0)  # noqa: DTZ001, what a driver gives of a column without zone
    assert shape("Asia/Shanghai").item(row(time=naive)).data["time"] == "2026-09-01T00:00:00.000Z"
    assert shape().item(row(time=naive)).data["time"] == "2026-09-01T08:00:00"
    aware = datetime(2026, 9, 1, tzinfo=UTC)
    assert shape().item(row(time=aware)).data["time"] == "2026-09-01T00:00:00.000Z"


def test_whatever_a_driver_gives_can_be_kept_as_json() -> None:
    """A parked row is kept as JSON; bytes and decimals of some driver must not stop the page."""
    from decimal import Decimal
    from uuid import UUID

    odd = {
        "a": b"\xff",
        "b": Decimal("2.50"),
        "c": UUID(int=1),
        "d": memoryview(b"x"),
        "e": Decimal(3),
    }
    data = shape().item(row(**odd)).data
    assert json.loads(json.dumps(data))["b"] == "2.50"
    assert data["e"] == 3


# Databases that are not here: their words, as text -------------------------------------------------------------------


def text_of(query: Any, dialect: Any) -> str:
    return " ".join(str(query.compile(dialect=dialect)).split())


def test_sql_server_is_asked_below_the_lowest_active_rowversion() -> None:
    """The fence of SQL Server: https://learn.microsoft.com/sql/t-sql/functions/min-active-rowversion-transact-sql"""
    strategy = strategy_of(options(dsn="mssql+pyodbc://h/d", order={"strategy": "rowversion"}), FakeClock().monotonic)  # fmt: skip
    assert isinstance(strategy, Rowversion)
    said = text_of(strategy.statement('{"rowversion": "00000000000007d1"}', 500), mssql.dialect())
    assert said.startswith("SELECT TOP")
    assert "hub_outbox.rv > " in said
    assert "hub_outbox.rv < MIN_ACTIVE_ROWVERSION() ORDER BY hub_outbox.rv" in said


def test_oracle_has_no_limit_but_fetch_first() -> None:
    """Since 12c; older ones are not supported."""
    table = OutboxTable(options(dsn="oracle+oracledb://h/d"))
    said = text_of(table.select(table.position).where(table.mark.is_(None)).limit(5), oracle.dialect())  # fmt: skip
    assert "hub_outbox.taken_at IS NULL FETCH FIRST" in said


def test_the_fence_is_of_the_same_statement_as_the_rows() -> None:
    """Two statements would have two snapshots, with a commit between them that nobody reads."""
    asked: list[str] = []

    class Stop(Exception):
        pass

    class Db:
        def execute(self, query: Any) -> Any:
            asked.append(text_of(query, postgresql.dialect()))
            raise Stop

    strategy = XidFence(options(dsn="postgresql://h/d", order={"strategy": "xid_fence"}))
    with pytest.raises(Stop):
        strategy.read(Db(), '{"xid": 5, "position": 9}', 10, ())  # type: ignore[arg-type]  # only its execute is asked
    assert "hub_outbox.xid < pg_snapshot_xmin(pg_current_snapshot())" in asked[0]
    assert "(hub_outbox.xid, hub_outbox.position) > (CAST(" in asked[0]


def test_the_readme_s_options_are_the_options(tmp_path: Path) -> None:
    """Its first example is read as a campus would write it."""
    import re

    text = (Path(__file__).parents[2] / "connectors/sql_outbox/README.md").read_text("utf-8")
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    write_alliance(tmp_path)
    mapping = CASES["mark"]().mappings["offering.toml"]
    case = Case(example.replace('{ env = "SIS_DSN" }', '"postgresql://h/d"'), mappings={"grade.toml": mapping, "request.toml": mapping})  # fmt: skip
    write_folder(tmp_path, case)
    assert load_config(tmp_path, {}).sources[0].options.order.strategy == "xid_fence"  # type: ignore[attr-defined]
