"""`alliance up`: an alliance on this machine that stays, to try a connector on."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import typer
from rich.console import Console

from hub.broker.kafka import stop as stop_broker
from hub.demo.cli import until_interrupted
from hub.demo.run import Demo, Plan, is_kept, running
from hub.errors import SettingsError
from hub.settings import Settings, read_settings
from schemas.members import load_alliance

app = typer.Typer(help="The whole alliance on this machine, to try a connector on.")
err = Console(stderr=True)
PLACE = "place.json"  # there while all answers: where a newcomer finds things


@app.callback(invoke_without_command=True)
def up(
    without: list[str] = typer.Option(
        [], "--without", metavar="CODE", help="Leave this member's connector to you; repeatable."
    ),
    students: int = typer.Option(200, min=20, help="Students over all campuses."),
    hosts: int = typer.Option(2, min=1, max=20, help="Processes that host the connectors."),
    seed: int = typer.Option(7, help="Seed of people, courses and decisions."),
    fresh: bool = typer.Option(False, "--fresh", help="Forget what an earlier run left."),
) -> None:
    """Start a broker, the hub, twenty simulated campuses and their connectors, and keep them until Ctrl-C.

    What happened stays for the next start. Example: alliance up --without 10611
    """
    settings = read_settings()
    plan = Plan(
        folder=settings.state.absolute() / "up",
        alliance_file=settings.alliance_file,
        students=students,
        seed=seed,
        hosts=hosts,
        chaos=False,
        http=settings.http,
        keep=True,
        without=frozenset(without),
    )
    unknown = sorted(plan.without - set(load_alliance(settings.alliance_file).members))
    if unknown:
        raise SettingsError(
            f"--without {unknown[0]}: no such member in {settings.alliance_file}; write a member's code"
        )
    if fresh:
        stop_broker(plan.broker_state)
        shutil.rmtree(plan.broker_state, ignore_errors=True)
        shutil.rmtree(plan.folder, ignore_errors=True)
    asyncio.run(_up(plan, settings))


async def _up(plan: Plan, settings: Settings) -> None:
    went_on = is_kept(plan)
    place = plan.folder / PLACE
    place.unlink(missing_ok=True)
    say = lambda text: err.print(text, style="dim", highlight=False)  # noqa: E731, one line
    async with running(plan, settings, say) as demo:
        place.write_text(json.dumps(where(demo), indent=2), encoding="utf-8")
        err.print(f"console: [bold]{demo.url}[/]", highlight=False)
        for code in sorted(plan.without):
            _tell(demo, code)
        began = "went on" if went_on else "began"
        err.print(f"the alliance {began}; its files are in {plan.folder}  (Ctrl-C ends)")
        try:
            await until_interrupted()
        finally:
            place.unlink(missing_ok=True)


def where(demo: Demo) -> dict[str, object]:
    """Where a newcomer finds broker, alliance, keys and campuses."""
    folder = demo.plan.folder
    return {
        "bootstrap": demo.broker.bootstrap,
        "alliance": str(folder / "alliance.toml"),
        "keys": str(folder / "keys"),
        "console": demo.url,
        "campuses": demo.campuses,
    }


def _tell(demo: Demo, code: str) -> None:
    """What the IT team of a member needs to connect its campus."""
    folder = demo.plan.folder
    err.print(
        f"\nmember {code} has no connector yet. Its campus answers at {demo.campuses[code]}\n"
        f"  alliance connector init {Path('my-campus')} --member {code} --bootstrap {demo.broker.bootstrap} \\\n"
        f"    --alliance {folder / 'alliance.toml'} --keys {folder / 'keys'} --events all\n",
        highlight=False,
        soft_wrap=True,
    )
