"""The examples beside the schemas, put before the real rules."""

from __future__ import annotations

from schemas.catalogue import catalogue, example
from schemas.codec import from_json
from tests.support.ledger import Ledger


def test_the_ledger_accepts_the_story_of_the_examples() -> None:
    """People copy examples into their first connector: each must be an event that the alliance would apply."""
    told = [(schema.event, example(schema)) for schema in catalogue().events()]
    told.sort(key=lambda item: str(item[1]["envelope"]["occurred_at"]))
    ledger = Ledger()
    outcomes = {event: ledger.say(from_json(event, values)) for event, values in told}
    assert {event: (entry.outcome, entry.detail) for event, entry in outcomes.items()} == {
        event: ("applied", "") for event, _ in told
    }
    assert outcomes["credit.award-corrected"].flags == ("award_corrected_after_decision",)
