"""`alliance cases`: who has to act next, and for how long already. Asks the console's API, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from hub.api.troubles import duration
from hub.errors import RetryLater, SettingsError
from hub.settings import read_settings

app = typer.Typer(help="Open cases by next actor and age.")

TIMEOUT_S = 10.0  # the console answers in milliseconds; more means that its database is away
Json = dict[str, Any]


@app.callback(invoke_without_command=True)
def cases(
    member: str = typer.Option("", help="Only those in which this member has to act."),
    overdue: bool = typer.Option(False, "--overdue", help="Only those past their deadline."),
    limit: int = typer.Option(50, min=1, max=1000, help="List at most so many, oldest first."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """List open cases by next actor, longest waiting first. The console must run; ALLIANCE_HTTP says where."""
    query = {"limit": str(limit)}
    query |= {"member": member} if member else {}
    query |= {"overdue": "true"} if overdue else {}
    with connect(read_settings().http) as client:
        summary = _get(client, "/api/v1/cases/summary", {})["items"]
        found = _get(client, "/api/v1/cases", query)
    shown = [turns for turns in summary if member in ("", turns["member"])]
    if as_json:
        more = found["next"] is not None
        print(
            json.dumps(
                {"summary": shown, "cases": found["items"], "more": more}, ensure_ascii=False
            )
        )
        return
    _show_summary(shown)
    _show_cases(found["items"], member)
    if found["next"] is not None:
        print(f"the oldest {limit} are listed; there are more, see --limit")


def connect(http: str) -> httpx.Client:
    """A client of the console at `host:port`. Whoever asks for it closes it."""
    return httpx.Client(base_url=f"http://{http}", timeout=TIMEOUT_S, trust_env=False)


def _get(client: httpx.Client, path: str, query: Mapping[str, str]) -> Json:
    """The answer. Raises `SettingsError` for a wrong question, `RetryLater` when there is none."""
    try:
        answer = client.get(path, params=query)
        body: Json = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise RetryLater(
            f"no console answers at {client.base_url} ({type(error).__name__}); "
            "start `alliance console`, or set ALLIANCE_HTTP to where it runs"
        ) from error
    if answer.status_code == httpx.codes.OK:
        return body
    said = f"{body.get('detail', answer.reason_phrase)}; {body.get('next_step', '')}".rstrip("; ")
    wrong = answer.status_code == httpx.codes.BAD_REQUEST
    raise SettingsError(said) if wrong else RetryLater(said)


def _show_summary(summary: Sequence[Json]) -> None:
    if not summary:
        print("nobody has to act")
        return
    table = Table("next actor", "", "open", "overdue", "flagged", "oldest", title="by next actor")
    for turns in summary:
        counts = (str(turns[name]) for name in ("open", "overdue", "flagged"))
        table.add_row(
            turns["member"], turns["name"]["en"], *counts, duration(turns["oldest_age_s"]).en
        )
    _show(table)


def _show_cases(cases: Sequence[Json], member: str) -> None:
    """Under each next actor, oldest first; a case of two actors stands under both."""
    if not cases:
        return
    table = Table("next actor", "waits", "case", "state", "deadline", "flag", title="open cases")
    for actor in sorted({actor for case in cases for actor in case["next_actors"]}):
        for case in cases:
            if actor in case["next_actors"] and member in ("", actor):
                table.add_row(
                    actor,
                    duration(case["age_s"]).en,
                    f"{case['kind']} {case['id']}",
                    case["state"],
                    _deadline(case),
                    case["flag"] or "",
                )
    _show(table)


def _deadline(case: Json) -> str:
    """To the minute, in UTC as the API has it."""
    if not case["due_at"]:
        return "-"
    late = " OVERDUE" if case["overdue"] else ""
    return f"{case['due_at'][:16].replace('T', ' ')} UTC{late}"


def _show(table: Table) -> None:
    Console(markup=False, highlight=False, emoji=False).print(table)
