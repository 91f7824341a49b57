"""`alliance connector`: lint, check, try and run the connector of a campus folder.

Exit codes: 0 well, 1 findings, 2 configuration, 3 no connection, 4 no permission.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import structlog
import typer

from connectors.sdk import key_cli
from connectors.sdk.clock import SystemClock
from connectors.sdk.config import FILE, Config, load_config
from connectors.sdk.contract import (
    ConfigError,
    ConnectorError,
    Context,
    NoPermission,
    Permanent,
    Transient,
)
from connectors.sdk.host import folders, host, is_running
from connectors.sdk.kafka import check_topics
from connectors.sdk.outgoing import Mapper
from connectors.sdk.state import Overdue, State
from schemas import topics
from schemas.codec import decode, to_json
from schemas.envelope import from_millis, rfc3339, to_millis
from schemas.tlog.proof import LogProof

FINDINGS, CONFIG, CONNECTION, PERMISSION = 1, 2, 3, 4
_OWN_SHOWN = 10  # events of our own commands, newest first

app = typer.Typer(help="Connect a campus by configuration.", no_args_is_help=True)
app.add_typer(key_cli.app, name="key")
_DIR = typer.Argument(help="Folder with connector.toml.", metavar="DIR")


def _fail(error: ConnectorError) -> NoReturn:
    print(error, file=sys.stderr)
    code = CONNECTION if isinstance(error, Transient) else CONFIG
    raise typer.Exit(PERMISSION if isinstance(error, NoPermission) else code) from None


def _config(folder: Path) -> Config:
    try:
        return load_config(folder)
    except ConfigError as error:
        _fail(error)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until SIGTERM or SIGINT asks for the end."""

    async def until_signal() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(until_signal())


