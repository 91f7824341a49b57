"""`alliance schemas`: look at the event types, and rebuild what follows from their files."""

from __future__ import annotations

import json

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="Event types and their schemas.", no_args_is_help=True)


@app.command("build")
def build_command() -> None:
    """Write ids.toml and records.py from the schema files (development)."""
    from schemas.build import build

    written = build()
    print(
        f"wrote {', '.join(written)}"
        if written
        else "nothing to write: ids.toml and records.py are up to date"
    )


@app.command("list")
def list_command(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the event types that members publish."""
    from schemas.catalogue import catalogue

    known = catalogue()
    if as_json:
        rows = [
            {
                "event": schema.event,
                "version": schema.version,
                "id": known.schema_id(schema),
                "writer": list(schema.writer),
                "key": schema.key,
                "clauses": list(schema.clauses),
                "doc": schema.doc,
            }
            for schema in known.events()
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("event", "v", "id", "written by", "key", "statute", "meaning")
    for schema in known.events():
        table.add_row(
            schema.event,
            str(schema.version),
            str(known.schema_id(schema)),
            " or ".join(schema.writer),
            schema.key,
            " ".join(schema.clauses),
            schema.doc,
        )
    Console().print(table)


@app.command("check")
def check_command() -> None:
    """Check that every schema has its id and none was edited after publication."""
    from schemas.catalogue import CatalogueError, catalogue

    try:
        count = len(catalogue().by_id)
    except CatalogueError as error:
        print(error)
        raise typer.Exit(1) from None
    print(f"{count} schemas, each with its id")
