"""Receipts, the growth of a log between two checkpoints, and two stories of one log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hub.verify.outcome import Code, Failure, reading
from hub.verify.sources import Files
from hub.verify.trust import Signed, open_signed, root_at, two_stories
from schemas.codec import Unreadable, decode
from schemas.members import Alliance
from schemas.records import Entry
from schemas.tlog.merkle import consistency_proof, leaf_hash, verify_consistency
from schemas.tlog.policy import Policy
from schemas.tlog.proof import LogProof, verify_proof
from schemas.tlog.tiles import TileReader

EVIDENCE = "alliance-equivocation/1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt shows: this entry is in the log, under a checkpoint that the quorum cosigned."""

    entry: Entry
    index: int
    signed: Signed
    signature: str  # what is known of the member's signature


def check_receipt(
    path: str,
    policy: Policy,
    *,
    entry: bytes | None = None,
    event: bytes | None = None,
    alliance: Alliance | None = None,
) -> Receipt:
    """The receipt of a `.tlog-proof` file. The entry is given, or inside the file as its extra data.

    Raises `Failure` when the proof does not show that entry, or the entry is not about that event.
    """
    with reading(path):
        proof = LogProof.parse(Path(path).read_bytes())
        signed = open_signed(proof.checkpoint, policy, path)
    value = proof.extra if entry is None else entry
    if not value:
        raise Failure(
            Code.UNREADABLE, path, "no entry inside", "the entry that it proves",
            "give it with --entry FILE",
        )  # fmt: skip
    with reading(path):
        verify_proof(proof, leaf_hash(value), policy)
    found = entry_of(value, proof.index, path)
    if event is not None and event != found.event:
        raise Failure(
            Code.PROOF, f"{path}, event of entry {found.seq}", sha256(found.event).hexdigest(),
            f"{sha256(event).hexdigest()}, the hash of the event given",
            "the ledger has other bytes than you signed: keep both files",
        )  # fmt: skip
    return Receipt(found, proof.index, signed, _signature(found, alliance, path))


def entry_of(value: bytes, index: int, place: str) -> Entry:
    """The entry of a leaf. Raises `Failure` when it is none, stands at another index, or belies its own event."""
    try:
        found = decode(value)
    except Unreadable as error:
        raise Failure(
            Code.ENTRY, f"{place}, leaf {index}", error, "an entry of the ledger"
        ) from error
    if not isinstance(found, Entry):
        raise Failure(Code.ENTRY, f"{place}, leaf {index}", found.EVENT, Entry.EVENT)
    if found.seq != index + 1:
        raise Failure(Code.PROOF, f"{place}, index", index, f"{found.seq - 1}, as the entry says")
    hashed = sha256(found.event).digest()
    if found.event_hash != hashed:
        raise Failure(
            Code.ENTRY,
            f"{place}, entry {found.seq}, field event_hash",
            found.event_hash.hex(),
            hashed.hex(),
        )
    return found


def _signature(entry: Entry, alliance: Alliance | None, place: str) -> str:
    """Whether the member signed the event; a key made after the configuration stands in the ledger, not in the receipt."""
    if not entry.member:
        return "none, an entry of the hub's own"
    if alliance is None:
        return "not checked, no --alliance"
    verifier = alliance.verifier()
    owner = verifier.owner(entry.key_id)
    if owner is None:
        return f"not checked, key {entry.key_id} was added in the ledger: alliance verify replay"
    if owner != entry.member or not verifier.valid(entry.key_id, entry.event, entry.signature):
        raise Failure(
            Code.SIGNATURE, f"{place}, entry {entry.seq}, field signature", f"key {entry.key_id} of {owner}",
            f"a signature of {entry.member} over this event",
        )  # fmt: skip
    return f"key {entry.key_id} of {entry.member}"


