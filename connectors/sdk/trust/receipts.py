"""Promises and receipts as they arrive: what they prove, and what of them cannot be true.

Owns the checks; storage is `connectors.sdk.trust.proofs`, what a receipt means for the outbox `connectors.sdk.state.file`. A receipt
counts when the checkpoint carries the log's signature and the quorum's, the entry leads to its root, and the entry holds
the very bytes we signed. Anything else about an event we wait for is kept as evidence, by the event's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from connectors.sdk.state.file import State
from connectors.sdk.trust.proofs import Evidence, Held, Promised, Proven
from connectors.sdk.trust.settings import Trust
from schemas.codec import Unreadable, decode, encode
from schemas.envelope import to_millis
from schemas.promises import event_hash, kept_to
from schemas.records import Entry, Promise, Receipt, Receipts
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import leaf_hash, verify_inclusion
from schemas.tlog.policy import Policy
from schemas.tlog.proof import Logged, verify_checkpoint

_NEXT = "the event stays in the outbox; tell the hub's operators and the other members"
_CHECKPOINTS_KEPT = 16  # verified ones remembered; many receipts share one


class ProofReader:
    """Reads the promises and receipts of one member's inbox by a policy."""

    def __init__(self, member: str, trust: Trust, state: State) -> None:
        self._member = member
        self._trust = trust
        self._state = state

    def promise(self, said: Promise, value: bytes) -> Proven:
        """A promise of the hub; `value` are its framed bytes. One that nobody can be held to is evidence, not a promise."""
        key = self._trust.promise_key
        if key is None:
            return Proven()
        if said.member == self._member and kept_to(said, key):
            return Proven([Promised(value, to_millis(said.merge_by), said.event_hashes)])
        what = f"a promise to {said.member} that the hub's key {said.key_id} did not make"
        reason = f"{what}; is log.promise_key in alliance.toml up to date? If so, tell the hub's operators"
        return Proven(evidence=[Evidence("promise", "", reason, what, value)])

    def receipts(self, said: Receipts) -> Proven:
        """What the receipts of one checkpoint show about events of ours.

        Raises `Unreadable` for an entry that is in the log and newer than this connector.
        """
        proven = Proven()
        if self._trust.policy is None:
            return proven
        note = said.checkpoint.encode()
        logged, fault = _opened(note, self._trust.policy)
        if logged is not None:
            proven.evidence += self._other_root(logged, note)
        entries = [(proof, *_entry(proof)) for proof in said.proofs]
        ids = [entry.event_id for _, entry, _ in entries if entry]
        expected, held = self._state.expected(ids), self._state.proofs.held_hashes(ids)
        for proof, entry, unread in entries:
            wrong = fault if logged is None else _not_included(proof, logged)
            if entry is None:
                if not wrong:
                    raise Unreadable(f"entry {proof.index + 1}: {unread}")
                proven.evidence.append(
                    _accuse("", f"entry {proof.index + 1}: {wrong}", said, proof)
                )
                continue
            wanted = expected.get(entry.event_id)
            ours = held.get(entry.event_id, set()) if wanted is None else {wanted}
            wrong = wrong or self._not_ours(entry, proof, ours)
            if wrong:
                if ours or entry.member != self._member:
                    proven.evidence.append(_accuse(entry.event_id, wrong, said, proof))
            elif logged is not None and wanted is not None:
                proven.receipts.append(
                    Held(
                        entry.event_id, proof.index, entry.outcome, wanted, leaf_hash(proof.entry), proof.entry,
                        proof.path, logged.checkpoint.size, note,
                    )
                )  # fmt: skip
        return proven

    def _not_ours(self, entry: Entry, proof: Receipt, ours: set[bytes]) -> str:
        """What the entry, which is in the log, says that it should not; empty when all is well."""
        if entry.member != self._member:
            return f"the entry is about an event of {entry.member}"
        if entry.seq != proof.index + 1:
            return f"the entry with seq {entry.seq} stands at index {proof.index}"
        if entry.event_hash != event_hash(entry.event):
            return f"entry {entry.seq} gives its event another hash than it has"
        if ours and event_hash(entry.event) not in ours:
            return f"the ledger shows other bytes for event {entry.event_id} than we signed"
        return ""

    def _other_root(self, logged: Logged, note: bytes) -> list[Evidence]:
        """A cosigned checkpoint that is not the one we ourselves stand by at its size: the hub keeps two logs."""
        found = logged.checkpoint
        known = self._state.proofs.known_at(found.origin, found.size)
        if known is None or known.root == found.root:
            return []
        said = f"{found.origin} signed two roots for size {found.size}"
        return [equivocation(said, known.note, note, found.root)]


def equivocation(
    said: str, first: bytes, second: bytes, root: bytes, proof: Sequence[bytes] = ()
) -> Evidence:
    """Two signed checkpoints that cannot both be of one log: `root` is what the second has at the size of the first.

    The payload is the file that `alliance verify equivocation` makes, for anybody who has the log's key.
    """
    shown = {
        "format": "alliance-equivocation/1",
        "first": first.decode(),
        "second": second.decode(),
        "root_at_size_of_first": root.hex(),
        "consistency_proof_to_second": [one.hex() for one in proof],
    }
    payload = json.dumps(shown, indent=1, ensure_ascii=False).encode()
    reason = f"{said}: the hub keeps two logs; show both checkpoints to the other members, cosign nothing more"
    return Evidence("equivocation", "", reason, said, payload)


@lru_cache(maxsize=_CHECKPOINTS_KEPT)
def _verified(note: bytes, policy: Policy) -> Logged:
    """The connectors of a process share this: what one has verified holds for all of the same policy."""
    return verify_checkpoint(note, policy)


def _opened(note: bytes, policy: Policy) -> tuple[Logged | None, str]:
    """The checkpoint, or why it is not believed."""
    try:
        return _verified(note, policy), ""
    except Forged as error:
        return None, str(error)


def _entry(proof: Receipt) -> tuple[Entry | None, str]:
    """The entry, or why it cannot be read."""
    try:
        record = decode(proof.entry)
    except Unreadable as error:
        return None, str(error)
    return (record, "") if isinstance(record, Entry) else (None, f"{record.EVENT} is no entry")


def _not_included(proof: Receipt, logged: Logged) -> str:
    found = logged.checkpoint
    try:
        verify_inclusion(proof.index, found.size, leaf_hash(proof.entry), proof.path, found.root)
    except Forged as error:
        return str(error)
    return ""


def _accuse(event_id: str, wrong: str, said: Receipts, proof: Receipt) -> Evidence:
    """The receipt alone, under its checkpoint, so that anybody can look at it."""
    payload = encode(Receipts(said.checkpoint, (proof,)))
    about = f"receipt of event {event_id}" if event_id else "a receipt"
    return Evidence("receipt", event_id, f"{about}: {wrong}; {_NEXT}", f"{about}: {wrong}", payload)
