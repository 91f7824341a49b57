"""Statements of account by example: one pair through two periods, its forms, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.errors import LedgerCorrupt, SettingsError
from hub.events import rules
from hub.ledger.apply import apply
from hub.ledger.journal import journal
from hub.ledger.state import State
from hub.ledger.statement import StatementFold, age_days, nets, statement, statements, time_text
from hub.ledger.statement_check import check_statement, mirror_problems, succession_problems
from hub.ledger.statement_text import page, plain_text
from schemas.codec import decode, encode
from schemas.envelope import from_millis
from schemas.records import Change, DisputeChanged, Entry, PeriodClosed
from tests.support.ledger import CREDIT_UNIT, HOME, HOST, MEMBERS, Ledger
from tests.support.statement_histories import DAY_MS, close, folded, pair_in_two_periods


def of(ledger: Ledger, period: str, member: str = HOME, other: str | None = HOST) -> dict[str, Any]:
    content = folded(ledger).period(period)
    assert content is not None
    return statement(content, member, other, origin="log")


def credits_of(values: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in values["units"] if one["unit"] == CREDIT_UNIT)


def test_a_statement_tells_the_story_of_a_pair() -> None:
    """What was reserved stays open until the home decides; the next period begins where this one ended."""
    ledger = pair_in_two_periods()
    autumn, running = of(ledger, "autumn"), of(ledger, "open")
    assert credits_of(autumn)["moved"] == {"pend": {"in": "5000"}}
    assert credits_of(autumn)["closing"] == {
        "posted": "0", "posted_decimal": "0.000", "pending": "5000", "pending_decimal": "5.000",
    }  # fmt: skip
    assert credits_of(running)["opening"] == credits_of(autumn)["closing"]
    assert credits_of(running)["moved"] == {"post": {"in": "2000"}, "void": {"in": "1000"}}
    assert credits_of(running)["closing"] == {
        "posted": "2000", "posted_decimal": "2.000", "pending": "2000", "pending_decimal": "2.000",
    }  # fmt: skip
    opened = [item for item in running["open_items"] if item["unit"] == CREDIT_UNIT]
    assert [(item["pending_id"], item["open"], item["age_days"]) for item in opened] == [
        ("award/w2/1", "2000", 10)
    ]
    assert (autumn["period"]["first_seq"], running["period"]["first_seq"]) == (
        1,
        autumn["period"]["last_seq"] + 1,
    )
    for values in (autumn, running):
        assert check_statement(values) == []
    assert succession_problems(autumn, running) == []


def test_the_other_side_sees_the_negative() -> None:
    """What the home has of the host is what the host gave the home."""
    ledger = pair_in_two_periods()
    mine, theirs = of(ledger, "open"), of(ledger, "open", HOST, HOME)
    assert credits_of(theirs)["closing"]["posted"] == "-2000"
    assert credits_of(theirs)["moved"] == {"post": {"out": "2000"}, "void": {"out": "1000"}}
    assert mirror_problems(mine, theirs) == []
    assert mirror_problems(mine, mine) != []
    theirs["entries"][0]["seq"] += 1
    assert mirror_problems(mine, theirs) != []


def test_a_member_alone_has_a_statement_too() -> None:
    """Capacity of its own offerings and credits of its own students concern nobody else."""
    ledger = pair_in_two_periods()
    own = of(ledger, "open", HOME, None)
    assert {one["role"] for one in own["accounts"]} == {"conversion", "student"}
    assert {one["direction"] for one in own["entries"]} == {"own"}
    assert credits_of(own)["closing"] is None
    assert check_statement(own) == []
    content = folded(ledger).running()
    assert [values["other"] for values in statements(content, HOST)] == [None, HOME]


def test_what_is_of_a_day_before_the_period_is_marked() -> None:
    """A closed period never changes: the late event stands in the open one, with its own day."""
    ledger = Ledger()
    ledger.enrolled("e1")
    close(ledger, "autumn")
    record = ledger.record(
        "credit.awarded", award_id="w1", enrollment_id="e1", student_id="student-of-e1", home=HOME, host=HOST
    )  # fmt: skip
    days = [datetime(2020, 1, 1, tzinfo=UTC), from_millis(ledger.at_ms + 5000)]
    for at, day in enumerate(days):
        envelope = replace(record.envelope, event_id=f"id-{at}", subject=f"w{at}", occurred_at=day)
        said = replace(record, award_id=f"w{at}", envelope=replace(envelope, aggregate_version=1))
        ledger.say(said)
    entries = of(ledger, "open")["entries"]
    found = [one["prior_period"] for one in entries if one["event_type"] == "credit.awarded"]
    assert found[:1] == [True]
    assert "*" in plain_text(of(ledger, "open"))
    before = of(ledger, "autumn")
    assert not any(one["prior_period"] for one in before["entries"])
    assert before["period"]["began_at"] is None


def test_one_unit_alone_is_a_statement() -> None:
    """Each unit adds up by itself."""
    ledger = pair_in_two_periods()
    content = folded(ledger).running()
    values = statement(content, HOME, HOST, unit=CREDIT_UNIT)
    assert {one["unit"] for one in values["accounts"]} == {CREDIT_UNIT}
    assert check_statement(values) == []


def test_who_moved_nothing_gets_an_empty_statement() -> None:
    """Nothing is an answer, too."""
    values = of(pair_in_two_periods(), "autumn", HOME, MEMBERS[3])
    assert (values["entries"], values["accounts"], values["units"]) == ([], [], [])
    assert check_statement(values) == []
    assert "none 无" in plain_text(values)


def test_a_period_that_is_not_there_is_none() -> None:
    """The caller says what to do."""
    assert folded(pair_in_two_periods()).period("spring") is None


# What the fold refuses


def test_entries_out_of_order_make_no_statement() -> None:
    """A statement with a hole would close on another root."""
    ledger = pair_in_two_periods()
    fold = StatementFold()
    fold.see(ledger.entries[0].entry)
    with pytest.raises(LedgerCorrupt, match="entry 3 follows 1"):
        fold.see(ledger.entries[2].entry)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"balances_root": bytes(32)}, "the postings make it"),
        ({"accounts": 1}, "the postings make it"),
        ({"first_seq": 2}, "periods follow each other"),
        ({"last_seq": 3}, "periods follow each other"),
    ],
)
def test_a_close_that_is_not_what_was_posted_is_corrupt(lie: dict[str, Any], said: str) -> None:
    """Every reader recomputes the root that all later proofs hang on."""
    entries = [written.entry for written in pair_in_two_periods().entries]
    closing = next(entry for entry in entries if entry.event_type == PeriodClosed.EVENT)
    fold = StatementFold()
    for entry in entries[: closing.seq - 1]:
        fold.see(entry)
    false = encode(replace(decode(closing.event), **lie))  # type: ignore[type-var]
    with pytest.raises(LedgerCorrupt, match=said):
        fold.see(replace(closing, event=false))


def test_no_member_closes_a_period_by_an_event_of_that_name() -> None:
    """Only the hub's own entry counts; admission lets no such event in, and the fold does not rely on that."""
    fold = StatementFold()
    for written in pair_in_two_periods().entries:
        entry = written.entry
        false = entry.event_type == PeriodClosed.EVENT
        fold.see(replace(entry, member=HOST) if false else entry)
    assert fold.contents == []


