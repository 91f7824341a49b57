"""`alliance rules`: check a university's rules of recognition, try them on cases, ask why. Changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hub.domain.quantities import credits_text
from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.flow.log import replay_log
from hub.ledger.state import State
from hub.recognition.cases import Case, CasesUnfit, Report, read_cases, read_facts, run_cases
from hub.recognition.evaluate import Facts, Ruling, evaluate, found_text, passed_over
from hub.recognition.explain import Explanation, explain
from hub.recognition.language import RulesUnfit, lint, parse, text_hash
from hub.recognition.reading import ERROR, Finding
from hub.recognition.ruleset import Clause, RuleSet
from hub.run.what_if import Period, WhatIf
from hub.settings import read_settings, require_bootstrap
from schemas.members import load_alliance

app = typer.Typer(
    help="Rules of recognition: check them, try them on cases, ask why. "
    "Exit code 0: all is well; 1: an error in a rule set or its cases, or a case fails; "
    "2: a file cannot be read, or the command line is wrong.",
    no_args_is_help=True,
)
_JSON = typer.Option(False, "--json", help="Print one JSON object.")


@app.command("lint")
def lint_command(
    rule_files: list[Path] = typer.Argument(..., metavar="FILE...", help="Rule sets, TOML."),
    as_json: bool = _JSON,
) -> None:
    """Name the errors and warnings of rule sets, by line. Exit code 1 if there is an error, 2 if a file cannot be read."""
    texts = {path: _text(path) for path in rule_files}
    found = {path: lint(text) for path, text in texts.items()}
    unfit = {path for path in found if any(finding.level == ERROR for finding in found[path])}
    if as_json:
        files = [_lint_json(path, texts[path], found[path]) for path in texts]
        _print_json({"files": files})
    else:
        for path in texts:
            _show_findings(path, found[path])
        for path in [path for path in texts if path not in unfit]:
            text = texts[path]
            print(f"{path}: {_name(parse(text))} is fit; SHA-256 {text_hash(text)}")
    if unfit:
        raise typer.Exit(1)


@app.command("test")
def run_cases_command(
    rule_file: Path = typer.Argument(..., metavar="FILE", help="A rule set, TOML."),
    cases_file: Path | None = typer.Argument(
        None, metavar="[CASES]", help="Its cases; <name>.cases.toml beside it unless given."
    ),
    as_json: bool = _JSON,
) -> None:
    """Run the cases and name the rules that decide none of them. Exit code 1 if a case fails, 2 if a file cannot be read."""
    ruleset = _ruleset(rule_file, as_json)
    report = run_cases(ruleset, _cases(cases_file or _beside(rule_file), as_json))
    if as_json:
        _print_json(_report_json(ruleset, report))
    else:
        _show_report(ruleset, report)
    if report.failed:
        raise typer.Exit(1)


@app.command("explain")
def explain_command(
    rule_file: Path = typer.Argument(..., metavar="FILE", help="A rule set, TOML."),
    more: list[str] = typer.Argument(None, metavar="FACT=VALUE", help="More facts."),
    facts: list[str] = typer.Option(
        [], "--facts", metavar="FACT=VALUE", help="overlap_percent=50 passed=true and so on."
    ),
    as_json: bool = _JSON,
) -> None:
    """Tell which rule decides and why, in English and Chinese. Exit code 1 if the rule set has an error, 2 if a fact is wrong."""
    ruleset = _ruleset(rule_file, as_json)
    known = _facts([*facts, *(more or [])])
    ruling = evaluate(ruleset, known)
    words = explain(ruleset, known, ruling)
    if as_json:
        _print_json(asdict(ruling) | asdict(words))
    else:
        _show_ruling(ruleset, known, ruling, words)


@app.command("what-if")
def what_if_command(
    rule_file: Path = typer.Argument(..., metavar="FILE", help="The other rule set, TOML."),
    member: str = typer.Option("", help="Whose decisions; the owner of the rule set unless given."),
    since: datetime | None = typer.Option(
        None, formats=["%Y-%m-%d"], help="First day of the ledger."
    ),
    until: datetime | None = typer.Option(
        None, formats=["%Y-%m-%d"], help="Last day of the ledger."
    ),
    as_json: bool = _JSON,
) -> None:
    """Replay the ledger and show which past decisions other rules would have bounded otherwise. Writes nothing.

    Reads ledger.entries at ALLIANCE_BOOTSTRAP. Exit code 1 if the rule set has an error or the ledger does not verify.
    """
    ruleset = _ruleset(rule_file, as_json)
    settings = read_settings()
    alliance = load_alliance(settings.alliance_file)
    code = member or ruleset.owner
    if code not in alliance.members:
        _refuse(f"{code} is no member of {settings.alliance_file}; name one with --member")
    period = Period(since.date() if since else None, until.date() if until else None)
    state = State(frozenset(alliance.members))
    found = WhatIf(ruleset, code, period, state)
    with Progress(transient=True, disable=as_json) as progress:
        task = progress.add_task("reading the ledger", total=None)
        try:
            asyncio.run(
                replay_log(
                    require_bootstrap(settings),
                    state.members,
                    rules(),
                    see=found.see,
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                    state=state,
                )
            )
        except LedgerCorrupt as error:
            typer.echo(f"alliance rules: the ledger does not verify: {error}", err=True)
            raise typer.Exit(1) from None
    if as_json:
        _print_json(found.as_json())
    else:
        _show_what_if(found)


def _show_what_if(found: WhatIf) -> None:
    said = found.as_json()
    name = f"{found.rules.id} version {found.rules.version}"
    if not found.compared:
        print(
            f"{found.member} made no final decision in that period; nothing to compare with {name}"
        )
        return
    table = Table("entry", "decision", "courses", "recorded", "rules then", "other rules", "change")
    for item in found.changed():
        table.add_row(
            str(item.seq),
            item.decision_no,
            ", ".join(item.courses),
            credits_text(item.recorded_milli),
            _bound(item.then),
            _bound(item.other),
            item.change,
        )
    if found.changed():
        Console().print(table)
    print(
        f"{said['changed']} of {said['decisions']} decisions of {found.member} change under {name}; of "
        f"{said['recorded']} credits recorded {said['recorded_at_most']} would have been allowed"
    )


def _bound(ruling: Ruling) -> str:
    category = f" {ruling.category}" if ruling.category else ""
    return f"{ruling.outcome}, at most {credits_text(ruling.limit_milli)}{category} ({ruling.clause_name or ruling.reason})"


def _beside(rule_file: Path) -> Path:
    return rule_file.with_name(f"{rule_file.stem}.cases.toml")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # line ends stay: they are signed, too
    except OSError as error:
        _refuse(f"{path} cannot be read: {error.strerror}; name a file of rules or cases")
    except UnicodeDecodeError as error:
        _refuse(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8")


def _refuse(message: str) -> NoReturn:
    typer.echo(f"alliance rules: {message}", err=True)
    raise typer.Exit(2)


def _ruleset(path: Path, as_json: bool) -> RuleSet:
    try:
        return parse(_text(path))
    except RulesUnfit as error:
        _unfit(path, error, as_json)


def _cases(path: Path, as_json: bool) -> Sequence[Case]:
    try:
        return read_cases(_text(path))
    except CasesUnfit as error:
        _unfit(path, error, as_json)


def _unfit(path: Path, error: RulesUnfit, as_json: bool) -> NoReturn:
    if as_json:
        _print_json({"file": str(path), "findings": [asdict(found) for found in error.findings]})
    else:
        _show_findings(path, error.findings)
    raise typer.Exit(1)


def _facts(words: Sequence[str]) -> Facts:
    values: dict[str, object] = {}
    for word in words:
        name, is_pair, value = word.partition("=")
        if not is_pair or name in values:
            _refuse(f"found {word!r}, wanted each fact once as name=value; correct it")
        values[name] = {"true": True, "false": False}.get(value, value)
    try:
        return read_facts(values)
    except CasesUnfit as error:
        _refuse("; ".join(f"{found.where}: {found.message}" for found in error.findings))


def _show_findings(path: Path, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    table = Table("line", "", "where", "what, and what now", title=str(path), title_justify="left")
    for found in findings:
        table.add_row(str(found.line or ""), found.level, found.where, found.message)
    _show(table)


def _show_report(ruleset: RuleSet, report: Report) -> None:
    table = Table("", "case", "decided by", "at most", "wrong")
    for result in report.results:
        wrong = "; ".join(f"{what} {found}, expected {want}" for what, want, found in result.wrong)
        credits = credits_text(result.ruling.limit_milli)
        mark = "FAILS" if wrong else "ok"
        table.add_row(mark, result.case.name, _decider(result.ruling), credits, wrong)
    _show(table)
    for clause in report.unreached:
        print(f"no case reaches {_called(clause)}; add one")
    print(f"{_name(ruleset)}: {len(report.results)} cases, {report.failed} failed")


def _show_ruling(ruleset: RuleSet, facts: Facts, ruling: Ruling, words: Explanation) -> None:
    table = Table("rule", "asks for", "found", "")
    for clause, failing in passed_over(ruleset, facts):
        asked = f"{failing.fact} {failing.wanted}"
        table.add_row(_called(clause), asked, found_text(failing.fact, facts), "passed over")
    asked = ", ".join(f"{held.fact} {held.wanted}" for held in ruling.because)
    found = ", ".join(held.found for held in ruling.because)
    table.add_row(_decider(ruling), asked or "nothing", found, "DECIDES")
    _show(table)
    print(words.en)
    print(words.zh)
    if facts.host_milli is None:
        print("host_credits is not given, so nothing can be recorded; add host_credits=...")


def _show(table: Table) -> None:
    Console(markup=False, highlight=False, emoji=False).print(table)


def _name(ruleset: RuleSet) -> str:
    return f"{ruleset.id} version {ruleset.version} ({len(ruleset.clauses)} rules)"


def _called(clause: Clause) -> str:
    return f"rule {clause.number} {clause.name}".rstrip()


def _decider(ruling: Ruling) -> str:
    return f"rule {ruling.clause} {ruling.clause_name}".rstrip()


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _lint_json(path: Path, text: str, findings: Sequence[Finding]) -> dict[str, Any]:
    fit = all(finding.level != ERROR for finding in findings)
    ruleset = parse(text) if fit else None
    named = {"id": ruleset.id, "version": ruleset.version} if ruleset else {}
    found = [asdict(finding) for finding in findings]
    return {"file": str(path), "fit": fit, **named, "sha256": text_hash(text), "findings": found}


def _report_json(ruleset: RuleSet, report: Report) -> dict[str, Any]:
    return {
        "id": ruleset.id,
        "version": ruleset.version,
        "failed": report.failed,
        "cases": [
            {
                "name": result.case.name,
                "ok": not result.wrong,
                "wrong": [
                    {"what": what, "expected": want, "found": found}
                    for what, want, found in result.wrong
                ],
                **asdict(result.ruling),
            }
            for result in report.results
        ],
        "unreached": [{"clause": c.number, "name": c.name} for c in report.unreached],
    }