def _quiet_logs(level: int) -> None:
    """One JSON line each on standard error; aiokafka's own lines repeat what ours say."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@app.command("run")
def run_command(
    dirs: list[Path] = typer.Argument(help="Folders, or a folder of folders.", metavar="DIR..."),
    quiet: bool = typer.Option(False, "--quiet", help="Log only what is wrong."),
) -> None:
    """Run the connectors of these folders in one process, until SIGTERM."""
    _quiet_logs(logging.WARNING if quiet else logging.INFO)
    configs = [_config(folder) for folder in folders(dirs)]
    try:
        _run(host(configs, SystemClock(), random.Random()))  # noqa: S311, jitter, not secrets
    except ConfigError as error:
        _fail(error)


@app.command("lint")
def lint_command(folder: Path = _DIR) -> None:
    """Read configuration, mappings and code tables. No network. Exit 1 when something would be left out in silence."""
    config = _config(folder)
    mappings = sum(len(source.mappings) for source in config.sources)
    findings = list(_unsealed(config))
    for finding in findings:
        print(f"warning: {finding}")
    print(
        f"{folder}: member {config.member.code}, {len(config.sources)} sources with {mappings} mappings, "
        f"{len(config.sinks)} sinks: {len(findings) or 'no'} findings"
    )
    if findings:
        raise typer.Exit(FINDINGS)


def _unsealed(config: Config) -> Iterator[str]:
    """Mappings of private parts that nothing could seal: their events would go without."""
    if config.private is not None:
        return
    files = {m.file for source in config.sources for m in source.mappings.values() if m.private}
    for file in sorted(files):
        yield (
            f"{config.folder / file}: has a [private] table, but {config.folder / FILE} has no [private], so its events "
            f'go without their private part; add [private] with encryption = {{ file = "{config.member.code}.encryption" }} '
            "there, or take the table out of the mapping"
        )


@app.command("check")
def check_command(folder: Path = _DIR) -> None:
    """Open every connection and say what answers. Changes nothing."""
    config = _config(folder)
    _quiet_logs(logging.WARNING)
    worst: list[int] = []

    async def one(what: str, work: Coroutine[Any, Any, str]) -> None:
        try:
            print(f"ok    {what}: {await work}")
        except ConnectorError as error:
            print(f"FAULT {what}: {error}")
            code = CONNECTION if isinstance(error, Transient) else CONFIG
            worst.append(PERMISSION if isinstance(error, NoPermission) else code)

    async def broker() -> str:
        code = config.member.code
        wanted = [topics.outbox(code), topics.inbox(code), topics.HEARTBEATS]
        if config.trust.witness is not None:
            wanted += [topics.CHECKPOINTS, topics.COSIGNATURES]
        missing = await check_topics(config.kafka, wanted)
        if missing:
            raise ConfigError(
                f"the broker at {config.kafka.bootstrap} has no {', '.join(missing)}; "
                "the hub's operators run: alliance topics apply"
            )
        return f"{config.kafka.bootstrap} has our topics"

    async def all_of_them() -> None:
        await one("kafka", broker())
        for source in config.sources:
            opened = source.kind.open(source.options, _context(config, source.name))
            await one(f"source.{source.name}", opened.check())
            await opened.close()
        for sink in config.sinks:
            target = sink.kind.open(sink.options, _context(config, sink.name))
            await one(f"sink.{sink.name}", target.check())
            await target.close()

    _run(all_of_them())
    if worst:
        raise typer.Exit(max(worst))


def _context(config: Config, name: str) -> Context:
    return Context(config.folder, config.member.code, name, SystemClock())


@app.command("dry-run")
def dry_run_command(
    folder: Path = _DIR,
    count: int = typer.Option(20, "-n", help="Records of each source, from the start."),
    show: bool = typer.Option(True, help="Print each event."),
) -> None:
    """Read, map and encode records; publish nothing. Exit 1 if one does not pass."""
    config = _config(folder)
    failed: list[str] = []

    async def all_of_them() -> None:
        for source in config.sources:
            mapper = Mapper(source, config.signer, None)
            opened = source.kind.open(source.options, _context(config, source.name))
            cursor, left, passed = None, count, 0
            try:
                while left > 0:
                    page = await opened.page(cursor)
                    for item in page.items[:left]:
                        left -= 1
                        try:
                            event, _ = mapper.event(item, SystemClock().now())
                        except Permanent as error:
                            failed.append(str(error))
                            print(f"FAULT {item.origin}: {error}")
                            continue
                        passed += 1
                        if event and show:
                            print(
                                json.dumps(
                                    {event.event: to_json(decode(event.value))}, ensure_ascii=False
                                )
                            )
                    if not page.more:
                        break
                    cursor = page.cursor
            finally:
                await opened.close()
            print(
                f"source.{source.name}: {count - left} records read, {passed} pass, nothing published"
            )

    try:
        _run(all_of_them())
    except ConnectorError as error:
        _fail(error)
    if failed:
        raise typer.Exit(FINDINGS)


@app.command("status")
def status_command(
    folder: Path = _DIR, as_json: bool = typer.Option(False, "--json", help="Print JSON.")
) -> None:
    """Say from the state file how the connector is, what is parked, and what became of the newest events of its own commands.

    Exit 1 unless it runs well.
    """
    config = _config(folder)
    if not config.state_path.exists():
        print(f"{folder}: never ran; run: alliance connector run {folder}")
        raise typer.Exit(FINDINGS)
    running = is_running(config)
    state = State(config.state_path, readonly=True)
    try:
        said, reason, at = state.health()
        parked = state.parked()
        facts: dict[str, Any] = {
            "member": config.member.code,
            "connector": config.member.name,
            "running": running,
            "state": said if running or said == "stopped" else "killed",
            "reason": reason,
            "since": rfc3339(from_millis(at)),
            **state.counts(),
            "cursors": state.cursors(),
            "inbox_position": state.inbox_position()[0],
            "ledger_seq": state.inbox_position()[1],
            "parked": [{"stage": p.stage, "id": p.id, "reason": p.reason} for p in parked],
            "own": [
                {
                    "event_id": one.event_id,
                    "event": one.event,
                    "queued_at": rfc3339(from_millis(one.queued_at)),
                    "outcome": one.outcome,
                    "reason": one.reason,
                }
                for one in state.own(limit=_OWN_SHOWN)
            ],
            **_receipt_facts(config, state),
        }
    finally:
        state.close()
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        for name, value in facts.items():
            if not isinstance(value, list):
                print(f"{name:16} {value}")
        for row in parked:
            print(f"parked           {row.stage} {row.id}: {row.reason}")
        for own in facts["own"]:
            said = f"{own['outcome'] or 'no outcome yet'} {own['reason']}".strip()
            print(f"own              {own['event_id']} ({own['event']}): {said}")
        _print_receipt_rows(facts)
    if not running or said != "running" or parked or facts["overdue"] or facts["evidence"]:
        raise typer.Exit(FINDINGS)


def _receipt_facts(config: Config, state: State) -> dict[str, Any]:
    """What of our events is proven to be in the ledger, what is not, and what cannot be true."""
    now = to_millis(SystemClock().now())
    late: Sequence[Overdue] = ()
    if config.trust.policy is not None:
        late = state.receipts_overdue(now, config.trust.receipt_after_ms)
    evidence = state.proofs.evidence()
    counts = state.counts()
    return {
        "final": counts["final_total"],
        "waiting": counts["outbox_events"],
        "overdue": len(late),
        "overdue_events": [
            {
                "member": config.member.code,
                "event_id": one.event_id,
                "event": one.event,
                "since": rfc3339(from_millis(one.since)),
                "why": "promise over" if one.promised else "outcome without receipt",
            }
            for one in late
        ],
        "evidence": len(evidence),
        "evidence_found": [
            {
                "member": config.member.code,
                "number": number,
                "kind": one.kind,
                "event_id": one.event_id,
                "reason": one.reason,
            }
            for number, one in evidence
        ],
    }


def _print_receipt_rows(facts: Mapping[str, Any]) -> None:
    for row in facts["overdue_events"]:
        print(
            f"overdue          {row['member']} {row['event_id']} ({row['event']}): {row['why']} since {row['since']}"
        )
    for row in facts["evidence_found"]:
        print(
            f"evidence         {row['member']} no. {row['number']} ({row['kind']}): {row['reason']}"
        )


@app.command("receipts")
def receipts_command(
    dirs: list[Path] = typer.Argument(help="Folders, or a folder of folders.", metavar="DIR..."),
    event: str = typer.Option("", "--event", help="Write the receipt of this event."),
    number: int = typer.Option(0, "--evidence", help="Write the bytes of this piece of evidence."),
    out: Path | None = typer.Option(None, "--out", help="File to write."),
    settle: int = typer.Option(
        0,
        "--settle",
        help="People have looked at this piece of evidence; drop it (connector stopped).",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say what is proven to be in the ledger: events final, waiting (all in the outbox), of these overdue, and evidence.

    Example: alliance connector receipts my-campus --event ID --out ID.tlog-proof, for alliance verify receipt. Exit 1 when
    something is overdue or evidence is kept.
    """
    configs = [_config(folder) for folder in folders(dirs)]
    if event or number or settle:
        _one_proof(configs, event, number, settle, out)
        return
    total: dict[str, Any] = {}
    for config in configs:
        if not config.state_path.exists():
            continue
        with closing(State(config.state_path, readonly=True)) as state:
            for name, value in _receipt_facts(config, state).items():
                total[name] = total[name] + value if name in total else value
    for name in ("final", "waiting", "overdue", "evidence"):
        total.setdefault(name, 0)
    for name in ("overdue_events", "evidence_found"):
        total.setdefault(name, [])
    if as_json:
        print(json.dumps(total, ensure_ascii=False))
    else:
        for name in ("final", "waiting", "overdue", "evidence"):
            print(f"{name:16} {total[name]}")
        _print_receipt_rows(total)
    if total["overdue"] or total["evidence"]:
        raise typer.Exit(FINDINGS)


