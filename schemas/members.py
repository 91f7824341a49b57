"""Who belongs to the alliance, and their public keys: the file `alliance.toml`.

Both sides read it: the hub to know whose signature to expect, a connector to know its own member's names.
"""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.signing import Verifier, key_id
from schemas.tlog.cosignature import CosignatureVerifier
from schemas.tlog.errors import Forged
from schemas.tlog.note import Verifier as LogVerifier
from schemas.tlog.policy import Group, Log, Policy, Witness

# Institution code of the Ministry of Education, or M-... for a member without a civil code.
MEMBER_CODE = re.compile(r"[0-9]{5}|M-[A-Z]+")


class AllianceFileError(Exception):
    """`alliance.toml` cannot be used; the message names the entry and the fix."""


@dataclass(frozen=True, slots=True)
class Member:
    """A university of the alliance. `keys` are raw Ed25519 public keys by key id; those made later stand in the ledger.

    `witness` is the vkey under which its connector cosigns checkpoints, `encryption` the raw X25519 key for what only it
    may read; None where there is none yet.
    """

    code: str
    name_en: str
    name_zh: str
    region: str
    city: str
    domain: str
    keys: Mapping[str, bytes]
    witness: str | None = None
    encryption: bytes | None = None


@dataclass(frozen=True, slots=True)
class Alliance:
    """The alliance: its name, the origin of its ledger, its members by code in the file's order.

    `log` is the vkey of the ledger's checkpoints, `promise_key` the raw Ed25519 key of admission's promises, `quorum` how
    many witnesses of each region must have cosigned.
    """

    name: str
    origin: str
    members: Mapping[str, Member]
    log: str | None = None
    promise_key: bytes | None = None
    quorum: Mapping[str, int] = field(default_factory=dict)

    def policy(self) -> Policy:
        """Whose checkpoints count and whose cosignatures together are enough (C2SP tlog-policy).

        A witness has the member's code as its name, a region is a group of its witnesses. Raises `AllianceFileError` when
        the log has no key or a region has fewer witnesses than its quorum asks for.
        """
        if self.log is None:
            raise AllianceFileError(
                "the alliance configuration has no [log] checkpoint_key; run: alliance members keygen --hub"
            )
        named = [member for member in self.members.values() if member.witness]
        witnesses = tuple(
            Witness(member.code, CosignatureVerifier.from_vkey(member.witness))
            for member in named
            if member.witness
        )
        groups = []
        for region, threshold in self.quorum.items():
            codes = tuple(member.code for member in named if member.region == region)
            if len(codes) < threshold:
                raise AllianceFileError(
                    f"quorum.{region} is {threshold}, but {len(codes)} members of {region} have a witness key; "
                    "run alliance members keygen for them, or lower the quorum"
                )
            groups.append(Group(f"region-{'-'.join(region.split())}", threshold, codes))
        names = tuple(group.name for group in groups)
        if names:
            groups.append(Group("alliance", len(names), names))
        log = Log(LogVerifier.from_vkey(self.log))
        return Policy((log,), witnesses, tuple(groups), "alliance" if names else "none")

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
    origin = head.get("origin", "alliance.example/ledger")
    log = values.get("log", {})
    vkey = log.get("checkpoint_key")
    if vkey is not None:
        _read_at(f"{path}: log.checkpoint_key", LogVerifier.from_vkey, vkey)
        if not str(vkey).startswith(f"{origin}+"):
            raise AllianceFileError(
                f"{path}: log.checkpoint_key is not one of {origin}; make it with: alliance members keygen --hub"
            )
    return Alliance(
        head.get("name", "alliance"),
        origin,
        members,
        vkey,
        _raw_key(path, "log.promise_key", log.get("promise_key")),
        _quorum(path, values.get("quorum", {}), members),
    )


def _quorum(path: Path, rows: Any, members: Mapping[str, Member]) -> dict[str, int]:
    regions = {member.region for member in members.values()}
    for region, threshold in rows.items() if isinstance(rows, dict) else [("quorum", rows)]:
        if region not in regions or not isinstance(threshold, int) or threshold < 1:
            raise AllianceFileError(
                f"{path}: quorum.{region} is {threshold!r}; write a region ({', '.join(sorted(regions))}) and how many "
                "of its witnesses must have cosigned, 1 or more"
            )
    return dict(rows)


def _read_at(place: str, read: Callable[[str], object], text: Any) -> None:
    try:
        read(str(text))
    except Forged as error:
        raise AllianceFileError(f"{place}: {error}; run: alliance members keygen") from error


def _raw_key(path: Path, place: str, text: Any) -> bytes | None:
    """32 bytes in base64, or None where there is nothing."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raw = b""
    if len(raw) != 32:
        raise AllianceFileError(
            f"{path}: {place} is {text!r}, wanted 32 bytes in base64; run: alliance members keygen"
        )
    return raw


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
    witness = row.get("witness", {}).get("vkey")
    if witness is not None:
        _read_at(f"{path}: witness of member {code}", CosignatureVerifier.from_vkey, witness)
    encryption = _raw_key(
        path, f"encryption of member {code}", row.get("encryption", {}).get("public")
    )
    return Member(
        code, row["name_en"], row["name_zh"], row["region"], row["city"], row["domain"], keys,
        witness, encryption,
    )  # fmt: skip
