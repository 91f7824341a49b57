"""Rules of recognition in the ledger: registering them, and holding final decisions against them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.credit import Award, Earned, Recognition, earned_id
from hub.events import rules
from hub.ledger.replay import Replay
from hub.ledger.state import State
from hub.recognition.language import parse
from hub.recognition.registered import RegisteredRules
from hub.run.what_if import Period, WhatIf
from schemas import records as r
from tests.support.ledger import HOME, HOST, OTHER, T0_MS, Ledger, assert_refused, credit, mapping

T0 = datetime.fromtimestamp(T0_MS / 1000, UTC)
TEXT = """
id = "{id}"
version = {version}
owner = "{owner}"
title = {{ zh = "规则", en = "Rules" }}
scheme = "cn_credit"
[credits]
tolerance = "1"
{cap}
[deadlines]
request_days = 14
decide_days = 28
[[rule]]
when = {{ overlap_percent = "< 67" }}
then = {{ outcome = "partially_positive", credits = "host", category = "elective", reason = "elective_only" }}
[[rule]]
when = {{ already_earned = true }}
then = {{ outcome = "negative", reason = "already_earned" }}
[[rule]]
then = {{ outcome = "positive", credits = "home", reason = "equivalent" }}
"""


def text(version: int = 1, *, name: str = "ours", owner: str = HOME, cap: str = "") -> str:
    return TEXT.format(id=name, version=version, owner=owner, cap=cap)


def profile(ledger: Ledger, rules: str | None, version: int = 1, **said: Any) -> r.Entry:
    facts = {"code": HOME, "rule_set_id": "ours", "rule_set_version": version, "rule_set": rules}
    return ledger.tell("member.profile-changed", **(facts | said))


def facts(home: str | None = None, overlap: int | None = None, **found: Any) -> r.RecognitionFacts:
    amount = None if home is None else Decimal(home).quantize(Decimal("0.001"))
    return r.RecognitionFacts(
        amount,
        overlap,
        found.get("in_plan"),
        found.get("already_earned"),
        found.get("grade_percent"),
    )


def cite(
    awards: list[str], amount: str, version: int = 1, found: r.RecognitionFacts | None = None,
    course: str = "M-1", category: str = "required", name: str = "ours",
) -> r.RecognitionMapping:  # fmt: skip
    base = mapping(awards, amount)
    to = tuple(replace(item, home_course_code=course, category=category) for item in base.to)
    return replace(base, to=to, rule_id=name, rule_version=version, facts=found)


@pytest.fixture
def ledger() -> Ledger:
    """The home registered version 1; a case over one award of 3 credits is open."""
    made = Ledger()
    made.applied(profile(made, text()))
    made.in_case("r1", "3")
    return made


def test_a_rule_set_comes_inside_the_signed_profile(ledger: Ledger) -> None:
    """Nobody but the member can set its rules, and everyone can read them in the log."""
    known = ledger.find(RegisteredRules, "ours")
    assert (known.owner, [v.number for v in known.versions]) == (HOME, [1])
    assert known.version(1).tolerance_milli == 1000
    assert known.version(2) is None


def test_the_same_text_again_changes_nothing_and_the_next_version_has_the_next_number(
    ledger: Ledger,
) -> None:
    """A profile is sent often, its rules stand in it each time."""
    ledger.applied(profile(ledger, text()))
    ledger.applied(profile(ledger, text(2), 2))
    assert [v.number for v in ledger.find(RegisteredRules, "ours").versions] == [1, 2]
    ledger.applied(profile(ledger, None))
    assert [v.number for v in ledger.find(RegisteredRules, "ours").versions] == [1, 2]


@pytest.mark.parametrize("version", [1, 3])
def test_a_registered_version_is_never_replaced_and_none_is_left_out(
    ledger: Ledger, version: int
) -> None:
    """Decisions cite a version; it must mean the same for ever."""
    entry = profile(ledger, text(version, cap='case_cap = "9"'), version)
    assert_refused(entry, "STALE_VERSION", "version 1", "give it version 2")
    assert entry.about_version == 1
    assert entry.about_seq == ledger.state.changed_at["rules", "ours"]


@pytest.mark.parametrize(
    ("rules", "said", "reason"),
    [
        ("id = 1", {}, "CONTENT_INVALID"),
        (text(owner=HOST), {}, "CONTENT_INVALID"),
        (text(name="alliance-default"), {"rule_set_id": "alliance-default"}, "CONTENT_INVALID"),
        (text(), {"rule_set_id": "other"}, "CONTENT_INVALID"),
        (text(), {"rule_set_version": 2}, "CONTENT_INVALID"),
        (text(owner=HOST), {"code": HOST}, "NOT_WRITER"),
    ],
)
def test_unfit_rules_and_those_of_another_are_refused(
    ledger: Ledger, rules: str, said: dict[str, Any], reason: str
) -> None:
    """The profile as a whole is refused then: half a profile helps nobody."""
    assert_refused(profile(ledger, rules, **said), reason)


def test_a_decision_keeps_to_the_rules_it_cites(ledger: Ledger) -> None:
    """Home's course has 3.5 credits: tolerance 1 lets it record them, and no more."""
    over = ledger.rule("r1", "4", mappings=[cite(["w1"], "4", found=facts("3.5", 90))])
    assert_refused(over, "RULES_NOT_MET", "4 credits", "3.5", "clause 3", "ours version 1")
    ledger.applied(ledger.rule("r1", "3.5", mappings=[cite(["w1"], "3.5", found=facts("3.5", 90))]))


