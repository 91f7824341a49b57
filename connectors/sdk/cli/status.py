"""`alliance connector status` and `receipts`: what the state file says, also of a connector that does not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import typer

from connectors.sdk.cli import control as control_cli
from connectors.sdk.cli import parked as parked_cli
from connectors.sdk.cli.common import DIR, FINDINGS, JSON, config_of, fail, print_json
from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config
from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime.host import folders, is_running
from connectors.sdk.state.file import Overdue, State
from schemas.envelope import from_millis, rfc3339, to_millis
from schemas.tlog.proof import LogProof

_PARKED_SHOWN = 10  # oldest first; `parked ls` has the rest
_OWN_SHOWN = 10  # events of our own commands, newest first


def status_command(folder: Path = DIR, as_json: bool = JSON) -> None:
    """Say from the state file how the connector is, what is parked, and what became of the newest events of its own commands.

    Exit 1 unless it runs well. Example: alliance connector status my-campus --json
    """
    config = config_of(folder)
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
            "causes": [parked_cli.cause_facts(cause) for cause in state.parking.causes()],
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
            **control_cli.facts(state),
            **_receipt_facts(config, state),
        }
    finally:
        state.close()
    if as_json:
        print_json(facts)
    else:
        for name, value in facts.items():
            if not isinstance(value, list):
                print(f"{name:16} {value}")
        for cause in facts["causes"]:
            print(f"cause            {parked_cli.cause_line(cause)}")
        for row in parked[:_PARKED_SHOWN]:
            print(f"parked           {row.stage} {row.id}: {row.reason}")
        for own in facts["own"]:
            said = f"{own['outcome'] or 'no outcome yet'} {own['reason']}".strip()
            print(f"own              {own['event_id']} ({own['event']}): {said}")
        control_cli.print_rows(facts)
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
    as_json: bool = JSON,
) -> None:
    """Say what is proven to be in the ledger: events final, waiting (all in the outbox), of these overdue, and evidence.

    Example: alliance connector receipts my-campus --event ID --out ID.tlog-proof, for alliance verify receipt. Exit 1 when
    something is overdue or evidence is kept.
    """
    configs = [config_of(folder) for folder in folders(dirs)]
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
        print_json(total)
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
        fail(
            ConfigError(
                "--event, --evidence and --settle are for one thing of one folder; name one"
            )
        )
    if not settle and out is None:
        fail(ConfigError("where to? Add --out FILE"))
    config = configs[0]
    if not config.state_path.exists():
        fail(
            ConfigError(f"{config.folder}: never ran; run: alliance connector run {config.folder}")
        )
    with closing(State(config.state_path, readonly=not settle)) as state:
        kept = dict(state.proofs.evidence())
        if (number or settle) and (number or settle) not in kept:
            fail(
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
        fail(
            ConfigError(
                f"no receipt of event {event_id}; alliance connector status says what waits"
            )
        )
    newest = held[-1]
    return LogProof(newest.index, tuple(newest.path), newest.checkpoint, newest.entry).to_bytes()


def register(app: typer.Typer) -> None:
    """Add these commands to `alliance connector`."""
    app.command("status")(status_command)
    app.command("receipts")(receipts_command)
