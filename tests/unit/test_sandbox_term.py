"""A whole term of twenty campuses over the real ledger rules, joined in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.offices.directory import PHASES, RESOURCES
from connectors.sandbox.report import applied_twice
from connectors.sandbox.seeds import themes, titles
from hub.flow.personal import suspected
from schemas.catalogue import catalogue
from schemas.codec import decode, to_json
from tests.support.campuses import Campuses, differences, facts

STUDENTS = 180


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """A term that has ended."""
    found = Campuses(tmp_path_factory.mktemp("term"), students=STUDENTS, shuffle=1)
    found.term()
    yield found
    found.close()


def test_every_campus_holds_what_the_ledger_holds_when_all_is_quiet(alliance: Campuses) -> None:
    """The point of the whole: refusals, corrections and mistakes included, twenty books agree with the one."""
    assert differences(alliance) == []


def test_no_event_has_its_effect_twice_although_batches_come_twice(alliance: Campuses) -> None:
    """The harness loses one answer in ten; the journal, written by triggers, counts real effects."""
    assert alliance.answers["duplicate"] > 100
    assert [applied_twice(campus.desk) for campus in alliance.open.values()] == [0] * 20


def test_no_campus_puts_a_message_aside(alliance: Campuses) -> None:
    """In the ledger's order everything fits."""
    assert alliance.rejected == []


def test_all_event_types_and_both_kinds_of_end_occur(alliance: Campuses) -> None:
    """A simulation that never errs would test half."""
    counted = alliance.by_type()
    applied = {event for event, outcome, _ in counted if outcome == "applied"}
    assert applied == {schema.event for schema in catalogue().events()}
    refused = {(event, reason) for event, outcome, reason in counted if outcome == "rejected"}
    assert refused >= {
        ("enrollment.status-changed", "ILLEGAL_TRANSITION"),
        ("enrollment.decided", "STALE_VERSION"),
        ("credit.recognition-requested", "DUPLICATE_CREDIT"),
        ("credit.awarded", "NOT_WRITER"),
        ("offering.changed", "QUOTA_EXCEEDED"),
    }
    states = {enrollment.state for enrollment in alliance.state.things["enrollment"].values()}
    assert states == {"finished", "withdrawn", "cancelled", "denied"}


def test_mistakes_end_rejected(alliance: Campuses) -> None:
    """What the last phase sent is refused, all of it, and changed nothing anywhere."""
    campus = alliance.open["10611"]
    made = campus.store.count("SELECT changes FROM phase WHERE name = 'mistakes'")
    outcomes = campus.store.all("SELECT outcome FROM change ORDER BY number DESC LIMIT ?", made)
    assert made >= 3
    assert {row["outcome"] for row in outcomes} == {"rejected"}


def test_events_carry_no_personal_data(alliance: Campuses) -> None:
    """Names and student numbers stay in the campus's tables; the log is for ever."""
    for code, campus in alliance.open.items():
        events = [decode(entry.event) for entry in alliance.sent() if entry.member == code]
        sent = "".join(json.dumps(to_json(event), ensure_ascii=False) for event in events)
        private = campus.store.all(
            "SELECT name, number FROM student UNION SELECT name, name FROM staff"
        )
        public = {title.zh for title in titles()} | {theme["zh"] for theme in themes()}
        assert not [
            row["name"]
            for row in private
            if f'"{row["name"]}"' in sent and row["name"] not in public
        ]
        assert not [row["number"] for row in private if f'"{row["number"]}"' in sent]
        assert "urn:alliance:student:" in sent


def test_admission_suspects_nobody_in_a_term(alliance: Campuses) -> None:
    """A scanner that cries wolf is switched off: thousands of honest events, with titles, numbers and hashes, pass."""
    events = [entry.event for entry in alliance.sent()]
    assert len(events) > 2000
    assert [found for event in events if (found := suspected(decode(event), event))] == []


def test_what_home_told_of_visitors_is_gone_everywhere_after_an_erasure(
    alliance: Campuses,
) -> None:
    """Names travel beside the events and are forgotten at the home's word; the books keep their amounts."""
    erased = [entry for entry in alliance.sent() if entry.event_type == "student.erased"]
    assert [entry.outcome for entry in erased] == ["applied"] * 2
    gone = {entry.subject for entry in erased}
    held = alliance.holdings()
    for holdings in held.values():
        assert {row["studentId"] for row in holdings["erased"]} == gone
        assert not gone & {
            row["studentId"] for name in ("visitors", "transcripts") for row in holdings[name]
        }
    assert sum(len(holdings["visitors"]) for holdings in held.values()) > STUDENTS // 2
    assert sum(len(holdings["transcripts"]) for holdings in held.values()) > STUDENTS // 4
    assert gone <= {row["studentId"] for holdings in held.values() for row in holdings["awards"]}