def check_growth(old: Signed, new: Signed, files: Files | None) -> tuple[bytes, ...]:
    """The consistency proof between two signed checkpoints, made from tiles and verified. Raises `Failure`."""
    place = f"{old.place} and {new.place}"
    if old.origin != new.origin:
        raise Failure(Code.PROOF, place, old.origin, new.origin, "name two checkpoints of one log")
    if old.size > new.size:
        raise Failure(
            Code.PROOF, place, f"sizes {old.size}, {new.size}", "the older one first",
            "a log never shrinks; change their order, or keep both if the second is the newer",
        )  # fmt: skip
    if old.size == new.size and old.root != new.root:
        raise two_stories(old, new, new.root)
    if old.size in (0, new.size):
        with reading(place):
            verify_consistency(old.size, new.size, old.root, new.root, ())
        return ()
    if files is None:
        raise Failure(Code.UNREADABLE, place, "no tiles", "them, to make the proof", "give --tiles")
    with reading(files.name):
        reader = TileReader(files.read, new.size, new.root)
        found = root_at(old.size, reader)
        proof = consistency_proof(old.size, new.size, reader.read_hash)
    if found != old.root:
        raise two_stories(old, new, found)
    with reading(place):
        verify_consistency(old.size, new.size, old.root, new.root, proof)
    return proof


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two checkpoints signed by one log that cannot both be of one growing log; anyone with its key can check it.

    `root` is what the larger one's tree has at the size of the smaller, `proof` leads from there to the larger one.
    """

    first: bytes
    second: bytes
    root: bytes
    proof: tuple[bytes, ...]

    def to_json(self) -> str:
        """The file."""
        return json.dumps(
            {
                "format": EVIDENCE,
                "first": self.first.decode(),
                "second": self.second.decode(),
                "root_at_size_of_first": self.root.hex(),
                "consistency_proof_to_second": [one.hex() for one in self.proof],
            },
            indent=1,
            ensure_ascii=False,
        )

    @classmethod
    def parse(cls, data: bytes, place: str) -> Evidence:
        """The evidence of a file; nothing is believed yet."""
        try:
            values: Any = json.loads(data)
            if values["format"] != EVIDENCE:
                raise ValueError(values["format"])
            return cls(
                values["first"].encode(),
                values["second"].encode(),
                bytes.fromhex(values["root_at_size_of_first"]),
                tuple(bytes.fromhex(one) for one in values["consistency_proof_to_second"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failure(
                Code.MALFORMED, place, f"{type(error).__name__}: {error}", f"evidence in {EVIDENCE}"
            ) from error


def check_evidence(evidence: Evidence, policy: Policy, place: str) -> Failure | None:
    """The equivocation that a piece of evidence shows, or None when it shows none. Raises `Failure` for a false one."""
    first = open_signed(evidence.first, policy, f"{place}, first", log_alone=True)
    second = open_signed(evidence.second, policy, f"{place}, second", log_alone=True)
    if first.origin != second.origin:
        raise Failure(Code.PROOF, place, second.origin, first.origin)
    with reading(place):
        verify_consistency(first.size, second.size, evidence.root, second.root, evidence.proof)
    return None if evidence.root == first.root else two_stories(first, second, evidence.root)


def find_evidence(one: Signed, other: Signed, files: Files | None) -> Evidence | None:
    """Evidence that two checkpoints are of two logs, or None when they are of one. Needs tiles where the sizes differ."""
    old, new = sorted((one, other), key=lambda signed: signed.size)
    if old.origin != new.origin:
        raise Failure(
            Code.PROOF, f"{old.place} and {new.place}", f"{old.origin} and {new.origin}", "one origin",
            "two logs may differ; name two checkpoints of one",
        )  # fmt: skip
    if old.size in (0, new.size):
        root, proof = (new.root if old.size else old.root), tuple[bytes, ...]()
        with reading(old.place):
            verify_consistency(old.size, new.size, root, new.root, proof)
    elif files is None:
        raise Failure(
            Code.UNREADABLE, f"{old.place} and {new.place}", f"sizes {old.size} and {new.size}",
            "the tiles of the larger one, to compare them", "give --tiles DIR or URL",
        )  # fmt: skip
    else:
        with reading(f"tiles of {new.place}"):
            reader = TileReader(files.read, new.size, new.root)
            root = root_at(old.size, reader)
            proof = consistency_proof(old.size, new.size, reader.read_hash)
    return None if root == old.root else Evidence(old.note, new.note, root, proof)
