"""Whom a connector believes: the table `[trust]` made ready.

Owns the meaning of its keys; reading the file is `connectors.sdk.config`'s. A policy names the log whose checkpoints count
and the witnesses whose cosignatures together are enough. Without one, the hub's word is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.members import Alliance, AllianceFileError
from schemas.tlog.cosignature import CosignatureSigner
from schemas.tlog.errors import Forged
from schemas.tlog.policy import Policy

ALLIANCE, NONE = "alliance", "none"


def path_of_file(value: object) -> object:
    """`{ file = "path" }` as its path, where the file is not to be read as a value."""
    return value["file"] if isinstance(value, dict) and set(value) == {"file"} else value


class TrustTable(BaseModel):
    """`[trust]`: paths are relative to the folder, times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Annotated[str, BeforeValidator(path_of_file)] = ALLIANCE
    witness: Annotated[str | None, BeforeValidator(path_of_file)] = None
    witness_http: str | None = Field(default=None, pattern=r"^\S+:[0-9]{1,5}$")
    receipt_after_s: float = Field(default=600, gt=0)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we believe. `policy` None: the hub. `witness` None: we cosign nothing. Times in milliseconds."""

    policy: Policy | None = None
    promise_key: bytes | None = None
    witness: CosignatureSigner | None = None
    witness_http: tuple[str, int] | None = None
    receipt_after_ms: int = 600_000


def load_trust(
    at: str, folder: Path, key: str, table: TrustTable, alliance: Alliance, faults: list[str]
) -> Trust:
    """Read what the table names. Faults are added to the list, each with file, key and fix (`at` is the file).

    `key` is `member.key`: keygen puts the witness's key beside it, so that every member is a witness unless it says no.
    """
    beside = Path(key).with_suffix(".witness")
    name = table.witness or (str(beside) if (folder / beside).exists() else NONE)
    policy = _policy(at, folder, table, alliance, faults)
    http = None
    if table.witness_http:
        host, _, port = table.witness_http.rpartition(":")
        http = (host, int(port))
        if name == NONE:
            faults.append(f"{at}: trust.witness_http: nobody to cosign; add trust.witness")
    witness = None
    if policy is not None and name != NONE:
        witness = _witness(at, folder, name, policy, alliance, faults)
    return Trust(
        policy,
        alliance.promise_key if policy else None,
        witness,
        http if witness else None,
        round(table.receipt_after_s * 1000),
    )


def _policy(
    at: str, folder: Path, table: TrustTable, alliance: Alliance, faults: list[str]
) -> Policy | None:
    if table.policy == NONE or (table.policy == ALLIANCE and alliance.log is None):
        return None
    try:
        if table.policy == ALLIANCE:
            return alliance.policy()
        return Policy.parse((folder / table.policy).read_bytes())
    except OSError as error:
        faults.append(
            f'{at}: trust.policy: cannot read {table.policy}: {error.strerror}; put it there, or write "{ALLIANCE}"'
        )
    except (AllianceFileError, Forged) as error:
        faults.append(f"{at}: trust.policy: {table.policy}: {error}")
    return None


def _witness(
    at: str, folder: Path, name: str, policy: Policy, alliance: Alliance, faults: list[str]
) -> CosignatureSigner | None:
    try:
        text = (folder / name).read_text(encoding="ascii")
        signer = CosignatureSigner.from_private_text(text.strip())
    except OSError as error:
        faults.append(
            f"{at}: trust.witness: cannot read {name}: {error.strerror}; run: alliance members keygen"
        )
        return None
    except ValueError as error:  # Forged, UnicodeDecodeError
        faults.append(f"{at}: trust.witness: {error}; run: alliance members keygen")
        return None
    counted = {member.witness for member in alliance.members.values()}
    counted |= {one.verifier.vkey for one in policy.witnesses}
    if signer.verifier.vkey not in counted:
        faults.append(
            f"{at}: trust.witness: {signer.verifier.vkey} is no witness of the alliance, so nobody would count it; "
            "add it to alliance.toml"
        )
    return signer
