"""`alliance schemas`: what `schemas.cli` offers, and what needs to know how schemas read each other and who reads them.

Lives here because `schemas` knows nothing of the hub; `python -m schemas` stays the command of an installation without it.
Exit code 1 says that something stands against the schema.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import typer

from hub.errors import HubError, RetryLater, SettingsError
from schemas import cli as plain
from schemas.catalogue import catalogue

if TYPE_CHECKING:
    from hub.registry.compare import Finding
    from hub.registry.subjects import Subjects
    from schemas.members import Alliance

_API = "http://127.0.0.1:8700"
app = typer.Typer(help="Event types and their schemas.", no_args_is_help=True)
app.command("build")(plain.build_command)
app.command("list")(plain.list_command)


@app.command("check")
def check_command() -> None:
    """Check ids and examples, that all versions read each other, and that no unit, scale or meaning changed."""
    plain.check_command()
    _need_avro()
    found = own_faults()
    for line in found:
        print(line)
    if found:
        raise typer.Exit(1)
    print("every version reads every other, and means what it meant")


def own_faults() -> list[str]:
    """What stands against the catalogue's own versions, a line each."""
    from hub.registry.compare import against
    from hub.registry.lint import lint, lint_alone
    from hub.registry.subjects import Subjects

    lines: list[str] = []
    for name, versions in Subjects(catalogue(), ()).by_name.items():
        for number, schema in enumerate(versions):
            earlier = [(f"version {one.version}", one.avro) for one in versions[:number]]
            found = against(schema.avro, earlier) + lint_alone(schema.avro)
            for _label, avro in earlier:
                found += [one for one in lint(avro, schema.avro) if one.severe]
            lines += [f"{name} v{schema.version}: {one}" for one in dict.fromkeys(found)]
    return lines


