"""`alliance connector key`: the keys that sign our events, changed by events of ours.

A new key is made here, in a file that its owner alone reads; its public half goes to the ledger as member.key-changed,
queued in the connector's outbox and signed by the key in use. It counts from its entry on, not before. So the order is:
add, wait until `show` says that it counts, name the new file in connector.toml, then revoke the old key.

Exit codes: 0 well, 1 not done, 2 configuration.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import uuid
from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import typer

from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config, load_config, noted
from connectors.sdk.contract import ConfigError, Seen
from connectors.sdk.own import own_envelope
from connectors.sdk.runtime.outgoing import event_of
from connectors.sdk.state.file import Own, State
from schemas.envelope import to_millis
from schemas.records import Envelope, MemberKeyChanged
from schemas.signing import KEY_TYPE, Signer, load_signer, new_signer, possession_body

FINDINGS, CONFIG = 1, 2
YES, NOT_YET, NO, UNKNOWN = "yes", "not yet", "no", "unknown"
OFFICE = "it-office"
_NUMBERED = ("", "member.key-changed")  # where the state keeps the number of our newest change

app = typer.Typer(
    help="Show, add, rotate and revoke keys that sign our events.", no_args_is_help=True
)
_DIR = typer.Argument(help="Folder with connector.toml.", metavar="DIR")
_FILE = typer.Option(None, "--file", help="Where the new key is, or is to be written.")
_VERSION = typer.Option(
    None,
    "--version",
    min=1,
    help="Number of this change, when others were made outside this folder.",
)
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command("show")
def show_command(folder: Path = _DIR, as_json: bool = _JSON) -> None:
    """Say which key signs now, which keys were changed from this folder, and whether each counts already.

    A key counts (`yes`) from the entry that brought it, `not yet` while its event has no outcome, and `no` longer after it was
    revoked or when it was rejected. `unknown`: it was changed elsewhere, which this folder has not heard of.
    """
    config = _config(folder)
    signer = config.signer
    facts: dict[str, Any] = {
        "member": config.member.code,
        "key_id": signer.key_id,
        "public": base64.b64encode(signer.public).decode(),
        "file": str(config.folder / config.member.key),
        "first": signer.key_id in config.alliance.members[config.member.code].keys,
        "changes": 0,
    }
    said: Sequence[Own] = ()
    if config.state_path.exists():
        with closing(State(config.state_path, readonly=True)) as state:
            seen = state.seen(*_NUMBERED)
            facts["changes"] = seen.version if seen else 0
            said = state.own(MemberKeyChanged.EVENT)[::-1]
    counting = standing(config.alliance.members[config.member.code].keys, said)
    facts["counts"] = counting.get(signer.key_id, UNKNOWN)
    facts["keys"] = [
        {
            "key_id": one.about["key_id"],
            "action": one.about["action"],
            "counts": counting[one.about["key_id"]],
            "event_id": one.event_id,
            "outcome": one.outcome,
            "reason": one.reason,
        }
        for one in said
    ]
    _print(facts, as_json=as_json)


def standing(first: Collection[str], said: Sequence[Own]) -> dict[str, str]:
    """Which keys count, by the alliance configuration and what the ledger said of our changes, in their order."""
    counting = dict.fromkeys(first, YES)
    for one in said:
        key_id, replaces = one.about["key_id"], one.about["replaces"]
        if one.outcome == "duplicate":
            counting[key_id] = UNKNOWN  # the first copy was answered elsewhere
        elif one.outcome == "applied":
            counting[key_id] = NO if one.about["action"] == "revoke" else YES
            if replaces:
                counting[replaces] = NO
        elif one.about["action"] == "revoke":
            counting.setdefault(key_id, UNKNOWN)
        elif counting.get(key_id) != YES:
            counting[key_id] = NOT_YET if one.outcome in (None, "parked") else NO
    return counting


@app.command("add")
def add_command(
    folder: Path = _DIR,
    file: Path | None = _FILE,
    version: int | None = _VERSION,
    as_json: bool = _JSON,
) -> None:
    """Make a key and tell the alliance. The key in use goes on signing.

    Example: alliance connector key add my-campus
    """
    config = _config(folder)
    path, new = _new_key(config, file)
    event_id = _queue(config, new, "add", version)
    _note(path, new, event_id)
    _print(
        _facts(new, path, event_id)
        | {"next": f"when {event_id} is applied, {_changed_over(config, path)}"},
        as_json=as_json,
    )


@app.command("rotate")
def rotate_command(
    folder: Path = _DIR,
    file: Path | None = _FILE,
    version: int | None = _VERSION,
    as_json: bool = _JSON,
) -> None:
    """Make a key that takes over from the one in use with one entry: for a key that may be in other hands.

    What the old key signs behind that entry is rejected. Where nothing is urgent: add, change over, then revoke.
    """
    config = _config(folder)
    path, new = _new_key(config, file)
    event_id = _queue(config, new, "rotate", version, replaces=config.signer.key_id)
    _note(path, new, event_id)
    _print(
        _facts(new, path, event_id)
        | {
            "replaces": config.signer.key_id,
            "next": f"hold the campus's changes back until {event_id} is applied, then "
            f"{_changed_over(config, path)}",
        },
        as_json=as_json,
    )


@app.command("revoke")
def revoke_command(
    folder: Path = _DIR,
    key_id: str = typer.Argument(help="The key that is to count no longer.", metavar="KEY_ID"),
    reason: str = typer.Option(
        "superseded", help="superseded, retired, lost, compromised or x-..."
    ),
    yes: bool = typer.Option(False, "--yes", help="Also the key that this connector signs with."),
    version: int | None = _VERSION,
    as_json: bool = _JSON,
) -> None:
    """Tell the alliance that a key of ours counts no longer. What it signed before stays."""
    config = _config(folder)
    if key_id == config.signer.key_id and not yes:
        _fail(
            f"{key_id} is the key this connector signs with; it could say nothing more. Change over to another first, "
            "or say --yes and ask the operators to put a new first key into the alliance configuration",
            FINDINGS,
        )
    event_id = _queue(config, None, "revoke", version, key_id=key_id, reason=reason)
    _print(
        {
            "key_id": key_id,
            "event_id": event_id,
            "next": "destroy the private key when it is applied",
        },
        as_json=as_json,
    )


def _new_key(config: Config, file: Path | None) -> tuple[Path, Signer]:
    """The key in that file, made if there is none. A key that has a file already may be told of again."""
    if file is not None and file.exists():
        try:
            return file, load_signer(file)
        except (OSError, ValueError) as error:
            _fail(f"{file} holds no key that signs ({error}); name another file", CONFIG)
    new = new_signer()
    beside = (config.folder / config.member.key).parent
    path = file or beside / f"{config.member.code}-{new.key_id}.key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        _fail(f"cannot write {path}: {error.strerror}; name another with --file", CONFIG)
    with os.fdopen(handle, "wb") as out:
        out.write(new.pem())
    return path, new


def _changed_over(config: Config, path: Path) -> str:
    """What to write into connector.toml, whose paths are relative to its folder."""
    shown = os.path.relpath(path.resolve(), config.folder.resolve())
    return f'write key = {{ file = "{shown}" }} under [member] and start the connector again'


def _note(path: Path, new: Signer, event_id: str) -> None:
    """Beside a key that the configuration does not list: which event brought it."""
    note = {"key_id": new.key_id, "event_id": event_id}
    noted(path).write_text(json.dumps(note) + "\n", encoding="utf-8")


def _queue(
    config: Config,
    new: Signer | None,
    action: str,
    version: int | None,
    *,
    key_id: str = "",
    replaces: str | None = None,
    reason: str | None = None,
) -> str:
    """Put the signed event and its number into the outbox, in one commit. Gives the event's id."""
    now = SystemClock().now()
    with closing(State(config.state_path)) as state:
        seen = state.seen(*_NUMBERED)
        number = version or (seen.version if seen else 0) + 1
        record = MemberKeyChanged(
            envelope=_envelope(config, number, now),
            code=config.member.code,
            action=action,
            key_id=new.key_id if new else key_id,
            public_key=new.public if new else None,
            replaces=replaces,
            possession=new.sign_as(KEY_TYPE, possession_body(config.member.code, new.key_id))
            if new
            else None,
            reason=reason,
        )
        event = event_of(record, config.signer)
        counted = Seen(_NUMBERED[1], sha256(event.value).digest(), number)
        about = {"action": action, "key_id": record.key_id, "replaces": replaces}
        state.queue_own(event, to_millis(now), about, (_NUMBERED[0], counted))
    return event.event_id


def _envelope(config: Config, number: int, now: datetime) -> Envelope:
    code = config.member.code
    return own_envelope(
        str(uuid.uuid4()), config.ce_source, code, (f"{code}/keys", code), now, number, OFFICE
    )


def _facts(new: Signer, path: Path, event_id: str) -> dict[str, Any]:
    return {
        "key_id": new.key_id,
        "public": base64.b64encode(new.public).decode(),
        "file": str(path),
        "event_id": event_id,
    }


def _print(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        if not isinstance(value, list):
            print(f"{name:10} {value}")
    for row in facts.get("keys", ()):
        said = f"{row['outcome'] or 'no outcome yet'} {row['reason']}".strip()
        print(
            f"changed    {row['key_id']} {row['action']}: counts {row['counts']} ({row['event_id']}: {said})"
        )


def _config(folder: Path) -> Config:
    try:
        return load_config(folder)
    except ConfigError as error:
        _fail(str(error), CONFIG)


def _fail(said: str, code: int) -> NoReturn:
    print(said, file=sys.stderr)
    raise typer.Exit(code)
