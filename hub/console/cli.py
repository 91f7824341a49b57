"""`alliance console`: API and page as a process."""

from __future__ import annotations

import asyncio
import logging
import os
from types import FrameType

import typer
import uvicorn

from hub.api.kafka_view import KafkaPoller
from hub.api.log_view import cosignature_reader, policy_of
from hub.console.app import build_app, utc_now
from hub.settings import read_settings, require_bootstrap
from hub.store.queries import Reader
from hub.store.tables import open_engine
from hub.telemetry import configure_logs
from hub.watch.alert_store import open_alert_store
from hub.watch.settings import read_watch_settings
from schemas.members import load_alliance

app = typer.Typer(help="API and operators' console.")


class Server(uvicorn.Server):
    """Ends the streams of live updates when asked to stop; browsers would hold them open for ever."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        closing: asyncio.Event = self.config.app.state.closing  # type: ignore[union-attr]  # build_app's, not a path
        closing.set()
        super().handle_exit(sig, frame)


def make_server(application: object, host: str, port: int) -> Server:
    """A server for what `build_app` made. `port` 0 takes a free one."""
    return Server(
        uvicorn.Config(
            application,  # type: ignore[arg-type]  # uvicorn names ASGI's types in its own way
            host=host,
            port=port,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    )


@app.callback(invoke_without_command=True)
def console(
    http: str = typer.Option(
        "", help="host:port to listen on; else ALLIANCE_HTTP, else 127.0.0.1:8700."
    ),
    operate: bool = typer.Option(
        False,
        "--operate",
        envvar="ALLIANCE_OPERATE",
        help="Let the page of connectors pause, resume, stop and restart them.",
    ),
) -> None:
    """Serve the API and the operators' console. Reads only, but with --operate; start it before or after everything else."""
    settings = read_settings({**os.environ, **({"ALLIANCE_HTTP": http} if http else {})})
    alliance = load_alliance(settings.alliance_file)
    bootstrap = require_bootstrap(settings)
    configure_logs()
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # the view says once when the broker is away
    engine = open_engine(settings.database_url)
    reader = Reader(engine)
    try:
        policy, why_none = policy_of(alliance, settings.policy_file)
        read_cosignature = cosignature_reader(policy, alliance.origin) if policy else None
        application = build_app(
            reader,
            alliance,
            KafkaPoller(
                bootstrap,
                utc_now,
                read_cosignature,
                folder=settings.state,
                positions=lambda: {key: at.next_offset for key, at in reader.positions().items()},
            ),
            utc_now,
            settings.tlog,
            (policy, why_none),
            open_alert_store(read_watch_settings(settings, os.environ).database_url),
            operate=operate,
        )
        host, port = settings.http_address
        typer.echo(f"console at http://{host}:{port}/", err=True)
        make_server(application, host, port).run()
    finally:
        engine.dispose()
