"""Open cases in the read model, the API, the console and on the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from starlette.applications import Starlette
from typer.testing import CliRunner

from hub.console.app import build_app
from hub.errors import RetryLater, SettingsError
from hub.flow.plan import topic_plan
from hub.run import cases_cli
from hub.store import tables
from hub.store.fold import Taken, fold
from hub.store.queries import CaseOrder, Reader, case_place
from schemas import topics
from schemas.members import Alliance, load_alliance
from schemas.records import OpenCase
from tests.support.case_entries import HOME, HOST, cases_taken, open_case
from tests.support.entries import START
from tests.support.readmodel import FakeKafka, sample_broker

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
NOW = START + 10 * DAY


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(made)
    yield made
    made.dispose()


def some_cases() -> list[OpenCase]:
    """Ages of 9, 8, 7 ... days; e1 and w/1 are overdue, e3 waits for both."""
    return [
        open_case("enrollment/e1", since=START + 1 * DAY, due_at=NOW - 2 * DAY, flag="deadline_over"),
        open_case("enrollment/e2", since=START + 2 * DAY, due_at=NOW + DAY),
        open_case("enrollment/e3", HOME, HOST, since=START + 3 * DAY),
        open_case("award/w/1", HOME, state="awarded", since=START + 4 * DAY, due_at=NOW - DAY),
        open_case("award/w2", HOME, state="awarded", since=START + 5 * DAY, flag="x-new"),
    ]  # fmt: skip


# --- read model


def test_a_record_without_value_closes_the_case_of_its_key(engine: Engine) -> None:
    """The topic is compacted: closing is deleting. Ids may have slashes."""
    log = cases_taken(
        *some_cases(),
        "enrollment/e1",
        "award/w/1",
        "award/unknown",
        open_case("enrollment/e1", seq=30),
    )
    fold(engine, {}, log)
    found = Reader(engine).open_cases()
    assert [(case.id, case.seq) for case in found] == [("e1", 30), ("e2", 1), ("e3", 1), ("w2", 1)]
    with engine.connect() as connection:
        turns = connection.execute(select(tables.turns).order_by(*tables.turns.c)).all()
    assert [tuple(row) for row in turns] == [
        (HOME, "award", "w2"), (HOME, "enrollment", "e3"),
        (HOST, "enrollment", "e1"), (HOST, "enrollment", "e2"), (HOST, "enrollment", "e3"),
    ]  # fmt: skip


case_records = st.lists(
    st.one_of(
        st.sampled_from(["award/w/1", "award/w", "enrollment/e1"]),
        st.builds(
            lambda key, actors, seq: open_case(key, *actors, seq=seq),
            st.sampled_from(["award/w/1", "award/w", "enrollment/e1"]),
            st.sampled_from([(HOME,), (HOST,), (HOME, HOST)]),
            st.integers(1, 9),
        ),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(records=case_records, size=st.integers(1, 7))
def test_any_batching_leaves_the_newest_record_of_each_case(
    engine: Engine, records: list[OpenCase | str], size: int
) -> None:
    """A dictionary says the same."""
    wanted: dict[str, OpenCase] = {}
    for record in records:
        if isinstance(record, str):
            wanted.pop(record, None)
        else:
            wanted[f"{record.kind}/{record.id}"] = record
    tables.clear(engine)
    positions: Any = {}
    log = cases_taken(*records)
    for start in range(0, len(log), size):
        positions = fold(engine, positions, log[max(0, start - 2) : start + size])  # and repeats
    found = Reader(engine).open_cases()
    assert {f"{case.kind}/{case.id}": case for case in found} == wanted
    waiting = sum(turns.open for turns in Reader(engine).turns(NOW))
    assert waiting == sum(len(case.next_actors) for case in wanted.values())


def test_what_is_no_case_is_passed_over(engine: Engine) -> None:
    """The read model goes on."""
    noise = [
        Taken(topics.CASES, 0, 0, b"noise", b"enrollment/e1"),
        Taken(topics.CASES, 0, 1, None),
    ]
    fold(engine, {}, noise)
    assert Reader(engine).open_cases() == []


@pytest.mark.parametrize(
    ("order", "ids"),
    [("age", ["e1", "e2", "e3", "w/1", "w2"]), ("due", ["e1", "w/1", "e2", "w2", "e3"])],
)
def test_cases_are_listed_page_by_page_in_both_orders(
    engine: Engine, order: CaseOrder, ids: list[str]
) -> None:
    """Those without a deadline come last; none is left out or shown twice where two stand at the same time."""
    fold(engine, {}, cases_taken(*some_cases()))
    reader = Reader(engine)
    seen: list[OpenCase] = []
    while page := reader.open_cases(
        order=order, limit=2, after=case_place(seen[-1], order) if seen else None
    ):
        seen += page
    assert [case.id for case in seen] == ids


def test_cases_are_counted_by_next_actor(engine: Engine) -> None:
    """A case of two counts for both; most overdue first."""
    fold(engine, {}, cases_taken(*some_cases(), open_case("posting/p1", "10613", since=NOW)))
    found = [
        (turns.member, turns.open, turns.overdue, turns.flagged, turns.oldest)
        for turns in Reader(engine).turns(NOW)
    ]
    assert found == [
        (HOME, 3, 1, 1, START + 3 * DAY),
        (HOST, 3, 1, 1, START + 1 * DAY),
        ("10613", 1, 0, 0, NOW),
    ]


def test_closings_stay_in_the_topic_for_as_long_as_a_store_may_be_away() -> None:
    """Kafka would drop them after a day, and a store that was away for a week would show closed cases for ever."""
    (plan,) = (spec for spec in topic_plan([]) if spec.name == topics.CASES)
    assert plan.config["cleanup.policy"] == "compact"
    assert int(plan.config["delete.retention.ms"]) == 365 * 86_400_000


# --- API and console


@pytest.fixture
def alliance() -> Alliance:
    return load_alliance(ROOT / "alliance.toml")


@pytest.fixture
def app(engine: Engine, alliance: Alliance) -> Starlette:
    fold(engine, {}, cases_taken(*some_cases()))
    kafka = FakeKafka(sample_broker(list(alliance.members), [], NOW))
    return build_app(Reader(engine), alliance, kafka, lambda: NOW)


def ask(app: Starlette, request: httpx.Request | str) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            if isinstance(request, httpx.Request):
                return await client.get(request.url)
            return await client.get(request)

    return asyncio.run(send())


def body(app: Starlette, path: str) -> Any:
    answer = ask(app, path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(app: Starlette, path: str) -> list[str]:
    return [item["id"] for item in body(app, path)["items"]]


def test_the_api_lists_whose_turn_it_is(app: Starlette) -> None:
    """Everything an office needs to see what waits for it, oldest first."""
    first = body(app, "/api/v1/cases")["items"][0]
    assert first["next_actors"] == [HOST]
    assert (first["id"], first["age_s"], first["overdue"]) == ("e1", 9 * 86_400, True)
    assert first["since"] == "2026-09-02T00:00:00Z"
    assert first["sentence"] == {
        "en": "Enrollment e1, pending: waits for Chongqing University, 9 d so far, overdue for 2 d. "
        "The deadline of this case is over and nothing happened. Those named as next actors must act now.",
        "zh": "跨校选课 e1（pending）：待重庆大学处理，已等 9 天，已逾期 2 天。该事项已超过期限仍未处理，请列明的责任方立即处理。",
    }  # fmt: skip


def test_the_api_filters_and_orders(app: Starlette) -> None:
    """By next actor, kind and deadline."""
    assert ids(app, f"/api/v1/cases?member={HOME}") == ["e3", "w/1", "w2"]
    assert ids(app, f"/api/v1/cases?member={HOME}&kind=award") == ["w/1", "w2"]
    assert ids(app, "/api/v1/cases?overdue=true") == ["e1", "w/1"]
    assert ids(app, "/api/v1/cases?order=due") == ["e1", "w/1", "e2", "w2", "e3"]
    both, new = (
        body(app, "/api/v1/cases?limit=2&order=due")["items"][1:],
        body(app, "/api/v1/cases")["items"][-1],
    )
    assert both[0]["sentence"]["en"].endswith(
        "waits for Sichuan University, 6 d so far, overdue for 24 h."
    )
    assert new["sentence"]["en"].endswith("Flag: x-new.")


@pytest.mark.parametrize("order", ["age", "due"])
def test_pages_of_cases_follow_each_other(app: Starlette, order: str) -> None:
    """Following `next` to its end gives every case once; ids with slashes too."""
    path: str | None = f"/api/v1/cases?limit=1&order={order}"
    seen: list[str] = []
    while path:
        page = body(app, path)
        seen += [item["id"] for item in page["items"]]
        path = page["next"]
    assert sorted(seen) == ["e1", "e2", "e3", "w/1", "w2"]


def test_the_summary_counts_by_next_actor(app: Starlette) -> None:
    """Who has most to do, in a sentence too."""
    first = body(app, "/api/v1/cases/summary")["items"][0]
    assert first == {
        "member": HOME,
        "name": {"en": "Sichuan University", "zh": "四川大学"},
        "open": 3,
        "overdue": 1,
        "flagged": 1,
        "oldest_since": "2026-09-04T00:00:00.000Z",
        "oldest_age_s": 7 * 86_400,
        "sentence": {
            "en": "Sichuan University has to act on 3 cases, 1 overdue; the longest wait is 7 d so far.",
            "zh": "四川大学有 3 件待办，其中逾期 1 件，最久的已等 7 天。",
        },
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("member=1", "member is '1', wanted one of 10610"),
        ("kind=course", "wanted one of agreement"),
        ("overdue=yes", "overdue is 'yes', wanted one of true"),
        ("order=name", "wanted one of age, due"),
        ("after=7", "wanted what `next` said"),
        ("after=" + "9" * 19 + "/a/b", "wanted what `next` said"),
        ("limit=0", "wanted a number from 1 to 1000"),
        ("state=pending", "unknown state, wanted member, kind, overdue, order, after, limit"),
    ],
)
def test_wrong_questions_are_refused_by_name(app: Starlette, query: str, said: str) -> None:
    """A filter that is silently ignored shows the wrong list."""
    answer = ask(app, f"/api/v1/cases?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETER")
    assert said in answer.json()["detail"]
    assert ask(app, "/api/v1/cases/summary?member=10610").status_code == 400


def test_the_page_shows_open_cases_by_next_actor(app: Starlette) -> None:
    """Operators see who is waited for, in both languages."""
    page = ask(app, "/?lang=en").text
    row = page.split("<td>Chongqing University</td>")[1].split("</tr>")[0]
    assert f'<a href="/api/v1/cases?member={HOST}">3</a>' in row
    assert '<span class="badge rejected">1</span>' in row
    assert ">9 d<" in row
    assert "待办事项（按责任方）" in ask(app, "/?lang=zh").text


def test_a_page_without_open_cases_says_so(engine: Engine, alliance: Alliance) -> None:
    """An empty table looks like a fault."""
    kafka = FakeKafka(sample_broker(list(alliance.members), [], NOW))
    assert "Nobody has to act." in ask(build_app(Reader(engine), alliance, kafka), "/").text


# --- command line


def client_of(app: Starlette) -> httpx.Client:
    """A client whose server is the application itself."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = ask(app, request)
        return httpx.Response(found.status_code, content=found.content)

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://hub")


