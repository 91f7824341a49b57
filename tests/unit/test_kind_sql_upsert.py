"""The SQL sink on SQLite files: once and only once, the refused row alone, nothing newer overwritten."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sdk.config import load_config
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    Context,
    Delivery,
    Duplicate,
    NoPermission,
    NotNow,
    Rejected,
    Stale,
    Transient,
    Verdict,
)
from connectors.sdk.testing import (
    US,
    Case,
    FakeClock,
    case_flag,
    their_request,
    write_alliance,
    write_folder,
)
from connectors.sql_outbox.conformance import CampusFile
from connectors.sql_upsert import statements
from connectors.sql_upsert.kind import UpsertOptions
from connectors.sql_upsert.sink import SqlUpsert

OURS = """
CREATE TABLE hub_applied (sink TEXT, delivery_key TEXT, ledger_seq INTEGER, at TIMESTAMP, PRIMARY KEY (sink, delivery_key));
CREATE TABLE hub_in (delivery_key TEXT PRIMARY KEY, kind TEXT, event TEXT, event_id TEXT, outcome TEXT, subject TEXT,
  version INTEGER, ledger_seq INTEGER, body TEXT, brought_at TIMESTAMP);
"""
REQUESTS = OURS + """
CREATE TABLE requests (enrollment_id TEXT PRIMARY KEY, home TEXT NOT NULL CHECK (home <> '10699'), delivery TEXT,
  version INTEGER NOT NULL, gone BOOLEAN);
