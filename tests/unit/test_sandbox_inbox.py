"""One campus and its inbox: every item once, all or nothing, and the ledger has the last word."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox import seeds
from connectors.sandbox.campus import Campus, UnknownPhase
from connectors.sandbox.folders import seed_campus
from connectors.sandbox.report import applied_twice
from schemas.catalogue import catalogue, example
from tests.support.campuses import ALLIANCE, Ticks, numbered_ids

HOST, HOME = "10611", "10614"


class Desk:
    """A campus with ways to tell it things, as the connector would."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "campus.db"
        self.now = Ticks()
        self.ids = numbered_ids(HOST)
        seed_campus(self.path, seeds.site(7, ALLIANCE.members[HOST]), list(ALLIANCE.members), 7, 20)
        self.campus = Campus(self.path, self.now, self.ids)
        self.seq = 0

    def reopen(self) -> None:
        self.campus.close()
        self.campus = Campus(self.path, self.now, self.ids)

    def changes(self, after: int = 0) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.campus.store.changes_json(after, 500))[
            "items"
        ]
        return items

    def event(self, event: str, event_id: str, **fields: Any) -> dict[str, Any]:
        record = example(catalogue().newest[event]) | fields
        self.seq += 1
        return {
            "kind": "event",
            "event": event,
            "eventId": event_id,
            "ledgerSeq": self.seq,
            "record": record,
        }

    def flag(self, event_id: str, flag: str, case_id: str, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        record = {"flag": flag, "case_kind": "enrollment", "case_id": case_id, "state": "pending"}
        return {
            "kind": "flag",
            "event": "hub.case-flagged",
            "eventId": event_id,
            "ledgerSeq": self.seq,
            "record": record | fields,
        }

    def outcome(
        self, change: dict[str, Any], outcome: str, reason: str | None = None
    ) -> dict[str, Any]:
        self.seq += 1
        return {
            "kind": "outcome",
            "event": "",
            "eventId": change["eventId"],
            "ledgerSeq": None if outcome == "refused" else self.seq,
            "outcome": outcome,
            "reason": reason,
        }

    def take(self, *items: dict[str, Any]) -> list[str]:
        return [answer.status for answer in self.campus.inbox(items)]

    def offering(self, capacity: int = 5) -> str:
        """An own offering that the ledger knows."""
        row = self.campus.store.one("SELECT body FROM offering ORDER BY 1 LIMIT 1")
        assert row is not None
        body = json.loads(row["body"]) | {"maxNumberStudents": capacity, "abbreviation": "T"}
        self.campus.put_offering(body)
        assert self.take(self.outcome(self.changes()[-1], "applied")) == ["applied"]
        return str(body["offeringId"])

    def body(self, offering_id: str) -> dict[str, Any]:
        rows = self.campus.store.all("SELECT body FROM offering WHERE offering_id = ?", offering_id)
        body: dict[str, Any] = json.loads(rows[0]["body"])
        return body

    def request(self, number: int, offering_id: str) -> dict[str, Any]:
        return self.event(
            "enrollment.requested",
            f"request-{number}",
            enrollment_id=f"enrollment-{number}",
            student_id=f"urn:alliance:student:{HOME}:{number}",
            home=HOME,
            host=HOST,
            offering_id=offering_id,
        )

    def states(self) -> dict[str, str]:
        rows = self.campus.holdings()["enrollments"]
        return {row["enrollmentId"]: row["state"] for row in rows}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.campus.close()


def test_an_item_delivered_again_changes_nothing(desk: Desk) -> None:
    """The connector repeats what it is not sure of; the answer then is `duplicate`."""
    request = desk.request(1, desk.offering())
    assert desk.take(request, request) == ["applied", "duplicate"]
    desk.reopen()
    assert desk.take(request) == ["duplicate"]
    assert desk.campus.holdings()["applied"] == 1
    assert applied_twice(desk.campus.desk) == 0


def test_an_effect_that_happens_twice_is_seen(desk: Desk) -> None:
    """`appliedTwice` measures effects: forget the inbox, and the journal still tells."""
    offer = desk.event("offering.changed", "o-1", host=HOME)
    desk.take(offer)
    desk.campus.store.db.execute("DELETE FROM inbox")
    assert desk.take(offer) == ["applied"]
    assert desk.campus.holdings()["appliedTwice"] == 1


def test_an_item_that_does_not_fit_leaves_no_trace_and_the_rest_goes_on(desk: Desk) -> None:
    """One bad message must not stop a batch, nor be remembered as done."""
    offering_id = desk.offering()
    lost = desk.event(
        "enrollment.status-changed", "s-1", enrollment_id="unknown", new_status="started"
    )
    torn = desk.request(2, offering_id)
    del torn["record"]["student_id"]
    fine = desk.request(3, offering_id)
    assert desk.take(lost, torn, fine) == ["rejected", "rejected", "applied"]
    assert desk.take(lost) == ["rejected"]
    assert desk.states() == {"enrollment-3": "pending"}


def test_a_step_the_ledger_applied_but_that_is_impossible_here_is_put_aside_with_the_reason(
    desk: Desk,
) -> None:
    """An earlier message is missing; guessing would make two truths."""
    desk.take(desk.request(1, desk.offering()))
    early = desk.event(
        "enrollment.decided", "d-1", enrollment_id="enrollment-1", host=HOST, decision="accepted"
    )
    late = desk.event(
        "enrollment.status-changed", "s-1", enrollment_id="enrollment-1", new_status="finished"
    )
    answer = desk.campus.inbox([late])[0]
    assert answer.status == "rejected"
    assert "is pending here, the ledger applied finished" in answer.message
    assert desk.take(early) == ["applied"]


def test_an_outcome_of_a_change_that_is_not_ours_is_put_aside(desk: Desk) -> None:
    """Two systems behind one member must not answer for each other."""
    assert desk.take(desk.outcome({"eventId": "nobody's"}, "applied")) == ["rejected"]


def test_an_event_type_without_a_use_here_is_taken_and_let_be(desk: Desk) -> None:
    """A new event type in the alliance must not stop a campus that has no office for it."""
    item = desk.event("member.profile-changed", "x-1") | {"event": "archive.lent"}
    assert desk.take(item) == ["applied"]


def test_a_request_that_expired_is_over_and_is_not_answered_any_more(desk: Desk) -> None:
    """Only the ledger's clock ends it; the office's answer, under way meanwhile, is refused and not repeated."""
    desk.campus.phase("decisions")
    desk.take(desk.request(1, desk.offering()))
    answer = desk.changes()[-1]
    expired = desk.flag("f-1", "expired", "enrollment-1", state="expired")
    assert desk.take(expired, expired) == ["applied", "duplicate"]
    assert desk.states() == {"enrollment-1": "expired"}
    desk.take(desk.outcome(answer, "rejected", "ILLEGAL_TRANSITION"))
    assert desk.changes()[-1] == answer
    assert desk.campus.status()["open"] == desk.campus.status()["work"] == 0
    assert applied_twice(desk.campus.desk) == 0


def test_a_flag_for_people_changes_no_state_and_does_not_count_as_received(desk: Desk) -> None:
    """The term's driver compares events sent with events received; flags are sent by nobody."""
    desk.take(desk.request(1, desk.offering()))
    before = desk.campus.status()["received"]
    near = desk.flag("f-1", "deadline_near", "enrollment-1")
    strange = desk.flag("f-2", "hours_disputed", "d-1", case_kind="delivery")
    assert desk.take(near, strange) == ["applied", "applied"]
    assert desk.states() == {"enrollment-1": "pending"}
    assert desk.campus.status()["received"] == before
    assert desk.campus.holdings()["applied"] == 1


def test_an_item_of_a_kind_unknown_here_is_put_aside(desk: Desk) -> None:
    """Taken and let be it would be lost; put aside it waits for the next version."""
    item = desk.request(1, desk.offering()) | {"kind": "greeting"}
    answer = desk.campus.inbox([item])[0]
    assert answer.status == "rejected"
    assert "kind 'greeting'" in answer.message
    assert desk.states() == {}


def _recognition_open(desk: Desk) -> tuple[str, dict[str, Any]]:
    """A case of an own student that the ledger knows, and the faculty's decision on its way."""
    award = desk.event("credit.awarded", "a-1", home=HOST, host=HOME, student_id="s", result="passed")  # fmt: skip
    desk.take(award)
    desk.campus.phase("recognition")
    request = desk.changes()[-1]
    desk.take(desk.outcome(request, "applied"))
    return str(request["data"]["recognitionId"]), desk.changes()[-1]


def test_a_recognition_case_that_expired_gives_its_awards_free(desk: Desk) -> None:
    """The student may ask again; the stage under way is refused and not repeated."""
    case, faculty = _recognition_open(desk)
    assert faculty["resource"] == "recognition-decision"
    flag = desk.flag("f-1", "expired", case, case_kind="recognition", state="expired")
    assert desk.take(flag) == ["applied"]
    desk.take(desk.outcome(faculty, "rejected", "ILLEGAL_TRANSITION"))
    assert desk.changes()[-1] == faculty
    assert [row["state"] for row in desk.campus.holdings()["recognitions"]] == ["expired"]
    held = desk.campus.store.all("SELECT recognition_id FROM award")
    assert [row[0] for row in held] == [None]
    assert desk.campus.status()["work"] == 0


def test_an_award_that_expired_is_not_asked_for(desk: Desk) -> None:
    """Home's own rules set the time; afterwards the ledger refuses the case."""
    desk.take(desk.event("credit.awarded", "a-1", award_id="w", home=HOST, host=HOME, result="passed"))  # fmt: skip
    desk.take(desk.flag("f-1", "expired", "w", case_kind="award", state="expired"))
    assert [row["state"] for row in desk.campus.holdings()["awards"]] == ["expired"]
    assert desk.campus.phase("recognition") == 0


def test_deadlines_are_counted_from_the_day_in_shanghai(desk: Desk) -> None:
    """The ledger refuses what is over by its clock; a simulated term is led through on any day of the year."""
    desk.now.at = datetime(2027, 12, 24, 16, 30, tzinfo=UTC)
    desk.take(desk.event("offering.changed", "o-1", host=HOME, status="active"))
    desk.campus.phase("requests")
    assert {change["data"]["expiryDate"] for change in desk.changes()} == {"2028-01-08"}
    _recognition_open(desk)
    asked = next(c["data"] for c in desk.changes() if c["resource"] == "recognition-request")
    assert (asked["requestDate"], asked["dueDate"]) == ("2027-12-25", "2028-01-22")


def test_a_decision_is_no_state_before_the_ledger_has_spoken(desk: Desk) -> None:
    """Holdings are compared with the ledger; what is only published is a wish."""
    desk.take(desk.request(1, desk.offering(capacity=5)))
    desk.campus.phase("decisions")
    decision = desk.changes()[-1]
    assert decision["resource"] == "enrollment-decision"
    assert decision["decidesVersion"] == 1
    assert desk.states() == {"enrollment-1": "pending"}
    desk.take(desk.outcome(decision, "applied"))
    assert desk.states() == {
        "enrollment-1": decision["data"]["state"]
    }  # the API's names are the ledger's


def test_an_acceptance_refused_for_want_of_seats_is_followed_by_a_denial(desk: Desk) -> None:
    """QUOTA_EXCEEDED: the request is open again, and the office says no with the next version."""
    desk.campus.phase("decisions")  # from now on requests are answered as they come
    desk.take(desk.request(1, desk.offering(capacity=5)))
    accepted = desk.changes()[-1]
    assert accepted["data"]["state"] == "associated"
    desk.take(desk.outcome(accepted, "rejected", "QUOTA_EXCEEDED"))
    denied = desk.changes()[-1]
    assert (denied["data"]["state"], denied["version"]) == ("denied", 2)
    assert desk.states() == {"enrollment-1": "pending"}
    desk.take(desk.outcome(denied, "applied"))
    assert desk.states() == {"enrollment-1": "denied"}
    assert desk.campus.status()["open"] == desk.campus.status()["work"] == 0


def test_a_stale_decision_is_left_alone(desk: Desk) -> None:
    """The home withdrew meanwhile; its event is on the way and says what is."""
    desk.campus.phase("decisions")
    desk.take(desk.request(1, desk.offering()))
    before = len(desk.changes())
    desk.take(desk.outcome(desk.changes()[-1], "rejected", "STALE_VERSION"))
    withdrawn = desk.event(
        "enrollment.status-changed", "w-1", enrollment_id="enrollment-1", new_status="withdrawn"
    )
    desk.take(withdrawn)
    assert desk.states() == {"enrollment-1": "cancelled"}
    assert len(desk.changes()) == before


def test_seats_are_promised_once_while_outcomes_are_on_their_way(desk: Desk) -> None:
    """Two requests for the last seat in one batch: one is accepted, one denied."""
    desk.campus.phase("decisions")
    offering_id = desk.offering(capacity=1)
    before = len(desk.changes())
    desk.take(desk.request(1, offering_id), desk.request(2, offering_id))
    states = [change["data"]["state"] for change in desk.changes()[before:]]
    assert states == ["associated", "denied"]


def test_a_parked_event_waits_and_later_counts(desk: Desk) -> None:
    """`parked` is no end; the final outcome comes under the same event id."""
    desk.offering()
    desk.campus.phase("profiles")
    profile = desk.changes()[-1]
    desk.take(desk.outcome(profile, "parked", "UNKNOWN_REFERENCE"))
    assert desk.campus.status()["open"] == 1
    assert desk.campus.status()["oldestOpen"]["outcome"] == "parked"
    desk.take(desk.outcome(profile, "applied"))
    assert desk.campus.status()["open"] == 0


def test_a_late_duplicate_outcome_does_not_undo_the_first(desk: Desk) -> None:
    """The connector sent an event again; the ledger calls the second copy a duplicate."""
    desk.campus.phase("profiles")
    profile = desk.changes()[-1]
    assert desk.take(desk.outcome(profile, "applied"), desk.outcome(profile, "duplicate")) == [
        "applied",
        "applied",
    ]
    assert desk.campus.holdings()["sent"][0]["outcome"] == "applied"


def test_a_refused_statement_uses_no_version_up(desk: Desk) -> None:
    """It never reached the ledger: the next one must carry its number, or all later ones park for ever."""
    offering_id = desk.offering()
    body = desk.body(offering_id)
    desk.campus.put_offering(body | {"maxNumberStudents": 9})
    second = desk.changes()[-1]
    desk.take(desk.outcome(second, "refused", "SIGNATURE_INVALID"))
    desk.campus.put_offering(body | {"maxNumberStudents": 8})
    assert desk.changes()[-1]["version"] == second["version"] == 2


def test_a_refused_change_of_an_offering_is_taken_back(desk: Desk) -> None:
    """What people see at the campus is what the alliance holds."""
    offering_id = desk.offering(capacity=5)
    body = desk.body(offering_id)
    desk.campus.put_offering(body | {"maxNumberStudents": 1})
    desk.take(desk.outcome(desk.changes()[-1], "rejected", "QUOTA_EXCEEDED"))
    row = desk.campus.store.one(
        "SELECT body, capacity FROM offering WHERE offering_id = ?", offering_id
    )
    assert row is not None
    assert (json.loads(row["body"])["maxNumberStudents"], row["capacity"]) == (5, 5)


def test_a_batch_that_breaks_off_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill before the commit is as if the batch had never come; afterwards it comes again."""
    request = desk.request(1, desk.offering())

    def killed(item: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(desk.campus, "_apply", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.take(request)
    desk.reopen()
    assert desk.states() == {}
    assert desk.take(request) == ["applied"]


def test_change_numbers_grow_and_are_never_used_again(desk: Desk) -> None:
    """The connector's cursor rests on it."""
    desk.campus.phase("offerings")
    numbers = [change["changeNumber"] for change in desk.changes()]
    desk.campus.store.db.execute("DELETE FROM change WHERE number = ?", (numbers[-1],))
    desk.campus.phase("profiles")
    assert numbers == sorted(set(numbers))
    assert desk.changes()[-1]["changeNumber"] > numbers[-1]


def test_an_unknown_phase_names_the_known_ones(desk: Desk) -> None:
    """A typing error must not look like an empty phase."""
    with pytest.raises(UnknownPhase, match="the term has profiles, "):
        desk.campus.phase("holiday")


def test_the_database_refuses_a_second_writer_inside_a_transaction(desk: Desk) -> None:
    """One campus, one process: a second one must not interleave with a half-written batch."""
    other = sqlite3.connect(desk.path, timeout=0, isolation_level=None)
    with desk.campus.store.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
