"""`alliance connector conformance`: put the questions that every kind answers, without pytest.

Exit codes: 0 well, 1 a kind does not keep a rule, 2 configuration.
"""

from __future__ import annotations

import json
import logging

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from connectors.sdk.cli.common import fail, quiet_logs
from connectors.sdk.contract import ConfigError
from connectors.sdk.testing import suite
from connectors.sdk.testing.faults import BY_FIELD
from connectors.sdk.testing.questions import QUESTIONS

FINDINGS = 1
err = Console(stderr=True)


def conformance_command(
    kind: list[str] = typer.Option([], "--kind", help="A kind; may be repeated. All without it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    every: bool = typer.Option(False, "--every-await", help="Kill at each await, not at some."),
    rules: bool = typer.Option(False, "--rules", help="Say what is asked, and ask nothing."),
) -> None:
    """Examine kinds: kills, faults, repeats, refusals. No network, no broker.

    Example: alliance connector conformance --kind http_poll
    """
    if rules:
        _print_rules(as_json=as_json)
        return
    quiet_logs(logging.CRITICAL)
    logging.getLogger("asyncio").disabled = True  # it would tell of each task that a kill ended
    try:
        asked = suite.asks(kind or None)
    except ConfigError as error:
        fail(error)
    counts = _run(asked, thorough=every)
    if as_json:
        print(json.dumps({name: count.to_json() for name, count in counts.items()}, indent=2))
    else:
        _print_counts(counts)
    if any(count.failed for count in counts.values()):
        raise typer.Exit(FINDINGS)


def _run(asked: list[suite.Ask], *, thorough: bool) -> dict[str, suite.Count]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as shown:
        task = shown.add_task("asking", total=len(asked))
        failed: list[suite.Ask] = []

        def told(ask: suite.Ask, words: str) -> None:
            failed.extend([ask] if words else [])
            shown.update(task, advance=1, description=f"{ask.kind}, {len(failed)} failed")

        return suite.run(asked, thorough=thorough, told=told)


def _print_counts(counts: dict[str, suite.Count]) -> None:
    table = Table("kind", "passed", "failed", "waived")
    for name, count in counts.items():
        table.add_row(name, str(count.passed), str(len(count.failed)), str(len(count.waived)))
    Console().print(table)
    for name, count in counts.items():
        for question, words in count.failed:
            print(f"FAILED {question}: {words}")
        for question, reason in count.waived.items():
            print(f"waived {name}: {question}: {reason}")


def _print_rules(*, as_json: bool) -> None:
    if as_json:
        faults = [
            {"side": side, "fault": fault, "question": name} for side, fault, name in BY_FIELD
        ]
        rules = [{"question": one.name, "rule": one.rule} for one in QUESTIONS]
        print(json.dumps({"rules": rules, "faults": faults}, indent=2))
        return
    for one in QUESTIONS:
        print(f"{one.name}: {one.rule}")
    print()
    for side, fault, name in BY_FIELD:
        print(f"{side}: {fault}: {name}")
