"""The transparency log as operators see it: what is signed, what members have cosigned, and who of them does not.

Owns reading the two checkpoint files and the judgement of what is late. Signatures are checked here as anywhere; which of
them are enough says the policy. Formats are `schemas.tlog`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.errors import SettingsError
from hub.transparency.files import CHECKPOINT, WITNESSED, LogFiles
from hub.transparency.receipts import load_policy
from schemas.members import Alliance, AllianceFileError
from schemas.tlog.checkpoint import open_checkpoint
from schemas.tlog.errors import Forged, Malformed
from schemas.tlog.note import Verifies
from schemas.tlog.policy import Policy

SETTLED_S = (
    10.0  # so long after a checkpoint is witnessed, the slowest connector has cosigned it, too
)

# A message of `ledger.cosignatures` -> the size each witness has truly cosigned in it.
ReadCosignature = Callable[[bytes], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Held:
    """A checkpoint of the folder. `at` is when its file was written, `cosigned_by` names witnesses of the policy."""

    size: int
    root: bytes
    at: datetime
    cosigned_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A group of witnesses, by default those of a region: how many cosign now, of how many, and how many must."""

    group: str
    cosigning: int
    witnesses: int
    needed: int


@dataclass(frozen=True, slots=True)
class LogView:
    """The log at one moment. `error` says why its files cannot be read, `policy_error` why no quorum can be counted.

    `unsigned` and `unwitnessed` are entries; `unsigned` is None while the read model does not tell the ledger's head. `_s`
    is for how long something that waited then waits still. `missing` are witnesses that do not cosign.
    """

    origin: str
    error: str = ""
    policy_error: str = ""
    signed: Held | None = None
    witnessed: Held | None = None
    unsigned: int | None = 0
    unsigned_s: float = 0.0
    unwitnessed: int = 0
    unwitnessed_s: float = 0.0
    witnesses: int = 0
    missing: tuple[str, ...] = ()
    quorum: tuple[Share, ...] = ()
    enough: bool = False  # those that cosign now are a quorum

    @property
    def signed_size(self) -> int:
        """Entries under the newest signed checkpoint."""
        return self.signed.size if self.signed else 0

    @property
    def witnessed_size(self) -> int:
        """Entries under the newest witnessed checkpoint."""
        return self.witnessed.size if self.witnessed else 0


def policy_of(alliance: Alliance, policy_file: str = "") -> tuple[Policy | None, str]:
    """The policy the collector works by, or why there is none. Both are empty where the log has no key yet."""
    if alliance.log is None:
        return None, ""
    try:
        return load_policy(policy_file, alliance), ""
    except (AllianceFileError, SettingsError) as error:
        return None, str(error)


def cosignature_reader(policy: Policy, origin: str) -> ReadCosignature:
    """Reads messages of `ledger.cosignatures`; what no witness of the policy signed says nothing."""
    keys = tuple(witness.verifier for witness in policy.witnesses)

    def read(value: bytes) -> Mapping[str, int]:
        try:
            checkpoint, note = open_checkpoint(value, keys)
        except Forged:
            return {}
        if checkpoint.origin != origin:
            return {}
        return dict.fromkeys(policy.witness_names(note.verified), checkpoint.size)

    return read


class Late:
    """For how long a size has not reached what was wanted of it. One that follows at some distance is not late."""

    def __init__(self) -> None:
        self._target = 0
        self._since: datetime | None = None

    def seconds(self, reached: int, wanted: int, now: datetime) -> float:
        """Since the oldest size that was wanted and is not reached yet; 0 when all is."""
        if reached >= wanted:
            self._since = None
            return 0.0
        if self._since is None or reached >= self._target:
            self._target, self._since = wanted, now
        return (now - self._since).total_seconds()

    def pause(self) -> None:
        """Forget: nobody can be late while the broker is away."""
        self._since = None


