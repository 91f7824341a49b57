"""The witness in a connector: it cosigns what it has seen to be one log that only ever grew.

Owns the decision and that it is stored before a cosignature leaves; Kafka and HTTP bring the requests. A witness that has
cosigned a root for a size never cosigns another one for it, and nothing that does not extend what it cosigned: that is all
its signature means. Rules: C2SP tlog-witness at 5ba5ee8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.sdk.state.file import State
from connectors.sdk.trust.proofs import Evidence, Known, Proofs
from connectors.sdk.trust.receipts import equivocation
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.cosignature import CosignatureSigner
from schemas.tlog.errors import BadProof, Forged
from schemas.tlog.merkle import EMPTY_ROOT, verify_consistency
from schemas.tlog.note import Signature, join_note, open_note
from schemas.tlog.policy import Policy
from schemas.tlog.wire import HASH_BYTES
from schemas.tlog.witness import (
    SIZE_CONTENT_TYPE,
    AddCheckpoint,
    Status,
    conflict_body,
    cosigned_body,
)

COSIGNED_AT_ONCE = (
    16  # of a backlog only the newest are cosigned; the older ones are verified and taken in
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no cosignature. `size` is the one we stand by; `evidence` when an honest log does not ask for this."""

    status: Status
    size: int
    reason: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A cosigner with its key, and the policy that says which key signs for which log. Pure."""

    signer: CosignatureSigner
    policy: Policy

    def step(
        self, known: Known, at_size: Known | None, asked: AddCheckpoint, now_s: int
    ) -> tuple[Known, Signature | Refusal]:
        """What we stand by after the request, and the cosignature of its checkpoint or why there is none.

        `known` is what we stand by, `at_size` what we stood by at just the size asked for, if we remember. Whoever calls
        this stores the first before it lets go of the second. `now_s` is in seconds since 1970.
        """
        found = asked.checkpoint
        refusal = self._unsigned(known, found, asked.note) or _other_root(found, at_size, asked)
        if refusal is not None:
            return known, refusal
        if asked.old_size != known.size:
            said = (
                f"checkpoint of size {found.size} comes with a proof from size {asked.old_size}, "
                f"and we stand by size {known.size}"
            )
            return known, Refusal(
                Status.CONFLICT, known.size, f"{said}; a proof from there is wanted"
            )
        refusal = _inconsistent(known, found, asked)
        if refusal is not None:
            return known, refusal
        if found.size > known.size or not known.note:
            known = Known(found.size, found.root, asked.note)
        return known, self.signer.cosign(found.text(), now_s)

    def _unsigned(self, known: Known, found: Checkpoint, note: bytes) -> Refusal | None:
        keys = self.policy.log_verifiers(found.origin)
        if not keys:
            said = f"{found.origin!r} is no log of the policy; correct trust.policy"
            return Refusal(Status.UNKNOWN_LOG, known.size, said)
        try:
            open_note(note, keys)
        except Forged as error:
            said = f"checkpoint of size {found.size}: {error}; is log.checkpoint_key up to date?"
            return Refusal(Status.UNTRUSTED, known.size, said)
        return None


def _other_root(found: Checkpoint, at_size: Known | None, asked: AddCheckpoint) -> Refusal | None:
    """Whether the log has signed another root for this size before, or a root of nothing that is none."""
    if at_size is not None and at_size.root != found.root:
        said = f"{found.origin} signed two roots for size {found.size}"
        shown = equivocation(said, at_size.note, asked.note, found.root)
        return Refusal(Status.INCONSISTENT, at_size.size, shown.reason, shown)
    if found.size == 0 and found.root != EMPTY_ROOT:
        said = f"checkpoint of size 0 has root {found.root.hex()}, wanted {EMPTY_ROOT.hex()}"
        return Refusal(Status.INCONSISTENT, 0, said)
    return None


def _inconsistent(known: Known, found: Checkpoint, asked: AddCheckpoint) -> Refusal | None:
    try:
        verify_consistency(known.size, found.size, known.root, found.root, asked.proof)
    except Forged as error:
        said = f"{found.origin}: checkpoint of size {found.size} does not extend the one of size {known.size}"
        root = _root_it_extends(known.size, found, asked)
        if root is not None:
            shown = equivocation(said, known.note, asked.note, root, asked.proof)
            return Refusal(Status.INCONSISTENT, known.size, shown.reason, shown)
        reason = (
            f"{said}: {error}; nothing is cosigned, tell the other members and the hub's operators"
        )
        payload = known.note + b"\n" + asked.to_bytes()
        shown = Evidence("inconsistent", "", reason, said, payload)
        return Refusal(Status.INCONSISTENT, known.size, reason, shown)
    return None


def _root_it_extends(size: int, found: Checkpoint, asked: AddCheckpoint) -> bytes | None:
    """The root of that size which the checkpoint does extend, by its own proof; None when the proof is of nothing."""
    try:
        verify_consistency(size, found.size, bytes(HASH_BYTES), found.root, asked.proof)
    except BadProof as error:
        if len(error.found) != 2 * HASH_BYTES:
            return None
        root = bytes.fromhex(error.found)
    else:
        return None
    try:
        verify_consistency(size, found.size, root, found.root, asked.proof)
    except BadProof:
        return None
    return root


class Cosigner:
    """A witness with its memory. Each answer is stored before it is given."""

    def __init__(self, witness: Witness, state: State, now_ms: Callable[[], int]) -> None:
        self._witness = witness
        self._state = state
        self._now_ms = now_ms

    def answer(self, asked: AddCheckpoint) -> Signature | Refusal:
        """The answer to one request; when it is here, the state file has it."""
        origin, size, now_ms = asked.checkpoint.origin, asked.checkpoint.size, self._now_ms()

        def decide(proofs: Proofs) -> Signature | Refusal:
            known = proofs.known(origin)
            after, said = self._witness.step(
                known, proofs.known_at(origin, size), asked, now_ms // 1000
            )
            if after != known:
                proofs.stand_by(origin, after)
            if isinstance(said, Refusal) and said.evidence is not None:
                proofs.accuse([said.evidence], now_ms)
            return said

        return self._state.witness(decide)

    def hear(self, published: Sequence[bytes]) -> tuple[list[bytes], str]:
        """Requests as the hub published them, in their order: notes to publish, and why the newest got none.

        What is smaller than what we stand by had its turn: it is passed over. What we stand by itself is cosigned again,
        since nobody knows whether its cosignature left before we were stopped.
        """
        notes: list[bytes] = []
        fault = ""
        for body in published:
            try:
                asked = AddCheckpoint.parse(body)
            except Forged as error:
                fault = f"a checkpoint that cannot be read: {error}; tell the hub's operators"
                continue
            size = asked.checkpoint.size
            said = self.answer(asked)
            if isinstance(said, Refusal) and said.status is Status.CONFLICT and said.size == size:
                said = self.answer(AddCheckpoint(size, (), asked.note))
            if isinstance(said, Signature):
                notes.append(join_note(asked.checkpoint.text(), (said,)))
                fault = ""
            elif not (said.status is Status.CONFLICT and size < said.size):
                fault = said.reason
        return notes[-COSIGNED_AT_ONCE:], fault

    def post(self, body: bytes) -> tuple[int, bytes, str]:
        """The call add-checkpoint over HTTP: status, body, and content type of the answer."""
        plain = "text/plain; charset=utf-8"
        try:
            asked = AddCheckpoint.parse(body)
        except Forged as error:
            return Status.MALFORMED, f"{error}\n".encode(), plain
        said = self.answer(asked)
        if isinstance(said, Signature):
            return Status.COSIGNED, cosigned_body((said,)), plain
        if said.status is Status.CONFLICT:
            return said.status, conflict_body(said.size), SIZE_CONTENT_TYPE
        return said.status, f"{said.reason}\n".encode(), plain
