"""The examples beside the schemas, put before the real rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from schemas.catalogue import catalogue, example
from schemas.codec import from_json
from tests.support.ledger import Ledger, event_id

# There is one example of each type, and some types tell of several steps. Between the examples, the two universities
# also say this: who says it, and what differs from the example it follows.
FURTHER: dict[str, list[tuple[str, dict[str, str]]]] = {
    "teaching.appointment-changed": [
        ("10610", {"step": "approved"}),  # the side that did not propose
        ("10611", {"step": "started"}),  # hours can be reported from here on
    ],
    "enrollment.plan-decided": [
        ("10610", {"side": "home"}),  # with the host's approval, the plan is agreed
    ],
}


def _story() -> Iterator[tuple[str, Any]]:
    """Each example in the order it occurred, followed by the further steps of its type; named for the messages."""
    examples: list[Any] = [
        from_json(schema.event, example(schema)) for schema in catalogue().events()
    ]
    versions: Counter[tuple[str, str, str]] = Counter()
    ids = count(1)
    for record in sorted(examples, key=lambda record: record.envelope.occurred_at):
        domain, subject = record.EVENT.partition(".")[0], record.envelope.subject
        versions[domain, subject, record.envelope.member] += 1
        yield record.EVENT, record
        for member, changes in FURTHER.get(record.EVENT, ()):
            versions[domain, subject, member] += 1
            envelope = replace(
                record.envelope,
                event_id=event_id(next(ids)),
                source=f"urn:alliance:member:{member}:campus",
                member=member,
                aggregate_version=versions[domain, subject, member],
                decides_version=None,
                causation_id=record.envelope.event_id,
            )
            name = " ".join((record.EVENT, *changes.values()))
            yield name, replace(record, envelope=envelope, **changes)


def test_the_ledger_accepts_the_story_of_the_examples() -> None:
    """People copy examples into their first connector: each must be an event that the alliance would apply."""
    ledger = Ledger()
    outcomes = {name: ledger.say(record) for name, record in _story()}
    assert set(outcomes) > {schema.event for schema in catalogue().events()}
    assert {
        name: (entry.outcome, entry.detail) for name, entry in outcomes.items()
    } == dict.fromkeys(outcomes, ("applied", ""))
    assert outcomes["credit.award-corrected"].flags == ("award_corrected_after_decision",)
