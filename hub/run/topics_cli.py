"""`alliance topics`: what topics there should be, and making the cluster agree."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from hub.broker import admin
from hub.broker.admin import Change, TopicSpec
from hub.flow.plan import topic_plan
from hub.registry.publish import publish_schemas
from hub.settings import read_settings, require_bootstrap
from hub.streams.plan import streams_topics
from schemas.members import load_alliance

app = typer.Typer(help="Plan and create the topics; nothing is ever deleted.", no_args_is_help=True)


def wanted_topics(alliance_file: Path) -> list[TopicSpec]:
    """The whole topic plan of an alliance: path of value, members, processors."""
    alliance = load_alliance(alliance_file)
    extra = [TopicSpec(name, partitions, config) for name, partitions, config in streams_topics()]
    return topic_plan(alliance.members, extra)


@app.command()
def plan(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show what `apply` would change."""
    settings = read_settings()
    changes = asyncio.run(
        admin.plan(require_bootstrap(settings), wanted_topics(settings.alliance_file))
    )
    _show(changes, as_json, "to do")


@app.command()
def apply(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Create missing topics, adjust settings, and publish the schemas."""
    settings = read_settings()
    changes = asyncio.run(apply_all(require_bootstrap(settings), settings.alliance_file))
    _show(changes, as_json, "done")


async def apply_all(bootstrap: str, alliance_file: Path) -> list[Change]:
    """Topics, then schemas. Safe to repeat."""
    changes = await admin.apply(bootstrap, wanted_topics(alliance_file))
    await publish_schemas(bootstrap)
    return changes


def _show(changes: list[Change], as_json: bool, title: str) -> None:
    if as_json:
        print(json.dumps([asdict(change) for change in changes], ensure_ascii=False))
        return
    if not changes:
        print("every topic is as planned")
        return
    table = Table(
        "topic", "change", "setting", "found", "wanted", title=f"{len(changes)} changes {title}"
    )
    for change in changes:
        table.add_row(change.topic, change.kind.value, change.setting, change.found, change.wanted)
    Console().print(table)
