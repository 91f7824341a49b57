"""Whose signatures count, and checkpoints that bear them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hub.verify.outcome import Code, Failure, reading
from hub.verify.sources import Files
from schemas.members import Alliance, load_alliance
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.cosignature import timestamp_of
from schemas.tlog.merkle import EMPTY_ROOT, complete_subtrees, fold
from schemas.tlog.note import split_note
from schemas.tlog.policy import NONE, Policy
from schemas.tlog.proof import verify_checkpoint
from schemas.tlog.tiles import TileReader

WITNESSED, LOG_ALONE = "checkpoint.witnessed", "checkpoint"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signatures are enough. `place` is where it was read, times are seconds since 1970."""

    place: str
    note: bytes
    origin: str
    size: int
    root: bytes
    witnesses: tuple[str, ...]
    witnessed_s: int | None  # when the last of them looked

    def values(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "witnesses": list(self.witnesses),
            "witnessed_at_s": self.witnessed_s,
        }

    def checkpoint(self) -> Checkpoint:
        """The text that was signed."""
        return Checkpoint.parse(split_note(self.note)[0])

    def sentence(self) -> str:
        """For people."""
        seen = f"cosigned by {len(self.witnesses)}" if self.witnesses else "signed by the log alone"
        return f"{self.origin}, {self.size} entries, root {self.root.hex()}, {seen}"


def alliance_file(given: str | None) -> Path:
    """The configuration to use: the one named, `ALLIANCE_FILE`, or `alliance.toml` here."""
    return Path(given or os.environ.get("ALLIANCE_FILE", "alliance.toml"))


def read_alliance(given: str | None) -> Alliance:
    """Members, their first keys, the log's key and the quorum."""
    path = alliance_file(given)
    with reading(str(path)):
        return load_alliance(path)


def read_policy(policy: str | None, alliance: str | None) -> Policy:
    """The policy of a C2SP tlog-policy file, or the one that the alliance's configuration makes."""
    if policy is not None:
        with reading(policy):
            return Policy.parse(Path(policy).read_bytes())
    found = read_alliance(alliance)
    with reading(str(alliance_file(alliance))):
        return found.policy()


def open_signed(data: bytes, policy: Policy, place: str, *, log_alone: bool = False) -> Signed:
    """The checkpoint, if its log signed it and, unless `log_alone`, the policy's quorum cosigned it."""
    with reading(place):
        logged = verify_checkpoint(data, replace(policy, quorum=NONE) if log_alone else policy)
    kinds = {
        (witness.verifier.name, witness.verifier.key_id): witness.verifier.key_type
        for witness in policy.witnesses
    }
    times = [
        timestamp_of(line, kinds[line.key]) for line in logged.note.verified if line.key in kinds
    ]
    checkpoint = logged.checkpoint
    return Signed(
        place, data, checkpoint.origin, checkpoint.size, checkpoint.root,
        tuple(sorted(logged.witnesses)), max(times, default=None),
    )  # fmt: skip


def read_signed(path: str, policy: Policy, *, log_alone: bool = False) -> Signed:
    """The checkpoint of a file."""
    with reading(path):
        data = Path(path).read_bytes()
    return open_signed(data, policy, path, log_alone=log_alone)


def newest(files: Files, policy: Policy, *, log_alone: bool) -> Signed:
    """The checkpoint a copy of the log stands under.

    The one the quorum cosigned; the log's own where the policy asks for no witness, or `log_alone`.
    """
    name = LOG_ALONE if log_alone else WITNESSED
    try:
        data = files.read(name)
    except FileNotFoundError as error:
        if policy.quorum != NONE or name == LOG_ALONE:
            advice = (
                "has a log been written there?"
                if log_alone
                else "has the quorum cosigned yet? --unwitnessed believes the log's own signature"
            )
            raise Failure(
                Code.UNREADABLE, f"{files.name}/{name}", "no such file", "it", advice
            ) from error
        name = LOG_ALONE
        data = files.read(name)
    return open_signed(data, policy, f"{files.name}/{name}", log_alone=log_alone)


def own(files: Files, policy: Policy) -> Signed | None:
    """The log's own newest checkpoint in a copy: ahead of the one the quorum cosigned, or the same."""
    try:
        data = files.read(LOG_ALONE)
    except FileNotFoundError:
        return None
    return open_signed(data, policy, f"{files.name}/{LOG_ALONE}", log_alone=True)


def root_at(size: int, reader: TileReader) -> bytes:
    """The root over the first `size` leaves of the tree that `reader` reads."""
    nodes = [reader.read_hash(*node) for node in complete_subtrees(0, size)]
    return fold(nodes) if nodes else EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the log: `signed` says what counts, `top` is the largest checkpoint the copy has.

    Both are of one tree, and files are read under `top`: the partial tiles of a smaller tree may be gone by now.
    """

    files: Files
    signed: Signed
    top: Signed

    def reader(self) -> TileReader:
        """Reads what the root of `top` commits to, and nothing else."""
        return TileReader(self.files.read, self.top.size, self.top.root)


def open_copy(
    files: Files, policy: Policy, kept: Sequence[Signed], *, log_alone: bool = False
) -> Copy:
    """The copy, if all its checkpoints and those `kept` from before are of one growing log (I13); else `Failure`."""
    signed = newest(files, policy, log_alone=log_alone)
    ahead = own(files, policy)
    top = signed if ahead is None or ahead.size < signed.size else ahead
    others = [old for old in (signed, ahead, *kept) if old is not None and old is not top]
    for old in others:
        if (old.origin, old.size) == (top.origin, top.size) and old.root != top.root:
            raise two_stories(old, top, top.root)  # whatever the tiles are
    found = Copy(files, signed, top)
    with reading(files.name):
        reader = found.reader()
    for old in others:
        check_story(old, top, reader, files.name)
    return found


def check_story(old: Signed, new: Signed, reader: TileReader, place: str) -> None:
    """Refuse with `Failure` unless the log under `new`, which `reader` reads, begins with all of the log under `old`."""
    if old.origin != new.origin:
        raise Failure(
            Code.PROOF, f"{old.place} and {new.place}", old.origin, new.origin,
            "name two checkpoints of one log",
        )  # fmt: skip
    if old.size > new.size:
        raise Failure(
            Code.INVARIANT, f"I13: {new.place}", f"{new.size} entries",
            f"at least the {old.size} of {old.place}",
            "this copy is behind what was signed before; ask for a newer one",
        )  # fmt: skip
    with reading(place):
        found = root_at(old.size, reader)
    if found != old.root:
        raise two_stories(old, new, found)


def two_stories(old: Signed, new: Signed, found: bytes) -> Failure:
    """One log signed both; `found` is the root that the larger one has at the size of the smaller."""
    return Failure(
        Code.EQUIVOCATION, f"I13: {old.place} and {new.place}",
        f"roots {old.root.hex()} and {found.hex()} at size {old.size}", "one root for one size",
        "keep both files and the tiles: alliance verify equivocation makes the evidence",
    )  # fmt: skip