def _one_proof(
    configs: Sequence[Config], event: str, number: int, settle: int, out: Path | None
) -> None:
    """Write, or settle, one thing of one folder."""
    if len(configs) != 1 or bool(event) + bool(number) + bool(settle) != 1:
        _fail(
            ConfigError(
                "--event, --evidence and --settle are for one thing of one folder; name one"
            )
        )
    if not settle and out is None:
        _fail(ConfigError("where to? Add --out FILE"))
    config = configs[0]
    if not config.state_path.exists():
        _fail(
            ConfigError(f"{config.folder}: never ran; run: alliance connector run {config.folder}")
        )
    with closing(State(config.state_path, readonly=not settle)) as state:
        kept = dict(state.proofs.evidence())
        if (number or settle) and (number or settle) not in kept:
            _fail(
                ConfigError(
                    f"no evidence of number {number or settle}; run: alliance connector status"
                )
            )
        if settle:
            state.drop_evidence(settle)
            print(f"settled: {kept[settle].reason}")
            return
        content = kept[number].payload if number else _proof_file(state, event)
    if out is not None:
        out.write_bytes(content)
        print(f"wrote {out}, {len(content)} bytes")


def _proof_file(state: State, event_id: str) -> bytes:
    """The newest receipt of an event as a C2SP tlog-proof. Its extra data is the entry itself, framed: the leaf."""
    held = state.proofs.held(event_id)
    if not held:
        _fail(
            ConfigError(
                f"no receipt of event {event_id}; alliance connector status says what waits"
            )
        )
    newest = held[-1]
    return LogProof(newest.index, tuple(newest.path), newest.checkpoint, newest.entry).to_bytes()