@app.command("diff")
def diff_command(
    old: str = typer.Argument(help="A .avsc file, or <event>/<version> such as hub.outcome/1."),
    new: str = typer.Argument(help="The same."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say whether two versions read each other and mean the same; exit code 1 when not."""
    from hub.registry.compare import faults
    from hub.registry.impact import finding_json
    from hub.registry.lint import lint, lint_alone

    _need_avro()
    before, after = schema_named(old), schema_named(new)
    found = [
        *faults(after, before, "the new schema", "the old one"),
        *faults(before, after, "the old schema", "the new one"),
        *lint(before, after),
        *lint_alone(after),
    ]
    _tell(list(dict.fromkeys(found)), as_json, finding_json)


@app.command("impact")
def impact_command(
    file: Path = typer.Argument(help="The .avsc file of a new or published version."),
    api: str = typer.Option("", help=f"The hub's API; else ALLIANCE_API, else {_API}."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say which deployed connectors a schema breaks and why, from their heartbeats; exit code 1 when it breaks any."""
    from hub.registry.files import read_draft
    from hub.registry.impact import Verdict, impact, impact_json, impact_lines, readers_of

    _need_avro()
    draft = read_draft(file, catalogue())
    url = (api or os.environ.get("ALLIANCE_API") or _API).rstrip("/")
    try:
        readers, members = readers_of(_get(f"{url}/api/v1/members"))
    except (KeyError, TypeError) as error:
        raise SettingsError(f"{url} answers, but not as the hub's API ({error!r}); name it with --api") from None  # fmt: skip
    found = impact(draft, readers, members)
    if as_json:
        print(json.dumps(impact_json(found, draft), ensure_ascii=False))
    else:
        print("\n".join(impact_lines(found, draft)))
    if found.by_verdict(Verdict.BREAKS):
        raise typer.Exit(1)


@app.command("publish")
def publish_command(
    registry: str = typer.Option("", help="URL of a schema registry; else ALLIANCE_REGISTRY."),
) -> None:
    """Register every schema at a registry elsewhere, under the ids that stand in the messages. Safe to repeat."""
    from hub.registry.external import publish_to
    from hub.registry.subjects import Subjects

    url = registry or os.environ.get("ALLIANCE_REGISTRY", "")
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"ALLIANCE_REGISTRY is {url!r}, wanted the URL of a registry such as http://127.0.0.1:8081")  # fmt: skip
    subjects = Subjects(catalogue(), ())
    wanted = [
        version
        for name in subjects.by_name
        for version in (subjects.find(name) or _missing(name)).versions
    ]
    with httpx.Client(base_url=url.rstrip("/") + "/", timeout=30.0) as client:
        done = publish_to(client, wanted)
    print(f"{len(done.registered)} registered, {len(done.there)} were there, at {url}")


@app.command("asyncapi")
def asyncapi_command(
    member: str = typer.Option(..., help="Code of the member."),
    registry: str = typer.Option("", help="URL of the registry in the document."),
) -> None:
    """Print what a member sends and receives as an AsyncAPI 3 document, JSON."""
    from hub.registry.asyncapi import asyncapi

    _describe(asyncapi, member, registry)


@app.command("contract")
def contract_command(
    member: str = typer.Option(..., help="Code of the member."),
    registry: str = typer.Option("", help="URL of the registry in the contract."),
) -> None:
    """Print what a member promises about its outbox as a data contract (ODCS 3.1), JSON."""
    from hub.registry.contract import contract

    _describe(contract, member, registry)


def _describe(make: Any, member: str, registry: str) -> None:
    from hub.registry.subjects import Subjects
    from hub.settings import read_settings
    from schemas.members import load_alliance

    settings = read_settings()
    alliance: Alliance = load_alliance(settings.alliance_file)
    if member not in alliance.members:
        raise SettingsError(f"member {member!r} is not in {settings.alliance_file}, wanted one of {', '.join(alliance.members)}")  # fmt: skip
    subjects: Subjects = Subjects(catalogue(), tuple(alliance.members))
    where = registry or os.environ.get("ALLIANCE_REGISTRY") or f"http://{settings.http}/registry"
    made = make(subjects, alliance, member, settings.bootstrap or "127.0.0.1:9092", where)
    print(json.dumps(made, ensure_ascii=False, indent=2))


def schema_named(said: str) -> Any:
    """The schema of a file, or of `<event>/<version>` in the catalogue. Raises `SettingsError`."""
    from hub.registry.files import read_draft

    event, _, number = said.rpartition("/")
    for schema in catalogue().by_id.values():
        if schema.event == event and str(schema.version) == number.removeprefix("v"):
            return schema.avro
    if not said.endswith(".avsc"):
        raise SettingsError(f"{said!r} is no schema of this installation, wanted a .avsc file or <event>/<version>, see `alliance schemas list`")  # fmt: skip
    return read_draft(Path(said), catalogue()).avro


def _tell(found: list[Finding], as_json: bool, shape: Any) -> None:
    severe = any(one.severe for one in found)
    if as_json:
        print(json.dumps({"ok": not severe, "findings": [shape(one) for one in found]}, ensure_ascii=False))  # fmt: skip
    else:
        for one in found:
            print(f"{'' if one.severe else 'note: '}{one}")
        if not severe:
            print("they read each other")
    if severe:
        raise typer.Exit(1)


def _get(url: str) -> Any:
    try:
        answer = httpx.get(url, timeout=10.0)
        answer.raise_for_status()
        return answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise RetryLater(f"{url}: {error}; start it (alliance console), or name the API with --api") from None  # fmt: skip


def _need_avro() -> None:
    """A campus installs without it; then schemas cannot be compared, which is not the same as that they fit."""
    if find_spec("avro") is None:
        raise SettingsError("comparing schemas needs avro, which is not installed; run: pip install 'alliance-hub[hub]'")  # fmt: skip


def _missing(name: str) -> Any:
    raise HubError(f"{name} is listed and cannot be found; this is a fault of the hub")
