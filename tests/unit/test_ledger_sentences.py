"""Every event as a sentence for people, in English and Chinese."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from hub.api.sentences import sentence as in_words
from hub.events import Names, sentence, title
from schemas import records as r
from schemas.catalogue import catalogue, example
from schemas.codec import from_json
from tests.support.flow import ALLIANCE
from tests.support.ledger import HOME, HOST, Ledger, credit

NAMES = Names({code: (m.name_en, m.name_zh) for code, m in ALLIANCE.members.items()})
NOBODY = Names({})


@pytest.mark.parametrize("schema", catalogue().events(), ids=lambda schema: schema.event)
def test_every_event_has_a_sentence_with_the_names_of_its_members(schema: Any) -> None:
    """The console shows it; people know universities by name, not by code."""
    event: Any = from_json(schema.event, example(schema))
    said = sentence(event, NAMES)
    signer = event.envelope.member
    assert NAMES.en(signer) in said.en or f"University {signer}" in said.en
    assert NAMES.zh(signer) in said.zh
    code = rf"(?<![\w-]){signer}(?![\w-])"  # inside an id it may stand
    assert not re.search(code, said.en.replace(f"University {signer}", ""))
    assert said.en[0].isupper()


@pytest.mark.parametrize("schema", catalogue().events(), ids=lambda schema: schema.event)
def test_an_unknown_member_stands_for_itself(schema: Any) -> None:
    """A member that left still has its past."""
    event: Any = from_json(schema.event, example(schema))
    said = sentence(event, NOBODY)
    assert event.envelope.member in said.en
    assert event.envelope.member in said.zh


@pytest.mark.parametrize(
    ("event", "fields", "english", "chinese"),
    [
        ("credit.awarded", {"credits": credit("2.5")}, "awarded 2.5 credits", "2.5学分"),
        ("credit.awarded", {"result": "failed"}, "failed result", "未通过"),
        ("credit.award-corrected", {"kind": "revoked"}, "revoked an award", "撤销"),
        ("credit.award-corrected", {"kind": "amended"}, "corrected an award", "更正"),
        ("credit.recognition-decided", {"stage": "faculty"}, "(faculty stage)", "学院初审"),
        ("credit.recognition-requested", {"award_ids": ("a",)}, "for 1 award of", "1项"),
        ("credit.recognition-requested", {"award_ids": ("a", "b")}, "for 2 awards of", "2项"),
        ("enrollment.decided", {"decision": "accepted"}, "accepted a student", "接收"),
        ("enrollment.decided", {"decision": "denied"}, "denied a student", "未接收"),
        ("enrollment.status-changed", {"new_status": "withdrawn"}, "withdrawn", "退选"),
        ("project.member-changed", {"action": "left"}, "left project", "退出"),
    ],
)
def test_what_matters_is_in_the_sentence(
    event: str, fields: dict[str, Any], english: str, chinese: str
) -> None:
    """The step, the amount, the stage."""
    record = Ledger().record(event, **fields)
    said = sentence(record, NAMES)
    assert english in said.en
    assert chinese in said.zh


def test_words_of_later_versions_are_shown_as_they_are() -> None:
    """Enums are strings; a reader older than the writer must not fail on a new one."""
    record = Ledger().record("enrollment.decided", home=HOME, host=HOST, decision="x-deferred")
    said = sentence(record, NAMES)
    assert "x-deferred" in said.en
    assert "x-deferred" in said.zh


def test_a_title_is_in_the_wanted_language_or_the_first_there_is() -> None:
    """Half of the courses have a Chinese title only."""
    both = (r.LangText("zh", "高等数学"), r.LangText("en", "Calculus"))
    assert (title(both, "en"), title(both, "zh")) == ("Calculus", "高等数学")
    assert title(both[:1], "en") == "高等数学"
    assert title((), "en") == ""


def test_the_ledger_adds_by_when_the_next_step_is_due() -> None:
    """The event does not know; the entry does. A deadline at the end of a day is that day's."""
    ledger = Ledger()
    ledger.offer()
    entry = ledger.applied(ledger.request("e1", valid_until=date(2027, 2, 14)))
    said = in_words(entry, ALLIANCE.members)
    assert said.en.endswith("; decision due by 2027-02-14")
    assert said.zh.endswith("；须于2027-02-14前答复")
    decided = ledger.applied(ledger.decide("e1", "accepted"))
    assert "due" not in in_words(decided, ALLIANCE.members).en


def test_flags_and_ticks_are_said_in_words() -> None:
    """They are entries without a member; the console shows them among the others."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.rule("r1", "3")
    ledger.correct("w1", "2")
    assert "recognition r1" in in_words(ledger.last[1], ALLIANCE.members).en
    ledger.tick()
    assert "clock" in in_words(ledger.last[0], ALLIANCE.members).en