def test_a_rerun_with_one_seed_ends_alike_whatever_the_order_of_delivery(
    alliance: Campuses, tmp_path: Path
) -> None:
    """Other batches, other interleaving, other repeats: the same people end with the same credits."""
    again = Campuses(tmp_path, students=STUDENTS, shuffle=99)
    again.term()
    ended = {code: facts(holdings) for code, holdings in again.holdings().items()}
    again.close()
    assert ended == {code: facts(holdings) for code, holdings in alliance.holdings().items()}


def test_campuses_killed_between_batches_still_agree_with_the_ledger(tmp_path: Path) -> None:
    """Whatever was committed is there after a restart; what was not comes again."""
    alliance = Campuses(tmp_path, students=60, shuffle=3)
    for phase in PHASES:
        for campus in alliance.open.values():
            campus.phase(phase)
        while alliance.fetch() + alliance.deliver():
            alliance.reopen(alliance.random.choice(alliance.codes))
    found = differences(alliance)
    twice = sum(applied_twice(campus.desk) for campus in alliance.open.values())
    alliance.close()
    assert found == []
    assert twice == 0


def test_a_phase_begun_again_makes_no_change(alliance: Campuses) -> None:
    """A driver that was interrupted may begin the term anew."""
    assert [campus.phase(name) for campus in alliance.open.values() for name in PHASES] == [0] * (
        20 * len(PHASES)
    )


def test_versions_of_a_subject_are_gapless(alliance: Campuses) -> None:
    """The ledger parks what comes after a gap; rejected statements use their number up, too."""
    for campus in alliance.open.values():
        rows = campus.store.all("SELECT subject, version FROM change ORDER BY number")
        last: dict[str, int] = {}
        for row in rows:
            assert row["version"] == last.get(row["subject"], 0) + 1
            last[row["subject"]] = row["version"]


def test_each_resource_of_the_feed_is_an_event_of_the_catalogue() -> None:
    """A new event type needs a resource and a mapping here, or a word why not."""
    assert set(RESOURCES.values()) == {schema.event for schema in catalogue().events()}


def test_a_corrected_award_is_decided_on_again_with_the_new_amount(tmp_path: Path) -> None:
    """The correction reaches the ledger after the request and before the decision: STALE_VERSION, then the right sum."""
    alliance = Campuses(tmp_path, students=60, shuffle=5)
    for phase in PHASES:
        if phase == "recognition":
            break
        alliance.run(phase)
    home, host, award_id = _open_case(alliance)
    case = alliance.open[home]
    row = case.store.one("SELECT * FROM recognition WHERE awards LIKE ?", f"%{award_id}%")
    assert row is not None
    alliance.settle()
    decisions = case.store.all(
        "SELECT outcome, reason, step FROM change WHERE subject = ? ORDER BY number", row[0]
    )
    found = differences(alliance)
    alliance.close()
    assert host != home
    assert ("rejected", "STALE_VERSION", "academic_affairs") in [tuple(row) for row in decisions]
    assert decisions[-1]["outcome"] == "applied"
    assert found == []


def _open_case(alliance: Campuses) -> tuple[str, str, str]:
    """Open a case, hold the home's inbox back, and let the host correct the award meanwhile."""
    home = "10610"
    campus = alliance.open[home]
    campus.phase("recognition")
    award = campus.store.one(
        "SELECT a.award_id, a.host FROM recognition r JOIN award a USING (recognition_id) ORDER BY 1 LIMIT 1"
    )
    assert award is not None
    while _faculty_stages(alliance, home) == 0:
        alliance.fetch()
        inbox = alliance.inboxes[home]
        campus.inbox([inbox.popleft() for _ in range(len(inbox))])
    host = alliance.open[award["host"]]
    host.inbox([])
    with host.store.transaction():
        from connectors.sandbox.offices import credit

        row = host.store.one("SELECT * FROM award WHERE award_id = ?", award["award_id"])
        assert row is not None
        mark = credit.rules.mark(row["notation"], 90)
        credit._correct(host.desk, row, mark, row["credit_milli"] + 500, "amended", "clerical")
    page = json.loads(host.store.changes_json(alliance.cursor[award["host"]], 50))
    for item in page["items"]:
        alliance.cursor[award["host"]] = item["changeNumber"]
        alliance._sequence(award["host"], item)
    return home, award["host"], award["award_id"]


def _faculty_stages(alliance: Campuses, home: str) -> int:
    return alliance.open[home].store.count("SELECT count(*) FROM change WHERE step = 'faculty'")