def test_what_is_not_known_counts_as_not_found(ledger: Ledger) -> None:
    """Without the home course's credits no more than the host's are recorded."""
    entry = ledger.rule("r1", "3.5", mappings=[cite(["w1"], "3.5")])
    assert_refused(entry, "RULES_NOT_MET", "3.5", "3 are allowed")


def test_electives_only_means_electives_only(ledger: Ledger) -> None:
    """Half of the content: as an elective, not for the required course."""
    found = facts("3", 50)
    entry = ledger.rule("r1", "3", mappings=[cite(["w1"], "3", found=found)])
    assert_refused(entry, "RULES_NOT_MET", "required", "elective")
    ledger.applied(
        ledger.rule("r1", "3", mappings=[cite(["w1"], "3", found=found, category="elective")])
    )


def test_a_negative_decision_is_always_the_homes_to_make(ledger: Ledger) -> None:
    """Rules bound what is recorded; whether is up to the home."""
    ledger.applied(ledger.rule("r1", "0"))


def test_home_credits_in_another_scheme_are_not_what_the_rules_record(ledger: Ledger) -> None:
    """A number of ECTS is no number of the home's credits."""
    item = cite(["w1"], "3", found=facts("3", 90))
    to = tuple(replace(course, credits=credit("3", "ects")) for course in item.to)
    entry = ledger.rule("r1", "3", mappings=[replace(item, to=to)])
    assert_refused(entry, "RULES_NOT_MET", "ects", "cn_credit")


@pytest.mark.parametrize(("name", "version"), [("theirs", 1), ("ours", 2), ("ours", 0)])
def test_a_decision_cites_registered_rules(ledger: Ledger, name: str, version: int) -> None:
    """What nobody registered nobody can check."""
    entry = ledger.rule("r1", "3", mappings=[cite(["w1"], "3", version, facts("3", 90), name=name)])
    assert_refused(entry, "STALE_VERSION", "ours")
    assert entry.about_version == 1


def test_rules_that_were_old_when_the_case_was_opened_do_not_hold_for_it() -> None:
    """New rules may come between request and decision; both hold then, older ones do not."""
    ledger = Ledger()
    ledger.applied(profile(ledger, text()))
    ledger.applied(profile(ledger, text(2), 2))
    ledger.in_case("r1", "3")
    ledger.applied(profile(ledger, text(3), 3))
    old = ledger.rule("r1", "3", mappings=[cite(["w1"], "3", 1, facts("3", 90))])
    assert_refused(old, "STALE_VERSION", "version 1", "2 to 3")
    ledger.applied(ledger.rule("r1", "3", mappings=[cite(["w1"], "3", 2, facts("3", 90))]))


def test_the_cap_of_a_case_counts_all_its_mappings() -> None:
    """Each mapping may be within the rules and the case over the cap."""
    ledger = Ledger()
    ledger.applied(profile(ledger, text(cap='case_cap = "5"')))
    ledger.in_case("r1", "3", "3")
    maps = [
        cite([f"w{number}"], "3", found=facts("3", 90), course=f"M-{number}") for number in (1, 2)
    ]
    assert_refused(ledger.rule("r1", "6", "6", mappings=maps), "RULES_NOT_MET", "6 credits", "5")


