"""`alliance members`: who belongs to the alliance, and keys for them."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from hub.errors import SettingsError
from hub.security.keys import hub_keygen, keygen, set_quorum
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


@app.command("quorum")
def quorum_command(
    rows: list[str] = typer.Argument(..., metavar="REGION=COUNT...", help="Sichuan=6 Chongqing=5"),
) -> None:
    """Set how many members of each region must have cosigned a checkpoint before it is final."""
    settings = read_settings()
    quorum = {}
    for row in rows:
        region, _, count = row.rpartition("=")
        if not region or not count.isdecimal():
            raise SettingsError(f"{row!r} is no REGION=COUNT; write for example Sichuan=6")
        quorum[region] = int(count)
    set_quorum(settings.alliance_file, quorum)
    print(f"quorum of {settings.alliance_file}: {', '.join(rows)}")


@app.command("keygen")
def keygen_command(
    out: Path = typer.Option(..., "--out", help="Folder for the private keys, <code>.key each."),
    member: list[str] = typer.Option([], "--member", help="Only for this member; may be repeated."),
    hub: bool = typer.Option(False, "--hub", help="The hub's own: log.key and promises.key."),
) -> None:
    """Make key pairs; public keys are added to the alliance configuration (ALLIANCE_FILE)."""
    settings = read_settings()
    if hub:
        names = hub_keygen(settings.alliance_file, out)
        print(
            f"{' and '.join(names)} registered in {settings.alliance_file}"
            if names
            else f"nothing to do: {settings.alliance_file} has the hub's keys of {out}"
        )
        if not member:
            return
    made = keygen(settings.alliance_file, out, member or None)
    for code, key in made.items():
        print(f"{code}  {key}  {out / (code + '.key')}")
    print(
        f"{len(made)} keys made; public halves added to {settings.alliance_file}"
        if made
        else f"nothing to do: every member asked for has a key in {out}"
    )
