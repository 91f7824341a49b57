"""Key pairs for members. The private half goes to the member's own folder, the public one into `alliance.toml`."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path

from hub.errors import SettingsError
from schemas.members import Alliance, load_alliance
from schemas.signing import Signer, load_signer, new_signer

_MEMBER = re.compile(r"^([ \t]*\[\[[ \t]*member[ \t]*\]\][^\n]*\n)", re.MULTILINE)


def keygen(
    alliance_file: Path,
    keys: Path,
    codes: list[str] | None = None,
    make: Callable[[], Signer] = new_signer,
) -> dict[str, str]:
    """Make a key pair for each member that has no private key in `keys` yet; return the new key ids by member code.

    Private keys are `<keys>/<code>.key`, readable by their owner alone; none is ever overwritten, and one that is there
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
    for code in wanted:
        path = keys / f"{code}.key"
        signer = load_signer(path) if path.exists() else make()
        if signer.key_id not in alliance.members[code].keys:
            made[code] = signer
        if not path.exists():
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(signer.pem())
    if made:
        text = with_keys(alliance_file.read_text(encoding="utf-8"), alliance, made)
        fresh = alliance_file.with_suffix(".toml.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(alliance_file)
    return {code: signer.key_id for code, signer in made.items()}


def with_keys(text: str, alliance: Alliance, made: dict[str, Signer]) -> str:
    """The configuration with a `[[member.key]]` behind each member that got one; all else stays as it was."""
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
        if code in made:
            public = base64.b64encode(made[code].public).decode()
            key = f'  [[member.key]]  # {made[code].key_id}\n  public = "{public}"\n'
            out[-1] = f"{body.rstrip()}\n\n{key}\n"
    return "".join(out).rstrip() + "\n"