def test_a_home_without_rules_of_its_own_has_those_of_the_alliance() -> None:
    """With facts they are weighed; without, the alliance's tolerance is the limit."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    low = [cite(["w1"], "3", found=facts("3", 30), name="whatever")]
    assert_refused(ledger.rule("r1", "3", mappings=low), "RULES_NOT_MET", "alliance-default")
    ledger.applied(ledger.rule("r1", "4", mappings=[cite(["w1"], "4", name="whatever")]))


def test_a_home_course_is_earned_once() -> None:
    """No second recognition: a host course may not be turned into a home course already earned."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "3", mappings=[cite(["w1"], "3", course="M-1")]))
    assert ledger.find(Earned, earned_id(HOME, "student", "M-1")).recognition_id == "r1"
    ledger.awarded("w2")
    ledger.applied(ledger.ask("r2", ["w2"]))
    again = ledger.rule("r2", "3", mappings=[cite(["w2"], "3", course="M-1")])
    assert_refused(again, "DUPLICATE_CREDIT", "M-1", "r1")
    assert again.about_seq == ledger.state.changed_at["recognition", "r1"]
    ledger.applied(ledger.rule("r2", "3", mappings=[cite(["w2"], "3", course="M-2")]))


def test_a_case_without_a_date_is_due_when_the_rules_say() -> None:
    """28 days after the request, by the ledger's clock."""
    ledger = Ledger()
    ledger.applied(profile(ledger, text()))
    ledger.awarded()
    ledger.tick(T0 + timedelta(days=1))
    entry = ledger.applied(ledger.ask("r1", ["w1"], due_by=None))
    change = next(change for change in entry.changes if change.kind == "recognition")
    assert change.due_at == T0 + timedelta(days=29)
    flags = ledger.tick(T0 + timedelta(days=29, hours=1))
    assert [(flag.subject, flag.flags) for flag in flags] == [
        ("r1", ("deadline_near",)),
        ("r1", ("expired",)),
    ]
    assert ledger.find(Recognition, "r1").state == "expired"
    assert ledger.find(Award, "w1").case is None
    assert ledger.claim() == (3000, 0)


def test_an_award_that_nobody_asks_for_expires_when_the_homes_rules_say() -> None:
    """14 days after the award what was pending is voided; home and host are told."""
    ledger = Ledger()
    ledger.applied(profile(ledger, text()))
    ledger.enrolled("e1", student_id="student")
    ledger.tick(T0 + timedelta(days=1))
    ledger.applied(ledger.award("w1", "e1"))
    assert ledger.claim() == (3000, 0)
    *_, expired = ledger.tick(T0 + timedelta(days=16))
    assert (expired.flags, expired.audience) == (("expired",), (HOME, HOST))
    assert [posting.action for posting in expired.postings] == ["void"]
    assert ledger.claim() == (0, 0)
    assert_refused(ledger.ask("r1", ["w1"]), "DEADLINE_PASSED", "w1")
    assert_refused(ledger.correct("w1", "4"), "ILLEGAL_TRANSITION", "expired")


def test_a_request_that_is_late_already_is_refused() -> None:
    """The ledger's clock decides, not the campus's."""
    ledger = Ledger()
    ledger.awarded()
    yesterday = (T0 - timedelta(days=1)).date()
    ledger.tick(T0)
    assert_refused(ledger.ask("r1", ["w1"], due_by=yesterday), "DEADLINE_PASSED", str(yesterday))
    ledger.applied(ledger.ask("r2", ["w1"], due_by=date(2030, 1, 1)))


def test_rules_of_another_member_do_not_hold(ledger: Ledger) -> None:
    """A home could pick the most generous rules of the alliance."""
    theirs = {"code": OTHER, "rule_set_id": "theirs"}
    ledger.applied(profile(ledger, text(name="theirs", owner=OTHER), **theirs))
    entry = ledger.rule(
        "r1", "3", mappings=[cite(["w1"], "3", found=facts("3", 90), name="theirs")]
    )
    assert_refused(entry, "STALE_VERSION", "theirs", "ours")


