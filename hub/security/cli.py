"""`alliance members`: who belongs to the alliance, and keys for them."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from hub.security.keys import keygen
from hub.settings import read_settings
from schemas.members import load_alliance

app = typer.Typer(help="Members of the alliance and their keys.", no_args_is_help=True)


@app.command("list")
def list_command(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the members with their key ids."""
    alliance = load_alliance(read_settings().alliance_file)
    if as_json:
        rows = [
            {
                "code": m.code,
                "name_en": m.name_en,
                "name_zh": m.name_zh,
                "region": m.region,
                "keys": list(m.keys),
            }
            for m in alliance.members.values()
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("code", "name", "", "region", "keys")
    for m in alliance.members.values():
        table.add_row(m.code, m.name_en, m.name_zh, m.region, " ".join(m.keys) or "none yet")
    Console().print(table)


@app.command("keygen")
def keygen_command(
    out: Path = typer.Option(..., "--out", help="Folder for the private keys, <code>.key each."),
    member: list[str] = typer.Option([], "--member", help="Only for this member; may be repeated."),
) -> None:
    """Make key pairs; public keys are added to the alliance configuration (ALLIANCE_FILE)."""
    settings = read_settings()
    made = keygen(settings.alliance_file, out, member or None)
    for code, key in made.items():
        print(f"{code}  {key}  {out / (code + '.key')}")
    print(
        f"{len(made)} keys made; public halves added to {settings.alliance_file}"
        if made
        else f"nothing to do: every member asked for has a key in {out}"
    )
