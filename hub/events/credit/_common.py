"""What the credit rules share: reserving the credits of an award until the home decides."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.credit import Award
from hub.domain.quantities import credit_unit
from hub.ledger.posting import claim_account, issued_account, pend
from schemas.records import Posting


def reserve(award: Award) -> tuple[Award, tuple[Posting, ...]]:
    """The award under its next revision, and the pending amount of that revision; none if it was not passed."""
    revision = award.revision + 1
    if not award.passed:
        return replace(award, pending_id=None, revision=revision), ()
    pending_id = f"award/{award.award_id}/{revision}"
    posting = pend(
        pending_id,
        award.milli,
        credit_unit(award.scheme),
        issued_account(award.host, award.home),
        claim_account(award.home, award.host),
    )
    return replace(award, pending_id=pending_id, revision=revision), (posting,)