def test_an_agreement_brings_rules_of_its_own() -> None:
    """They hold for awards under it once all parties have approved; the agreement owns them."""
    ledger = Ledger()
    generous = text(name="joint", owner="a1").replace("< 67", "< 10")
    base = ledger.record("agreement.changed", agreement_id="a1", party=HOME, parties=(HOME, HOST))
    conditions = replace(
        base.conditions, kind="student_studies", first_year="2026-2027", last_year="2027-2028", quotas=(), rule_set=generous
    )  # fmt: skip
    said = {"agreement_id": "a1", "parties": (HOME, HOST), "conditions": conditions}
    ledger = Ledger()
    ledger.applied(profile(ledger, text()))
    ledger.applied(ledger.tell("agreement.changed", party=HOME, step="proposed", **said))
    assert ledger.find(RegisteredRules, "joint") is None
    ledger.applied(ledger.tell("agreement.changed", party=HOST, step="approved", **said))
    assert ledger.find(RegisteredRules, "joint").owner == "a1"
    ledger.enrolled("e1", student_id="student", agreement_id="a1")
    ledger.applied(ledger.award("w1", "e1"))
    ledger.enrolled("e2", student_id="student")
    ledger.applied(ledger.award("w2", "e2"))
    for case, award in (("r1", "w1"), ("r2", "w2")):
        ledger.applied(ledger.ask(case, [award]))
    maps = {w: [cite([w], "3", found=facts("3", 50), name="joint", course=w)] for w in ("w1", "w2")}
    ledger.applied(ledger.rule("r1", "3", mappings=maps["w1"]))
    assert_refused(ledger.rule("r2", "3", mappings=maps["w2"]), "STALE_VERSION", "joint", "ours")


def test_an_agreement_with_unfit_rules_is_not_proposed() -> None:
    """Found at the proposal, not after the last approval."""
    ledger = Ledger()
    base = ledger.record("agreement.changed")
    broken = replace(base.conditions, rule_set="id = ")
    entry = ledger.tell("agreement.changed", conditions=broken, version=1)
    assert_refused(entry, "CONTENT_INVALID", "unfit")


def test_what_if_tells_which_decisions_other_rules_change() -> None:
    """A university tries its draft on the past year before it adopts it; the past stays as it was decided."""
    ledger = Ledger()
    ledger.applied(profile(ledger, text()))
    for number, (home, overlap) in enumerate([("3.5", 90), ("3", 90), ("3", 70)], 1):
        case, award = f"r{number}", f"w{number}"
        ledger.awarded(award)
        ledger.applied(ledger.ask(case, [award]))
        found = cite([award], home, found=facts(home, overlap), course=award)
        ledger.applied(ledger.rule(case, home, mappings=[found]))
    strict = text(2).replace('tolerance = "1"', 'tolerance = "0"').replace("< 67", "< 80")
    state = State(ledger.state.members)
    what_if = WhatIf(parse(strict), HOME, Period(), state)
    replay = Replay(rules(), state)
    for written in ledger.entries:
        entry = replay.feed(written.value)
        assert entry is not None
        what_if.see(entry)
    said = what_if.as_json()
    assert (said["decisions"], said["changed"], said["by_change"]) == (
        3,
        2,
        {"category": 1, "less": 1},
    )
    assert (said["recorded"], said["recorded_at_most"]) == ("9.5", "9")
    assert [change["recognition_id"] for change in said["changes"]] == ["r1", "r3"]
    assert said["changes"][0]["then"]["rules"] == "ours version 1"


def test_what_if_looks_at_one_member_and_period() -> None:
    """Other universities have other rules; a period has a first and a last day."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "3"))
    day = T0.date()
    for member, period, count in (
        (HOME, Period(day, day), 1),
        (HOME, Period(until=day - timedelta(days=1)), 0),
        (HOME, Period(since=day + timedelta(days=2)), 0),
        (OTHER, Period(), 0),
    ):
        state = State(ledger.state.members)
        what_if = WhatIf(parse(text()), member, period, state)
        replay = Replay(rules(), state)
        for written in ledger.entries:
            what_if.see(replay.feed(written.value) or written.entry)
        assert len(what_if.compared) == count