"""  # fmt: skip
TABLE = {
    "table": "requests",
    "key": ["enrollment_id"],
    "version": "version",
    "columns": {
        "enrollment_id": "record.enrollment_id",
        "home": "record.home",
        "delivery": "record.delivery",
        "version": "record.envelope.aggregate_version",
    },
}


class Campus:
    """A campus file and a sink on it."""

    def __init__(self, folder: Path, script: str = REQUESTS, **more: Any) -> None:
        self.file = CampusFile(script)
        tables = {"enrollment.requested": TABLE} if script is REQUESTS else {}
        raw = {"dsn": f"sqlite:///{self.file.path}", "tables": tables} | more
        self.options = UpsertOptions.model_validate(raw)
        self._folder = folder
        self.sink = self.opened()

    def opened(self, name: str = "sis") -> SqlUpsert:
        return SqlUpsert(self.options, Context(self._folder, US, name, FakeClock(), self.file))

    def bring(self, *batch: Delivery) -> Sequence[Verdict]:
        return asyncio.run(self.sink.apply(batch))

    def rows(self, columns: str = "*", table: str = "requests") -> list[Any]:
        return self.file.execute(f"SELECT {columns} FROM {table}")  # noqa: S608, of this test


def request(
    number: int,
    *,
    version: int = 1,
    seq: int | None = None,
    event: int | None = None,
    **record: Any,
) -> Delivery:
    """A request for enrollment `number`; a further `event` about it has an id of its own."""
    made: Any = their_request(number)
    event_id = f"10000000-0000-4000-8000-{(event or number):012d}"
    about = replace(made.envelope, event_id=event_id, aggregate_version=version)
    made = replace(made, envelope=about, **record)
    return Delivery("event", "enrollment.requested", event_id, seq or event or number, made)


def test_a_delivery_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    """After a crash, or a time-out whose result is unknown, the note beside the row answers."""
    campus = Campus(tmp_path)
    assert campus.bring(request(1), request(2)) == [Applied(), Applied()]
    campus.file.execute("UPDATE requests SET delivery = 'by hand'")
    assert campus.bring(request(1), request(2), request(3)) == [Duplicate(), Duplicate(), Applied()]
    assert campus.rows("delivery")[0] == ("by hand",)


def test_a_delivery_twice_in_a_batch_is_one(tmp_path: Path) -> None:
    """A hub that crashed may send so."""
    assert Campus(tmp_path).bring(request(1), request(1)) == [Applied(), Duplicate()]


def test_rows_and_note_are_one_commit(tmp_path: Path) -> None:
    """A row without its note would be written twice, a note without its row never."""
    campus = Campus(tmp_path)
    campus.file.fault("commit lost", 1)
    with pytest.raises(Transient):
        campus.bring(request(1))
    assert campus.rows() == campus.rows(table="hub_applied") == []
    assert campus.bring(request(1)) == [Applied()]


def test_a_commit_whose_answer_is_lost_counts(tmp_path: Path) -> None:
    """The note, not our memory, says whether it was made."""
    campus = Campus(tmp_path)
    campus.file.fault("lost answer", 1)
    with pytest.raises(Transient):
        campus.bring(request(1))
    assert campus.bring(request(1)) == [Duplicate()]
    assert len(campus.rows()) == 1


def test_two_sinks_of_one_database_do_not_take_each_other_s_notes(tmp_path: Path) -> None:
    """The same delivery may go to two tables by two sinks."""
    campus = Campus(tmp_path)
    other = campus.opened("library")
    assert campus.bring(request(1)) == [Applied()]
    assert asyncio.run(other.apply([request(1)])) == [Applied()]


def test_an_older_version_overwrites_nothing(tmp_path: Path) -> None:
    """A parked event that passes late must not take back what the campus learned since."""
    campus = Campus(tmp_path)
    assert campus.bring(request(1, version=3, home="10613")) == [Applied()]
    assert campus.bring(request(1, version=2, event=12)) == [Stale()]
    assert campus.rows("home, version") == [("10613", 3)]
    assert campus.bring(request(1, version=2, event=12)) == [Duplicate()]
    assert campus.bring(request(1, version=4, event=13)) == [Applied()]
    assert campus.rows("home, version") == [("10610", 4)]


def test_an_older_version_among_others_is_the_only_one_left_out(tmp_path: Path) -> None:
    """Many rows go in one statement; which of them were older must still be known."""
    campus = Campus(tmp_path)
    campus.bring(request(2, version=5))
    verdicts = campus.bring(request(1), request(2, version=4, event=12), request(3))
    assert verdicts == [Applied(), Stale(), Applied()]
    assert campus.rows("enrollment_id, version") == [
        ("enrollment-2", 5), ("enrollment-1", 1), ("enrollment-3", 1),
    ]  # fmt: skip


def test_two_changes_of_one_row_in_a_batch_end_in_the_later(tmp_path: Path) -> None:
    """A statement may touch a row once, and a batch may hold a term's worth of one student."""
    campus = Campus(tmp_path)
    verdicts = campus.bring(
        request(1), request(2), request(1, version=2, event=11, home="10613"), request(3)
    )
    assert verdicts == [Applied()] * 4
    assert campus.rows("home")[0] == ("10613",)


def test_neighbors_are_written_by_few_statements(tmp_path: Path) -> None:
    """Each statement is a way to the server and back: a first start brings a year's deliveries."""
    campus = Campus(tmp_path)
    campus.bring(*[request(n) for n in range(1, 201)])
    inserts = [one for one in campus.file.statements if one.startswith("INSERT")]
    assert len(inserts) == 4


def test_the_row_that_the_database_refuses_is_found_and_the_rest_written(tmp_path: Path) -> None:
    """One check constraint, one student; the batch of 200 is for the others."""
    campus = Campus(tmp_path)
    batch = [request(n, home="10699" if n == 117 else "10610") for n in range(1, 201)]
    verdicts = campus.bring(*batch)
    refused = [verdict for verdict in verdicts if not isinstance(verdict, Applied)]
    assert refused == [verdicts[116]]
    assert isinstance(refused[0], Rejected)
    assert refused[0].code == "SQL_SQLITE_CONSTRAINT_CHECK"
    assert len(campus.rows()) == len(campus.rows(table="hub_applied")) == 199


