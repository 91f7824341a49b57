"""The read model on a real PostgreSQL: the same rows as on SQLite, crashes included.

The tests start a server of their own on a free loopback port, in a folder of their own, and stop it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.support.readmodel import START, Chain, award
from tests.unit.test_store_fold import CrashAt, contents, follow, sample_log, store

USER = "alliance"


def _bin_folder() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    config = shutil.which("pg_config")
    if config:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.insert(0, Path(told.stdout.strip()))
    found = shutil.which("initdb")
    if found:
        folders.append(Path(found).parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists()), None)


def _as_nobody_special(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as the user `postgres`, who gets the folder."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return [shutil.which("runuser") or "runuser", "-u", "postgres", "--"]


@contextmanager
def server(bin_folder: Path) -> Iterator[str]:
    """A server that exists as long as the context; gives its URL."""
    folder = Path(tempfile.mkdtemp(prefix="alliance-pg-", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prefix, data = _as_nobody_special(folder), str(folder / "data")

    def run(*command: str) -> None:
        # No pipes: the server would inherit them and keep them open.
        with (folder.parent / f"{folder.name}.log").open("ab") as log:
            subprocess.run(
                [*prefix, *command], check=True, cwd="/", stdout=log, stderr=log, timeout=120
            )

    try:
        run(
            f"{bin_folder}/initdb",
            "-D",
            data,
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run(
            f"{bin_folder}/pg_ctl",
            "-D",
            data,
            "-w",
            "-o",
            options,
            "-l",
            f"{folder}/server.log",
            "start",
        )
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            run(f"{bin_folder}/pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        (folder.parent / f"{folder.name}.log").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    bin_folder = _bin_folder()
    if bin_folder is None:
        reason = "no initdb and pg_ctl found; run: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with server(bin_folder) as url:
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
