"""`alliance catalogue`: the event types whole, the clauses they serve, and the lives of things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

import hub.domain
from hub.domain.life import Machine
from hub.domain.reasons import ADVICE, Reason
from hub.events import diagrams, machines
from hub.events.reference import (
    ADMISSION_REASONS,
    Coverage,
    EventType,
    actors,
    common_reasons,
    coverage,
    event_type,
    event_types,
    events_about,
    fields,
    machine_json,
    ordered,
    reason_json,
    turn,
)
from schemas.catalogue import prose

PAGE = Path(hub.domain.__file__).with_name("MACHINES.md")
out = Console(highlight=False)


class EventTypes(TyperGroup):
    """Each event type is a command that shows it whole, so that `--help` lists them and a new one appears by itself."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [one.event for one in event_types()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = event_type(cmd_name)
        if found is None:
            return None
        single = typer.Typer(add_completion=False)
        single.command(cmd_name, help=found.schema.doc)(_show_command(found))
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if event_type(args[0]) is None:
            ctx.fail(f"event type {args[0]!r} is not in the catalogue; list it: alliance catalogue")
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=EventTypes, help="Event types, the clauses they serve, the lives of things.")


@app.callback(invoke_without_command=True)
def catalogue(
    ctx: typer.Context,
    clauses: bool = typer.Option(
        False, "--clauses", help="The statute's clauses; exit code 1 if one is not covered."
    ),
    tables: bool = typer.Option(False, "--machines", help="The tables of the things' lives."),
    write_diagrams: bool = typer.Option(
        False, "--write-diagrams", help=f"Write {PAGE.name} (development)."
    ),
    check_diagrams: bool = typer.Option(
        False, "--check-diagrams", help=f"Exit code 1 if {PAGE.name} is not up to date."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the event types that members publish; name one to see it whole."""
    if ctx.invoked_subcommand is not None:
        return
    if write_diagrams or check_diagrams:
        _diagrams(write=write_diagrams)
    elif clauses:
        _clauses(coverage(), as_json=as_json)
    elif tables:
        _machines(machines(), as_json=as_json)
    else:
        _list(event_types(), as_json=as_json)


def _json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _list(types: tuple[EventType, ...], *, as_json: bool) -> None:
    if as_json:
        _json([one.as_json() for one in types])
        return
    for one in types:
        _head(one)
        out.print(f"  reasons  {_codes(one.own_reasons) or 'none of its own'}", soft_wrap=True)
        out.print()
    out.print(f"{len(types)} event types. Any of them can meet, in the ledger:", style="bold")
    out.print(f"  {_codes(common_reasons())}", soft_wrap=True)
    out.print("and before it, at admission:", style="bold")
    out.print(f"  {_codes(ordered(ADMISSION_REASONS))}", soft_wrap=True)


def _head(one: EventType) -> None:
    schema, life = one.schema, one.life
    out.print(f"[bold]{one.event}[/] v{schema.version}, schema {one.schema_id}", soft_wrap=True)
    out.print(f"  {schema.doc}", soft_wrap=True, markup=False)
    facts = f"  writer {' or '.join(schema.writer)} · key {schema.key} · subject {schema.subject} · topic {one.topic}"
    out.print(facts + (f" · hash {schema.hash}" if schema.hash else ""), soft_wrap=True)
    if life is not None:
        out.print(f"  {life.kind}: {', '.join(life.states)}", soft_wrap=True)
    out.print(f"  clauses  {' '.join(schema.clauses)}", soft_wrap=True)


def _codes(reasons: tuple[Reason, ...]) -> str:
    return " ".join(reasons)


def _clauses(found: list[Coverage], *, as_json: bool) -> None:
    missing = [one.clause.id for one in found if one.missing]
    if as_json:
        _json([one.as_json() for one in found])
    else:
        for one in found:
            said = "" if one.covered else "outside: policy" if one.clause.outside else "NOT COVERED"
            out.print(f"[bold]{one.clause.id}[/]  {one.clause.en}", soft_wrap=True)
            out.print(f"     {one.clause.zh}", soft_wrap=True)
            out.print(f"     {said or ', '.join(one.events)}\n", soft_wrap=True, style="dim")
        if missing:
            print(f"no event type serves {', '.join(missing)}")
    if missing:
        raise typer.Exit(1)


def _machines(found: list[Machine], *, as_json: bool) -> None:
    if as_json:
        _json([machine_json(one) for one in found])
        return
    for one in found:
        _machine(one)
        out.print(
            f"  moved by {', '.join(kind.event for kind in events_about(one))}\n", soft_wrap=True
        )


def _machine(machine: Machine) -> None:
    out.print(f"{machine.kind}: {diagrams.heading(machine)}", soft_wrap=True)
    table = Table()
    for title in ("state", "turn of", "step", "by", "leads to"):
        table.add_column(title, overflow="fold")
    last = None
    for step in sorted(machine.steps, key=lambda step: ("", *machine.states).index(step.before)):
        whose = turn(machine, step.before)
        first = step.before != last
        table.add_row(
            (step.before or "(none yet)") if first else "",
            whose.en if whose and first else "",
            step.name,
            actors(machine, step).en,
            step.after,
        )
        last = step.before
    out.print(table)
    closed = [state for state in machine.states if machine.closed(state)]
    out.print(f"  closed: {', '.join(closed) or 'never'}", soft_wrap=True)
    if machine.source:
        out.print(f"  source: {machine.source}", soft_wrap=True)


def _show_command(one: EventType) -> Any:
    """The command of an event type."""

    def show(
        ctx: typer.Context,
        as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    ) -> None:
        before = ctx.parent is not None and ctx.parent.params["as_json"]  # `catalogue --json EVENT`
        if as_json or before:
            _show_json(one)
        else:
            _show(one)

    return show


def _show_json(one: EventType) -> None:
    _json(
        one.as_json()
        | {
            "prose": prose(one.schema),
            "fields": [row._asdict() for row in fields(one.schema)],
            "machine": machine_json(one.life) if one.life else None,
            "advice": [
                reason_json(reason) for reason in (*one.reasons, *ordered(ADMISSION_REASONS))
            ],
        }
    )


def _show(one: EventType) -> None:
    print(prose(one.schema))
    _head(one)
    out.print("\nFields")
    for row in fields(one.schema):
        indent = "  " * (row.depth + 1)
        out.print(f"{indent}[bold]{row.name}[/]: {row.type}", soft_wrap=True)
        if row.doc:
            out.print(f"{indent}    {row.doc}", soft_wrap=True, style="dim", markup=False)
    out.print()
    if one.life is not None:
        _machine(one.life)
    _reasons("Reasons of its own", one.own_reasons)
    _reasons("Reasons of any event", common_reasons())
    _reasons("Reasons of admission", ordered(ADMISSION_REASONS))


def _reasons(title: str, reasons: tuple[Reason, ...]) -> None:
    if not reasons:
        return
    out.print(f"\n{title}")
    for reason in reasons:
        advice = ADVICE[reason]
        out.print(f"  [bold]{reason}[/]  next: {advice.next_actor}", soft_wrap=True)
        out.print(f"    {advice.en}\n    {advice.zh}", soft_wrap=True)


def _diagrams(*, write: bool) -> None:
    wanted = diagrams.page()
    there = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if wanted == there:
        print(f"{PAGE.name} is up to date")
    elif write:
        PAGE.write_text(wanted, encoding="utf-8")
        print(f"wrote {PAGE}")
    else:
        print(f"{PAGE} is not what the tables say; run: alliance catalogue --write-diagrams")
        raise typer.Exit(1)