def test_what_is_about_the_same_thing_waits_behind_the_refused(tmp_path: Path) -> None:
    """A withdrawal must not be written before the request it takes back; others need not wait."""
    campus = Campus(tmp_path)
    verdicts = campus.bring(
        request(1, home="10699"), request(2), request(1, version=2, event=11), request(3)
    )
    assert [type(verdict) for verdict in verdicts] == [Rejected, Applied, NotNow, Applied]
    assert [row[0] for row in campus.rows("enrollment_id")] == ["enrollment-2", "enrollment-3"]


def test_a_value_that_fits_no_column_is_refused_with_its_name(tmp_path: Path) -> None:
    """Found before the database is asked, so that the words are the same everywhere."""
    columns = TABLE["columns"] | {"version": "record.home"}  # type: ignore[operator]  # a dict
    campus = Campus(tmp_path, tables={"enrollment.requested": TABLE | {"columns": columns}})
    (bad,) = campus.bring(request(1, home="not a number"))
    assert isinstance(bad, Rejected)
    assert bad.code == "SQL_VALUE"
    assert bad.message.startswith("requests.version: 'not a number' is no ")


def test_when_all_are_refused_for_one_cause_nothing_is_parked(tmp_path: Path) -> None:
    """Then the table is wrong, not the rows: parking a term's events would only make work."""
    campus = Campus(tmp_path)
    with pytest.raises(
        ConfigError, match="each of 6 rows is refused with SQL_SQLITE_CONSTRAINT_CHECK"
    ):
        campus.bring(*[request(n, home="10699") for n in range(1, 7)])
    assert campus.rows(table="hub_applied") == []


def test_refused_rows_among_those_brought_before_are_still_refused(tmp_path: Path) -> None:
    """After a crash the good ones of a batch are duplicates: that is no sign of a wrong table."""
    campus = Campus(tmp_path)
    batch = [request(n, home="10699" if n < 6 else "10610") for n in range(1, 10)]
    first = campus.bring(*batch)
    again = campus.bring(*batch)
    assert [type(verdict) for verdict in first[:5]] == [Rejected] * 5
    assert [type(verdict) for verdict in again] == [Rejected] * 5 + [Duplicate] * 4


@pytest.mark.parametrize(
    ("deletes", "left"),
    [
        ({"how": "soft", "column": "gone"}, [("enrollment-1", 1)]),
        ({"how": "hard"}, []),
        ({"how": "ignore"}, [("enrollment-1", None)]),
    ],
)
def test_a_withdrawal_does_to_the_row_what_the_options_say(
    deletes: dict[str, Any], left: list[Any], tmp_path: Path
) -> None:
    """Some campuses keep all, some may not."""
    deletes = deletes | {"when": "record.delivery == 'offline'"}
    campus = Campus(tmp_path, tables={"enrollment.requested": TABLE | {"deletes": deletes}})
    assert campus.bring(request(1)) == [Applied()]
    gone = request(1, version=2, event=11, delivery="offline")
    assert campus.bring(gone) == [Applied()]
    assert campus.rows("enrollment_id, gone") == left
    assert campus.bring(gone) == [Duplicate()]


def test_a_row_that_comes_back_is_no_longer_gone(tmp_path: Path) -> None:
    """A withdrawal that was withdrawn."""
    deletes = {"when": "record.delivery == 'offline'", "how": "soft", "column": "gone"}
    campus = Campus(tmp_path, tables={"enrollment.requested": TABLE | {"deletes": deletes}})
    campus.bring(request(1, delivery="offline"), request(1, version=2, event=11))
    assert campus.rows("gone") == [(0,)]


def test_an_older_withdrawal_removes_nothing(tmp_path: Path) -> None:
    """The version guards a deletion as it guards a change."""
    deletes = {"when": "record.delivery == 'offline'", "how": "hard"}
    campus = Campus(tmp_path, tables={"enrollment.requested": TABLE | {"deletes": deletes}})
    campus.bring(request(1, version=5))
    assert campus.bring(request(1, version=4, event=11, delivery="offline")) == [Stale()]
    assert len(campus.rows()) == 1