@pytest.fixture
def alliance_cases(monkeypatch: pytest.MonkeyPatch, app: Starlette) -> Callable[..., str]:
    """Runs `alliance cases` against the API, without a server; returns what it prints."""

    monkeypatch.setattr(cases_cli, "connect", lambda _http: client_of(app))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*words: str) -> str:
        done = CliRunner().invoke(cases_cli.app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_command_lists_cases_by_next_actor_and_age(alliance_cases: Callable[..., str]) -> None:
    """A case of two next actors stands under both."""
    said = alliance_cases()
    rows = [line.split("│")[1:4] for line in said.partition("open cases")[2].splitlines()]
    assert [[cell.strip() for cell in row] for row in rows if len(row) == 3] == [
        [HOME, "7 d", "enrollment e3"],
        [HOME, "6 d", "award w/1"],
        [HOME, "5 d", "award w2"],
        [HOST, "9 d", "enrollment e1"],
        [HOST, "8 d", "enrollment e2"],
        [HOST, "7 d", "enrollment e3"],
    ]
    assert "Sichuan University" in said.partition("open cases")[0]


def test_the_command_filters(alliance_cases: Callable[..., str]) -> None:
    """An office looks at its own, then at what is late."""
    mine = alliance_cases("--member", HOST)
    assert "enrollment e3" in mine
    assert HOME not in mine
    late = alliance_cases("--overdue").partition("open cases")[2]
    assert ("e1" in late, "w/1" in late, "e2" in late) == (True, True, False)
    assert late.count("OVERDUE") == 2
    assert "there are more, see --limit" in alliance_cases("--limit", "1")


def test_the_command_speaks_json(alliance_cases: Callable[..., str]) -> None:
    """For whoever builds on it."""
    said = json.loads(alliance_cases("--json", "--member", HOME, "--limit", "2"))
    assert [case["id"] for case in said["cases"]] == ["e3", "w/1"]
    assert said["more"] is True
    assert [turns["open"] for turns in said["summary"]] == [3]


def test_nothing_to_do_is_said(
    monkeypatch: pytest.MonkeyPatch, alliance_cases: Callable[..., str], engine: Engine
) -> None:
    """Silence would look like a fault."""
    tables.clear(engine)
    assert alliance_cases() == "nobody has to act\n"


def test_without_a_console_the_command_says_what_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake."""
    monkeypatch.setenv("ALLIANCE_HTTP", "127.0.0.1:1")
    with pytest.raises(RetryLater, match="start `alliance console`, or set ALLIANCE_HTTP"):
        CliRunner().invoke(cases_cli.app, [], catch_exceptions=False)


def test_what_the_api_refuses_is_said_with_its_next_step(
    alliance_cases: Callable[..., str],
) -> None:
    """A member that does not exist, for one."""
    with pytest.raises(SettingsError, match=r"member is '1', .*; Correct the parameter"):
        alliance_cases("--member", "1")


def test_a_store_that_is_away_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, alliance: Alliance
) -> None:
    """The console may run without its read model."""
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'none.db'}")
    kafka = FakeKafka(sample_broker(list(alliance.members), [], NOW))
    app = build_app(Reader(engine), alliance, kafka)
    monkeypatch.setattr(cases_cli, "connect", lambda _http: client_of(app))
    with pytest.raises(RetryLater, match=r"alliance run projector.*; Try again"):
        CliRunner().invoke(cases_cli.app, [], catch_exceptions=False)
    engine.dispose()
