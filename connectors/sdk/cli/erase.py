"""`alliance erase`: destroy the keys of one of our students, at the home university.

What is destroyed: the campus's own records about the student that wait because they could not be mapped; the student's salt and
pseudonyms, the data keys, every private part held here. What follows, by the
connector as soon as it runs: an empty message over each payload in `private.payloads`, then the signed event
`student.erased`, at which the hosts destroy their copies. A crash at any point is made good by running the same command
again, or by starting the connector. It needs no broker.

Exit codes: 0 erased, 1 nothing is held or not confirmed, 2 configuration.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import typer

from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config, load_config
from connectors.sdk.contract import ConfigError
from connectors.sdk.private.store import Erasure, Holding
from connectors.sdk.private.vault import Vault, home_of, open_vault, prefix
from connectors.sdk.runtime.outgoing import event_of
from connectors.sdk.state.file import State
from schemas.envelope import from_millis, rfc3339, to_millis

FINDINGS, CONFIG = 1, 2

app = typer.Typer(help="Erase a student of ours: destroy the keys, tell the alliance.")


@dataclass(frozen=True, slots=True)
class Done:
    """What an erasure came to. `erasing_waiting` empty messages wait for the connector to send them.

    `parked` are the campus's records that were dropped, by their names in the state file.
    """

    erased: Sequence[Erasure]
    erasing_waiting: int
    scrubbed: bool
    parked: Sequence[str] = ()


def not_ours(vault: Vault, holdings: Sequence[Holding]) -> list[str]:
    """Pseudonyms that another university gave: only it may erase them."""
    us = vault.settings.member
    return [
        held.student_id
        for held in holdings
        if not held.student_id.startswith(prefix(us))
        or any((key := vault.store.key(name)) and key.home != us for name in held.key_ids)
    ]


def another(vault: Vault, student: str) -> list[str]:
    """The name given, if it is the pseudonym of another university's student."""
    home = home_of(student)
    return [student] if home and home != vault.settings.member else []


def destroy(vault: Vault, holdings: Sequence[Holding], now: datetime) -> list[Erasure]:
    """Destroy what is held under each pseudonym, all in one commit. The events are made from what is noted then."""
    at_ms = to_millis(now)
    clear_ms = to_millis(now + timedelta(days=vault.settings.backups_days))
    with vault.store.together():
        return [
            vault.store.erase(held.student_id, str(uuid.uuid4()), at_ms, clear_ms)
            for held in holdings
        ]


def complete(vault: Vault, config: Config, state: State, now: datetime) -> Done:
    """What is left of all erasures: nothing in free pages, each event in the outbox. Doing it again changes nothing."""
    scrubbed = all((vault.store.scrub(), state.scrub()))
    now_ms = to_millis(now)
    due = vault.erasures_due(config.ce_source)
    for event_id, record in due:
        state.queue_own(event_of(record, config.signer), now_ms)
        vault.store.mark_queued(event_id, now_ms)
    ids = {event_id for event_id, _ in due}
    queued = [erasure for erasure in vault.store.erasures() if erasure.event_id in ids]
    return Done(queued, vault.store.unsent_erasing(), scrubbed)


@app.callback(invoke_without_command=True, context_settings={"allow_interspersed_args": True})
def erase(
    folder: Path = typer.Argument(help="Folder with connector.toml.", metavar="DIR"),
    student: str = typer.Argument(
        help="Our own id of the student, or one of the pseudonyms.", metavar="STUDENT"
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON; needs --yes to erase."),
) -> None:
    """Destroy keys, salt and private parts of a student of ours, and queue the event that tells the alliance.

    Example: alliance erase my-campus 2023010417
    """
    try:
        config = load_config(folder)
        vault = open_vault(config.private)
    except ConfigError as error:
        _fail(str(error), CONFIG)
    if vault is None:
        _fail(
            f"{folder}: connector.toml has no [private], so nothing that could be erased is held here; add it",
            CONFIG,
        )
    state = State(config.state_path)
    try:
        _erase(vault, config, state, student, yes=yes, as_json=as_json)
    finally:
        state.close()
        vault.store.close()


def _erase(
    vault: Vault, config: Config, state: State, student: str, *, yes: bool, as_json: bool
) -> None:
    now = SystemClock().now()
    holdings = vault.store.holdings(student)
    if strangers := not_ours(vault, holdings) or another(vault, student):
        _fail(
            f"{strangers[0]} is a student of another university; ask it to erase, our copies go with its word",
            FINDINGS,
        )
    names = vault.store.names(student)
    parked = state.parked_about(names)
    if (holdings or parked) and not yes:
        _show(holdings, parked, as_json=as_json)
        if as_json or not typer.confirm("Destroy all this? It cannot be undone"):
            _fail("nothing was destroyed; say --yes or confirm", FINDINGS)
    parked = state.forget_parked(
        names
    )  # first: after `destroy` nobody knows whose pseudonyms they are
    if holdings:
        destroy(vault, holdings, now)
    done = replace(complete(vault, config, state, now), parked=parked)
    if not (done.erased or holdings or parked or vault.store.is_erased(student)):
        _fail(
            f"nothing is held of student {student}; write the id that the mapping reads, or a pseudonym",
            FINDINGS,
        )
    _say(done, as_json=as_json)


def _show(holdings: Sequence[Holding], parked: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"student_id": h.student_id, "key_ids": list(h.key_ids), "payloads": h.payloads}
            for h in holdings
        ]
        print(json.dumps({"would_destroy": rows, "parked": list(parked)}, ensure_ascii=False))
        return
    for held in holdings:
        print(
            f"{held.student_id}: {len(held.key_ids)} data keys ({', '.join(held.key_ids) or 'none'}), "
            f"{held.payloads} private parts"
        )
    for name in parked:
        print(f"{name}: a parked record of the campus that mentions the student")


def _say(done: Done, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "student_id": erasure.student_id,
                "event_id": erasure.event_id,
                "key_ids": list(erasure.key_ids),
                "erased_at": rfc3339(from_millis(erasure.at_ms)),
                "backups_clear_at": rfc3339(from_millis(erasure.backups_clear_ms)),
            }
            for erasure in done.erased
        ]
        facts = {
            "erased": rows,
            "tombstones_waiting": done.erasing_waiting,
            "scrubbed": done.scrubbed,
            "parked_removed": list(done.parked),
        }
        print(json.dumps(facts, ensure_ascii=False))
        return
    for erasure in done.erased:
        print(
            f"erased {erasure.student_id}: {len(erasure.key_ids)} data keys destroyed, event {erasure.event_id} queued"
        )
    if done.parked:
        print(
            f"{len(done.parked)} parked records that mention the student removed: {', '.join(done.parked)}"
        )
    if not done.erased and not done.parked:
        print("erased before; nothing was left to do here")
    print(
        f"{done.erasing_waiting} empty messages over private parts wait; the connector sends them, then the events"
    )
    if not done.scrubbed:
        print(
            "private.db or state.db is in use, so free pages are not overwritten yet; the connector does it, or run this again"
        )


def _fail(said: str, code: int) -> NoReturn:
    print(said, file=sys.stderr)
    raise typer.Exit(code)
