"""The read model on a real PostgreSQL: the same rows as on SQLite, crashes included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from hub.store import tables
from hub.store.fold import fold
from hub.store.queries import CaseOrder, Reader, case_place
from schemas.records import OpenCase
from tests.support.case_entries import cases_taken, open_case
from tests.support.postgres import postgres
from tests.support.readmodel import START, Chain, award
from tests.unit.test_store_fold import CrashAt, contents, follow, sample_log, store


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with postgres() as url:
        made = tables.open_engine(url)
        try:
            yield made
        finally:
            made.dispose()


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), steps=st.lists(st.none() | st.integers(0, 14), max_size=20))
def test_crashes_on_postgresql_end_in_the_rows_of_sqlite(
    engine: Engine, tmp_path: Path, data: st.DataObject, steps: list[int | None]
) -> None:
    """One schema, one meaning: the database is a matter of size, not of content."""
    log = sample_log()
    tables.prepare(engine)
    tables.clear(engine)
    with store(tmp_path) as sqlite, CrashAt(engine) as crash:
        fold(sqlite, {}, log)
        follow(engine, log, lambda: data.draw(st.integers(1, 12)), crash, steps)
        assert contents(engine) == contents(sqlite)


def test_questions_have_the_same_answers_on_postgresql(engine: Engine, tmp_path: Path) -> None:
    """Filters, counts, JSON and bytes come back as they do from SQLite."""
    tables.prepare(engine)
    tables.clear(engine)
    with store(tmp_path) as sqlite:
        answers = []
        for each in (engine, sqlite):
            fold(each, {}, sample_log())
            reader = Reader(each)
            answers.append(
                (
                    reader.head(),
                    reader.outcomes(),
                    reader.entries(after=3, limit=5, outcome="applied", member="10611"),
                    reader.newest(3),
                    reader.balances("10610/"),
                    reader.activity(),
                    reader.topic_rates(),
                    reader.heartbeats(),
                    reader.dead_letters(),
                    reader.still_parked(),
                    reader.turns(START + timedelta(days=9)),
                    _paged(reader, "age"),
                    _paged(reader, "due"),
                    reader.open_cases(member="10611", kind="award", due_before=START),
                )
            )
        assert answers[0] == answers[1]


def _paged(reader: Reader, order: CaseOrder) -> list[OpenCase]:
    """All open cases, one page of one case after the other."""
    found: list[OpenCase] = []
    while page := reader.open_cases(
        order=order, after=case_place(found[-1], order) if found else None, limit=1
    ):
        found += page
    return found


def test_a_layout_change_empties_postgresql_too(engine: Engine) -> None:
    """The tables are dropped and made in one transaction."""
    tables.prepare(engine)
    tables.clear(engine)
    fold(engine, {}, sample_log())
    with engine.begin() as connection:
        connection.execute(tables.layout.update().values(fingerprint="older"))
    assert tables.prepare(engine)
    assert Reader(engine).head().seq == 0


def test_a_null_character_in_a_text_stops_nobody(engine: Engine) -> None:
    """Avro allows it, PostgreSQL's text does not: one member's odd text must not stop the read model of all."""
    tables.prepare(engine)
    tables.clear(engine)
    ledger = Chain()
    ledger.add(
        replace(
            award(1), award_id="aw\x001", envelope=replace(award(1).envelope, subject="aw\x001")
        )
    )
    fold(engine, {}, [*ledger.taken, *cases_taken(open_case("enrollment/e\x001"), open_case())])
    fold(engine, Reader(engine).positions(), cases_taken("", "", "enrollment/e\x001")[2:])
    assert [case.id for case in Reader(engine).open_cases()] == ["e1"]
    with engine.connect() as connection:
        assert connection.execute(select(tables.entries.c.subject)).scalar_one() == "aw\ufffd1"
    assert Reader(engine).newest(1)[0].entry.subject == "aw\x001", (
        "the entry's bytes stay as they are"
    )