def test_star_takes_what_record_and_table_both_have(tmp_path: Path) -> None:
    """A field that a later version of the schema adds must not stop every campus at once."""
    script = (
        OURS
        + "CREATE TABLE r (enrollment_id TEXT PRIMARY KEY, term TEXT, event_id TEXT, note TEXT)"
    )
    own = {"enrollment.requested": {"table": "r", "key": ["enrollment_id"]}}
    campus = Campus(tmp_path, script, tables=own)
    assert campus.bring(request(1)) == [Applied()]
    (row,) = campus.rows(table="r")
    assert row[0] == "enrollment-1"
    assert '"academic_year": "2026-2027"' in row[1]
    assert row[2:] == (request(1).event_id, None)


def test_columns_may_be_a_mapping_file_with_code_tables(tmp_path: Path) -> None:
    """The campus's own words, as on the way in; a value outside its table is that delivery's matter alone."""
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "mode.csv").write_text("local,alliance\n网络,online\n", "utf-8")
    (tmp_path / "in.toml").write_text(
        '[event]\ntype = "enrollment.requested"\n[fields]\nenrollment_id = { path = "record.enrollment_id", required = true }\n'
        'home = "record.home"\nversion = "record.envelope.aggregate_version"\n'
        'delivery = { path = "record.delivery", codes = "mode" }\n',
        "utf-8",
    )
    campus = Campus(tmp_path, tables={"enrollment.requested": TABLE | {"columns": "in.toml"}})
    good, bad = campus.bring(request(1), request(2, delivery="presential"))
    assert good == Applied()
    assert isinstance(bad, Rejected)
    assert bad.code == "MAP_UNKNOWN_CODE"
    assert campus.rows("delivery") == [("网络",)]
    assert "enrollment.requested -> requests" in asyncio.run(campus.sink.check())


def test_what_has_no_table_of_its_own_goes_to_the_one_for_all(tmp_path: Path) -> None:
    """Outcomes and flags, too: a campus reads them with SQL of its own."""
    campus = Campus(tmp_path)
    flag = Delivery("flag", "hub.case-flagged", "flag-1", 9, case_flag())
    assert campus.bring(flag) == [Applied()]
    assert campus.rows("kind, event, subject, ledger_seq, version", "hub_in") == [
        ("flag", "hub.case-flagged", "enrollment-1", 9, None)
    ]


def test_without_a_table_for_all_the_missing_one_is_named(tmp_path: Path) -> None:
    """A delivery nobody wants is a matter of `events`; to drop it unseen would be ours."""
    campus = Campus(tmp_path, table="")
    with pytest.raises(ConfigError, match=r"no table for a flag of hub\.case-flagged"):
        campus.bring(Delivery("flag", "hub.case-flagged", "flag-1", 9, case_flag()))


# What a person has to do --------------------------------------------------------------------------------------------


def test_a_table_that_is_missing_is_named_with_its_statement(tmp_path: Path) -> None:
    """What one person of a campus sends to the other."""
    campus = Campus(tmp_path, "CREATE TABLE other (x)")
    for work in (lambda: campus.bring(request(1)), lambda: asyncio.run(campus.sink.check())):
        with pytest.raises(
            ConfigError, match=r"CREATE TABLE hub_applied \( sink VARCHAR\(100\) NOT NULL"
        ):
            work()


def test_our_tables_are_made_when_that_is_asked_for_and_not_by_check(tmp_path: Path) -> None:
    """`check` changes nothing, whatever is asked for."""
    campus = Campus(tmp_path, "CREATE TABLE other (x)", create=True)
    assert asyncio.run(campus.sink.check()) == "hub_applied, hub_in will be made"
    assert campus.rows("count(*)", "sqlite_master") == [(1,)]
    assert campus.bring(request(1)) == [Applied()]
    assert campus.rows("kind, subject", "hub_in") == [("event", "enrollment-1")]
    assert asyncio.run(campus.sink.check()) == "the rest -> hub_in"