def test_a_sum_that_is_not_the_trial_balance_is_named() -> None:
    """The fold's own check can fail: it is held against the book and the postings between two."""
    fold = folded(pair_in_two_periods())
    assert fold.faults() == []
    account = f"claim:{HOME}:{HOST}"
    fold.book.balances[account, CREDIT_UNIT].posted_in += 1
    assert [fault for fault in fold.faults() if account in fault]
    fold = folded(pair_in_two_periods())
    running = fold._pairs[HOME, HOST]
    running.counters[account, CREDIT_UNIT] = running.counters[account, CREDIT_UNIT]._replace(
        posted_in=1
    )
    found = "\n".join(fold.faults())
    assert "off by" in found
    assert "net(" in found


# Disputes


def disputed(step: str, entry: Entry, state: str, *, closed: bool = False, **said: Any) -> Entry:
    """The entry as the ledger would write it for a step of a dispute."""
    envelope = decode(entry.event).envelope  # type: ignore[union-attr]
    values: dict[str, Any] = {
        "about_kind": None, "about_id": None, "respondent": None, "arbiters": (), "ground": None, "resolution": None,
        "statement_hash": None,
    }  # fmt: skip
    event = DisputeChanged(
        envelope=envelope, dispute_id="d1", party="claimant", step=step, **(values | said)
    )
    change = Change("dispute", "d1", state, (HOME,), None, closed)
    return replace(
        entry, event=encode(event), event_type=event.EVENT, member=HOST, postings=(), changes=(change,)
    )  # fmt: skip


