"""`alliance schemas`: look at the event types, and rebuild what follows from their files."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from schemas.catalogue import Schema

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
    """Check that every schema has its id, none was edited after publication, and fastavro reads and writes as we do."""
    from schemas.catalogue import CatalogueError, catalogue

    try:
        known = catalogue()
        for schema in known.events():
            _check_example(schema)
    except CatalogueError as error:
        print(error)
        raise typer.Exit(1) from None
    print(f"{len(known.by_id)} schemas, each with its id; fastavro agrees on every example")


def _check_example(schema: Schema) -> None:
    """An independent library must read the bytes of our example, and write the same. Raises `CatalogueError`."""
    import fastavro

    from schemas.catalogue import CatalogueError, example
    from schemas.codec import FRAME_BYTES, encode, from_json

    body = encode(from_json(schema.event, example(schema)))[FRAME_BYTES:]
    parsed = fastavro.schema.parse_schema(schema.avro)
    again = io.BytesIO()
    fastavro.schemaless_writer(
        again, parsed, fastavro.schemaless_reader(io.BytesIO(body), parsed, None)
    )
    if again.getvalue() != body:
        raise CatalogueError(
            f"{schema.event} v{schema.version}: fastavro writes its example as {again.getvalue().hex()[:80]}..., "
            f"we as {body.hex()[:80]}...; correct schemas/avro_plain.py"
        )
