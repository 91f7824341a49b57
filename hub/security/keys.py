"""Key pairs. The private half goes to its owner's own folder, the public one into `alliance.toml`.

A member has three: one signs its events, one cosigns checkpoints, one opens what only the member may read. The hub has two:
one signs checkpoints, one promises. None of the hub's signs an event, so none of them can move value.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.errors import SettingsError
from schemas.members import Alliance, AllianceFileError, Member, load_alliance
from schemas.signing import Signer, load_signer, new_signer
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.note import Signer as LogSigner

_ROWS = re.compile(r"\A(?:[^\[\n]+\n)*")  # of a table, up to an empty line or the next table
_MEMBER = re.compile(r"^([ \t]*\[\[[ \t]*member[ \t]*\]\][^\n]*\n)", re.MULTILINE)


def keygen(
    alliance_file: Path,
    keys: Path,
    codes: list[str] | None = None,
    make: Callable[[], Signer] = new_signer,
) -> dict[str, str]:
    """Make the keys that each member lacks; return the ids of new signing keys by member code.

    Private keys are `<keys>/<code>.key`, `.witness` and `.encryption`, readable by their owner alone; none is ever overwritten, and one that is there
    already is only registered. Raises `SettingsError` for a code that is no member.
    """
    alliance = load_alliance(alliance_file)
    wanted = codes or list(alliance.members)
    strangers = [code for code in wanted if code not in alliance.members]
    if strangers:
        raise SettingsError(
            f"{', '.join(strangers)}: not in {alliance_file}; add a [[member]] or use one of {', '.join(alliance.members)}"
        )
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    made: dict[str, Signer] = {}
    tables: dict[str, str] = {}
    for code in wanted:
        path = keys / f"{code}.key"
        signer = load_signer(path) if path.exists() else make()
        if signer.key_id not in alliance.members[code].keys:
            made[code] = signer
        _write_secret(path, signer.pem())
        tables[code] = "".join(_member_tables(keys, alliance.members[code], made.get(code)))
    if any(tables.values()):
        _replace(
            alliance_file, with_keys(alliance_file.read_text(encoding="utf-8"), alliance, tables)
        )
    return {code: signer.key_id for code, signer in made.items()}


def hub_keygen(alliance_file: Path, keys: Path) -> list[str]:
    """Make the hub's keys, `<keys>/log.key` and `<keys>/promises.key`, where they are not there; return those registered.

    Raises `SettingsError` when the configuration names other keys already: a log that changes its key is another log.
    """
    alliance = load_alliance(alliance_file)
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path, promise_path = keys / "log.key", keys / "promises.key"
    log = (
        LogSigner.from_private_text(log_path.read_text(encoding="ascii").strip())
        if log_path.exists()
        else LogSigner(alliance.origin, secrets.token_bytes(32))
    )
    promises = load_signer(promise_path) if promise_path.exists() else new_signer()
    wanted = (log.verifier.vkey, promises.public)
    if (alliance.log, alliance.promise_key) == wanted:
        return []
    if alliance.log is not None or alliance.promise_key is not None:
        raise SettingsError(
            f"{alliance_file} has a [log] table with other keys than {keys}; name the folder that holds theirs, "
            "or take the table out if no ledger was ever signed with them"
        )
    _write_secret(log_path, f"{log.private_text}\n".encode("ascii"))
    _write_secret(promise_path, promises.pem())
    text = alliance_file.read_text(encoding="utf-8").rstrip()
    public = base64.b64encode(promises.public).decode()
    table = f'[log]\ncheckpoint_key = "{wanted[0]}"\npromise_key = "{public}"'
    _replace(alliance_file, f"{text}\n\n{table}\n")
    return [log_path.name, promise_path.name]


def set_quorum(alliance_file: Path, quorum: Mapping[str, int]) -> None:
    """Write how many witnesses of each region must have cosigned. Raises `AllianceFileError`, with the file as it was."""
    before = alliance_file.read_text(encoding="utf-8")
    rows = "".join(f"{region} = {threshold}\n" for region, threshold in quorum.items())
    head, table, tail = before.partition("[quorum]\n")
    rest = _ROWS.sub("", tail, count=1) if table else ""
    text = f"{head}[quorum]\n{rows}{rest}" if table else f"{head.rstrip()}\n\n[quorum]\n{rows}"
    _replace(alliance_file, text)
    try:
        load_alliance(alliance_file)
    except AllianceFileError:
        _replace(alliance_file, before)
        raise


def _member_tables(keys: Path, member: Member, signer: Signer | None) -> Iterator[str]:
    """What a member's table lacks, as TOML; the private halves are written."""
    if signer is not None:
        public = base64.b64encode(signer.public).decode()
        yield f'  [[member.key]]  # {signer.key_id}\n  public = "{public}"\n'
    if member.witness is None:
        path = keys / f"{member.code}.witness"
        witness = (
            CosignatureSigner.from_private_text(path.read_text(encoding="ascii").strip())
            if path.exists()
            else CosignatureSigner(
                f"{member.domain}/witness", ED25519_COSIGNATURE, secrets.token_bytes(32)
            )
        )
        _write_secret(path, f"{witness.private_text}\n".encode("ascii"))
        yield f'  [member.witness]\n  vkey = "{witness.verifier.vkey}"\n'
    if member.encryption is None:
        path = keys / f"{member.code}.encryption"
        private = (
            X25519PrivateKey.from_private_bytes(base64.b64decode(path.read_bytes()))
            if path.exists()
            else X25519PrivateKey.generate()
        )
        _write_secret(path, base64.b64encode(private.private_bytes_raw()) + b"\n")
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        yield f'  [member.encryption]\n  public = "{public}"\n'


def _write_secret(path: Path, content: bytes) -> None:
    """A file that its owner alone reads; one that is there already is kept."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)


def _replace(alliance_file: Path, text: str) -> None:
    fresh = alliance_file.with_suffix(".toml.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(alliance_file)


def with_keys(text: str, alliance: Alliance, tables: dict[str, str]) -> str:
    """The configuration with new tables behind each member that got some; all else stays as it was."""
    head, *parts = _MEMBER.split(text)
    headers, bodies = parts[0::2], parts[1::2]
    if len(bodies) != len(alliance.members):
        raise SettingsError(
            f"the alliance configuration has {len(bodies)} [[member]] tables for {len(alliance.members)} members; "
            "give each member a table of its own"
        )
    out = [head]
    for header, body, code in zip(headers, bodies, alliance.members, strict=True):
        out += [header, body]
        if tables.get(code):
            out[-1] = f"{body.rstrip()}\n\n{tables[code]}\n"
    return "".join(out).rstrip() + "\n"