def test_disputes_of_a_pair_stand_in_its_statements_until_they_end() -> None:
    """Opened in one period and settled in the next: in both, and in none after that."""
    ledger = Ledger()
    entries = [ledger.offer(f"o{number}", 1) for number in range(4)]
    opening = {"about_kind": "award", "about_id": "w1", "respondent": HOME}
    fold = StatementFold()
    fold.see(disputed("open", entries[0], "open", **opening))
    first = statement(fold.running(), HOME, HOST)
    fold.see(entries[1])
    fold.see(disputed("agree", entries[2], "settled", closed=True))
    second = statement(fold.running(), HOST, HOME)
    assert [(one["about_id"], one["state"], one["ended_seq"]) for one in first["disputes"]] == [
        ("w1", "open", None)
    ]
    assert [(one["state"], one["ended_seq"]) for one in second["disputes"]] == [("settled", 3)]
    assert (second["disputes"][0]["claimant"], second["disputes"][0]["respondent"]) == (HOST, HOME)
    assert statement(fold.running(), HOST, MEMBERS[2])["disputes"] == []
    assert "settled" in plain_text(second)


# Forms


def test_text_and_page_say_the_same_in_two_languages() -> None:
    """An office prints either; each heading and figure is in both."""
    values = of(pair_in_two_periods(), "autumn")
    for form in (plain_text(values), page(values)):
        for said in ("Statement of account", "对账单", "5.000", "award/w2/1", "待认定或已认定学分"):
            assert said in form
    named = plain_text(values, lambda code: (f"University {code}", f"大学{code}"))
    assert f"{HOME} University {HOME} 大学{HOME}" in named


def test_nothing_from_an_event_becomes_markup_or_another_line() -> None:
    """Ids come from campuses; a page that runs what it shows would be theirs."""
    evil = "<script>alert(1)</script>\n\u202e\"'&"
    ledger = Ledger()
    ledger.offer(evil, 3)
    ledger.request("e1", evil)
    ledger.applied(ledger.decide("e1", "accepted"))
    values = of(ledger, "open")
    values["entries"][0]["en"], values["entries"][0]["zh"] = evil, evil
    html, text = (
        page(values, lambda code: (evil, evil)),
        plain_text(values, lambda code: (evil, evil)),
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html + text
    assert "</script>\n" not in text
    assert "src=" not in html
    assert not re.findall(r"https?://", html)


def test_json_has_integers_as_text_and_no_float() -> None:
    """Clients read numbers as floats; a thousandth of a credit must survive them."""

    def no_float(text: str) -> None:
        raise AssertionError(f"a float: {text}")

    text = json.dumps(of(pair_in_two_periods(), "autumn"))
    json.loads(text, parse_float=no_float)
    assert '"amount": "3000", "decimal": "3.000"' in text


def test_a_journal_of_what_does_not_belong_together_is_refused() -> None:
    """Both sides of a pair would count twice, a missing period would leave a hole."""
    ledger = pair_in_two_periods()
    close(ledger, "winter")
    parts = [of(ledger, name) for name in ("autumn", "winter", "open")]
    assert journal(parts).count("balances at the end of") == 3
    for wrong in (
        [parts[0], of(ledger, "autumn", HOST, HOME)],
        [parts[0], parts[0]],
        [parts[0], parts[2]],
        [parts[0], of(ledger, "winter", HOST, HOME)],
        [of(ledger, "autumn", HOST, None), parts[1]],
    ):
        with pytest.raises(SettingsError):
            journal(wrong)


def test_small_things() -> None:
    """Times and ages as people count them."""
    assert time_text(1) == "1970-01-01T00:00:00.001Z"
    assert (age_days(0, DAY_MS - 1), age_days(0, DAY_MS), age_days(5, 0)) == (0, 1, 0)
    assert nets({}, HOME) == {}


def test_a_ledger_with_a_closed_period_replays() -> None:
    """The support of these tests writes what the ledger writes."""
    ledger = pair_in_two_periods()
    again = State(frozenset(MEMBERS))
    assert [w.value for given in ledger.inputs for w in apply(again, given, rules())] == [
        written.value for written in ledger.entries
    ]