class LogWatch:
    """Reads the folder when asked, and remembers since when something waits."""

    def __init__(
        self, alliance: Alliance, folder: Path, policy: Policy | None, policy_error: str = ""
    ) -> None:
        self._alliance, self._files = alliance, LogFiles(folder)
        self._policy, self._policy_error = policy, policy_error
        self._signing, self._witnessing = Late(), Late()
        self._settled = 0  # size that everybody has had the time to cosign
        self._settling: tuple[int, datetime] | None = None
        self._opened: dict[str, tuple[bytes, Held]] = {}

    def view(
        self, head: int | None, cosigned: Mapping[str, int], now: datetime, *, moving: bool
    ) -> LogView | None:
        """The log now, None where it has no key. Blocks.

        `head` is the ledger's as the read model knows it, `cosigned` the sizes read from the topic; without `moving`, when
        the broker is away, nothing is late.
        """
        origin, policy = self._alliance.origin, self._policy
        if policy is None:
            return LogView(origin, policy_error=self._policy_error) if self._policy_error else None
        try:
            signed = self._held(CHECKPOINT, policy)
            witnessed = self._held(WITNESSED, policy)
        except (Forged, OSError) as error:
            return LogView(origin, error=str(error), witnesses=len(policy.witnesses))
        signed_size = signed.size if signed else 0
        witnessed_size = witnessed.size if witnessed else 0
        if not moving:
            self._signing.pause()
            self._witnessing.pause()
        unwitnessed_s = self._witnessing.seconds(witnessed_size, signed_size, now)
        self._settle(witnessed, now)
        least = witnessed_size + 1 if unwitnessed_s >= SETTLED_S else self._settled
        missing = _missing(policy, witnessed, cosigned, least)
        return LogView(
            origin=origin,
            signed=signed,
            witnessed=witnessed,
            unsigned=None if head is None else max(0, head - signed_size),
            unsigned_s=self._signing.seconds(signed_size, head or 0, now),
            unwitnessed=max(0, signed_size - witnessed_size),
            unwitnessed_s=unwitnessed_s,
            witnesses=len(policy.witnesses),
            missing=missing,
            quorum=_shares(policy, missing),
            enough=policy.met_by(set(_names(policy)) - set(missing)),
        )

    def _held(self, path: str, policy: Policy) -> Held | None:
        """Raises `Forged` when the file is no checkpoint of this log, `OSError` when it cannot be read."""
        note = self._files.read_if_there(path)
        if note is None:
            return None
        known = self._opened.get(path)
        if known is None or known[0] != note:
            written_s = (self._files.folder / path).stat().st_mtime
            held = self._open(path, note, policy, datetime.fromtimestamp(written_s, UTC))
            known = self._opened[path] = (note, held)
        return known[1]

    def _open(self, path: str, data: bytes, policy: Policy, at: datetime) -> Held:
        origin = self._alliance.origin
        # Without the log's own signature those of others say nothing.
        open_checkpoint(data, policy.log_verifiers(origin))
        keys: Iterable[Verifies] = policy.verifiers()
        checkpoint, note = open_checkpoint(data, keys)
        if checkpoint.origin != origin:
            raise Malformed(f"origin of {path}", checkpoint.origin, origin)
        names = policy.witness_names(note.verified)
        cosigned_by = tuple(name for name in _names(policy) if name in names)
        return Held(checkpoint.size, checkpoint.root, at, cosigned_by)

    def _settle(self, witnessed: Held | None, now: datetime) -> None:
        if witnessed is None:
            return
        if self._settling is None:  # the file was there before we were
            self._settling = (witnessed.size, witnessed.at)
        size, since = self._settling
        if (now - since).total_seconds() >= SETTLED_S:
            self._settled = size
            if size != witnessed.size:
                self._settling = (witnessed.size, now)


def _missing(
    policy: Policy, witnessed: Held | None, cosigned: Mapping[str, int], least: int
) -> tuple[str, ...]:
    """Who has cosigned no size from `least` on: what comes after a witnessed checkpoint that is stuck, else what everybody
    has had the time for. The file alone would not tell: it is written as soon as a quorum is together."""
    newest = dict(cosigned)
    if witnessed is not None:
        for name in witnessed.cosigned_by:
            newest[name] = max(witnessed.size, newest.get(name, 0))
    return tuple(name for name in _names(policy) if newest.get(name, 0) < least)


def log_json(log: LogView, now: datetime) -> dict[str, Any]:
    """As `/api/v1/log` says it. `waiting` counts entries, `waiting_s` is 0 for what is on its way."""
    witnessed = _held_json(log.witnessed, now)
    if witnessed is not None and log.witnessed is not None:
        witnessed["cosigned_by"] = list(log.witnessed.cosigned_by)
    return {
        "origin": log.origin,
        "error": log.error or log.policy_error,
        "signed": _held_json(log.signed, now),
        "unsigned": {"waiting": log.unsigned, "waiting_s": round(log.unsigned_s)},
        "witnessed": witnessed,
        "unwitnessed": {"waiting": log.unwitnessed, "waiting_s": round(log.unwitnessed_s)},
        "witnesses": log.witnesses,
        "missing": list(log.missing),
        "quorum": [
            {
                "group": share.group,
                "cosigning": share.cosigning,
                "witnesses": share.witnesses,
                "needed": share.needed,
            }
            for share in log.quorum
        ],
        "links": {
            "checkpoint": f"/log/{CHECKPOINT}",
            "witnessed": f"/log/{WITNESSED}",
            "tiles": "/log/tile/",
        },
    }


def _held_json(held: Held | None, now: datetime) -> dict[str, Any] | None:
    if held is None:
        return None
    age_s = max(0.0, (now - held.at).total_seconds())
    return {"size": held.size, "root": held.root.hex(), "age_s": round(age_s, 1)}


def _names(policy: Policy) -> tuple[str, ...]:
    return tuple(witness.name for witness in policy.witnesses)


def _shares(policy: Policy, missing: Iterable[str]) -> tuple[Share, ...]:
    """The groups that witnesses stand in themselves; the alliance's own are named `region-<region>`."""
    away, known = set(missing), set(_names(policy))
    return tuple(
        Share(
            group.name.removeprefix("region-"),
            sum(name not in away for name in group.members),
            len(group.members),
            group.threshold,
        )
        for group in policy.groups
        if known.issuperset(group.members)
    )