def test_a_column_that_is_missing_is_named_and_needs_no_new_start(tmp_path: Path) -> None:
    """The DBA adds it; the next try finds it."""
    campus = Campus(tmp_path)
    campus.file.execute("ALTER TABLE requests DROP COLUMN delivery")
    with pytest.raises(ConfigError, match="ALTER TABLE requests ADD delivery"):
        campus.bring(request(1))
    campus.file.execute("ALTER TABLE requests ADD delivery TEXT")
    assert campus.bring(request(1)) == [Applied()]


def test_check_wants_the_key_to_be_unique(tmp_path: Path) -> None:
    """Otherwise the first upsert fails, or makes two rows of one student."""
    script = REQUESTS.replace("enrollment_id TEXT PRIMARY KEY", "enrollment_id TEXT")
    campus = Campus(tmp_path, script, tables={"enrollment.requested": TABLE})
    with pytest.raises(ConfigError, match=r"ALTER TABLE requests ADD UNIQUE \(enrollment_id\)"):
        asyncio.run(campus.sink.check())


def test_check_tries_the_rights_and_changes_nothing(tmp_path: Path) -> None:
    """A right that is missing is found at a desk and not by the first delivery."""
    campus = Campus(tmp_path)
    assert (
        asyncio.run(campus.sink.check()) == "enrollment.requested -> requests; the rest -> hub_in"
    )
    assert campus.rows() == []
    campus.file.connected = lambda db: db.execute("PRAGMA query_only = ON").close()
    with pytest.raises(NoPermission, match="SQL_SQLITE_READONLY"):
        asyncio.run(campus.opened().check())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tables": {"enrollment.request": TABLE}}, "did you mean enrollment.requested"),
        ({"tables": {"outcome": TABLE | {"key": ["nowhere"]}}}, "nowhere is in key or version"),
        (
            {"tables": {"flag": TABLE | {"deletes": {"when": "x"}}}},
            "name the column that soft sets",
        ),
        ({"tables": {"flag": TABLE | {"columns": TABLE["columns"] | {"x": "a b"}}}}, "no JMESPath"),  # type: ignore[operator]  # a dict
        ({"timezone": "Asia/Chengdu"}, "no such time zone"),
    ],
)
def test_options_that_cannot_work_are_refused(more: dict[str, Any], said: str) -> None:
    """By lint, without a database."""
    with pytest.raises(ValidationError, match=said):
        UpsertOptions.model_validate({"dsn": "sqlite:///c.db"} | more)


def test_looking_first_does_what_an_upsert_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of other databases, walked on SQLite."""
    monkeypatch.setattr(statements, "upsert", lambda *_: None)
    campus = Campus(tmp_path)
    assert campus.bring(request(1, version=3), request(2)) == [Applied(), Applied()]
    assert campus.bring(request(1, version=2, event=12)) == [Stale()]
    assert campus.bring(request(1, version=4, event=13, home="10613")) == [Applied()]
    assert campus.rows("home, version") == [("10613", 4), ("10610", 1)]


def test_the_readme_s_options_are_the_options(tmp_path: Path) -> None:
    """Its first example is read as a campus would write it."""
    text = (Path(__file__).parents[2] / "connectors/sql_upsert/README.md").read_text("utf-8")
    example = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    write_alliance(tmp_path)
    write_folder(tmp_path, Case(example.replace('{ env = "SIS_WRITE_DSN" }', '"postgresql://h/d"')))
    options: Any = load_config(tmp_path, {}).sinks[0].options
    assert set(options.tables) == {"enrollment.requested", "outcome"}
