"""Who belongs to the alliance, and their public keys: the file `alliance.toml`.

Both sides read it: the hub to know whose signature to expect, a connector to know its own member's names.
"""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.signing import Verifier, key_id

# Institution code of the Ministry of Education, or M-... for a member without a civil code.
MEMBER_CODE = re.compile(r"[0-9]{5}|M-[A-Z]+")


class AllianceFileError(Exception):
    """`alliance.toml` cannot be used; the message names the entry and the fix."""


@dataclass(frozen=True, slots=True)
class Member:
    """A university of the alliance. `keys` are raw Ed25519 public keys by key id."""

    code: str
    name_en: str
    name_zh: str
    region: str
    city: str
    domain: str
    keys: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Alliance:
    """The alliance: its name, the origin of its ledger, its members by code in the file's order."""

    name: str
    origin: str
    members: Mapping[str, Member]

    def verifier(self) -> Verifier:
        """All members' keys, ready to check signatures."""
        return Verifier(
            {
                name: (member.code, raw)
                for member in self.members.values()
                for name, raw in member.keys.items()
            }
        )


def load_alliance(path: Path) -> Alliance:
    """Read `alliance.toml`. Raises `AllianceFileError` naming the file, the entry and what to write instead."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AllianceFileError(
            f"cannot read {path}: {error.strerror}; set ALLIANCE_FILE or run in the project folder"
        ) from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise AllianceFileError(
            f"{path} is not TOML in UTF-8: {error}; correct that place"
        ) from error
    members: dict[str, Member] = {}
    owners: dict[str, str] = {}
    for row in _rows(path, values, "member"):
        member = _member(path, row)
        if member.code in members:
            raise AllianceFileError(f"{path}: member {member.code} stands twice; remove one")
        for key in member.keys:
            if owners.setdefault(key, member.code) != member.code:
                raise AllianceFileError(
                    f"{path}: key {key} belongs to {owners[key]} and to {member.code}; "
                    "give each member its own: alliance members keygen"
                )
        members[member.code] = member
    if not members:
        raise AllianceFileError(f"{path} names no [[member]]; list at least one")
    head = values.get("alliance", {})
    if not isinstance(head, dict):
        raise AllianceFileError(f"{path}: alliance is {head!r}, wanted a table; write [alliance]")
    return Alliance(
        head.get("name", "alliance"), head.get("origin", "alliance.example/ledger"), members
    )


def _rows(path: Path, values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = values.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AllianceFileError(f"{path}: {name} is not a list of tables; write [[{name}]]")
    return rows


def _member(path: Path, row: Mapping[str, Any]) -> Member:
    code = str(row.get("code", ""))
    if not MEMBER_CODE.fullmatch(code):
        raise AllianceFileError(
            f"{path}: member code {code!r} is neither five digits nor M-LETTERS; correct it"
        )
    missing = [
        name for name in ("name_en", "name_zh", "region", "city", "domain") if name not in row
    ]
    if missing:
        raise AllianceFileError(f"{path}: member {code} lacks {', '.join(missing)}; add it")
    keys: dict[str, bytes] = {}
    for key in _rows(path, row, "key"):
        try:
            raw = base64.b64decode(key["public"], validate=True)
        except (KeyError, TypeError, ValueError) as error:  # binascii.Error is a ValueError
            raise AllianceFileError(
                f"{path}: member {code} has a key without base64 `public`; run: alliance members keygen"
            ) from error
        if len(raw) != 32:
            raise AllianceFileError(
                f"{path}: a key of member {code} has {len(raw)} bytes, wanted 32 (raw Ed25519); "
                "run: alliance members keygen"
            )
        keys[key_id(raw)] = raw
    return Member(
        code, row["name_en"], row["name_zh"], row["region"], row["city"], row["domain"], keys
    )
