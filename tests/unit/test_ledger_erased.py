"""The erasure of a student as an entry: who may say it, of whom, and what the ledger keeps of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.domain.keys import ErasedStudent
from schemas import records as r
from tests.support.ledger import HOME, HOST, MEMBERS, Ledger, assert_refused

SID = f"urn:alliance:student:{HOME}:7c1f0b9e4a5d4e0f"
AT = datetime(2030, 9, 1, 2, tzinfo=UTC)


def erase(ledger: Ledger, *key_ids: str, **changed: Any) -> r.Entry:
    """The home says that these keys of the student are destroyed."""
    facts = {
        "student_id": SID,
        "home": HOME,
        "key_ids": key_ids,
        "erased_at": AT,
        "backups_clear_at": AT + timedelta(days=30),
    }
    return ledger.tell("student.erased", **facts | changed)


def test_an_erasure_is_kept_and_every_member_hears_of_it() -> None:
    """Any of them may have a copy to destroy: a host from years ago, too."""
    ledger = Ledger()
    entry = ledger.applied(erase(ledger, "k2", "k1"))
    assert ledger.find(ErasedStudent, SID) == ErasedStudent(SID, HOME, ("k1", "k2"))
    assert {*entry.audience, HOME} == set(MEMBERS)


def test_an_erasure_moves_nothing() -> None:
    """Seats and credits stay as they are: who was there is gone, that somebody was is not."""
    ledger = Ledger()
    ledger.enrolled(student_id=SID)
    before = dict(ledger.state.book.balances)
    entry = ledger.applied(erase(ledger, "k1"))
    assert (entry.postings, entry.changes) == ((), ())
    assert ledger.state.book.balances == before
    ledger.applied(ledger.move("e1", "finished"))


@pytest.mark.parametrize(
    "student_id",
    [
        f"urn:alliance:student:{HOST}:7c1f0b9e4a5d4e0f",
        f"urn:alliance:student:{HOME}1:7c1f0b9e4a5d4e0f",
        f"urn:alliance:person:{HOME}:7c1f0b9e4a5d4e0f",
        f"x-urn:alliance:student:{HOME}:7c1f0b9e4a5d4e0f",
        "7c1f0b9e4a5d4e0f",
        HOME,
    ],
)
def test_a_university_erases_its_own_students_only(student_id: str) -> None:
    """Whoever erases another's student makes other campuses drop what they still need."""
    ledger = Ledger()
    refused = erase(ledger, "k1", student_id=student_id)
    assert_refused(refused, "CONTENT_INVALID", student_id, HOME)
    assert ledger.find(ErasedStudent, student_id) is None


def test_a_code_that_begins_another_erases_none_of_its_students() -> None:
    """`1061` is not `10610`."""
    ledger = Ledger()
    assert_refused(erase(ledger, "k1", home=HOME[:-1], by=HOME), "CONTENT_INVALID")


def test_backups_are_not_clear_before_the_keys_are_gone() -> None:
    """A home that has no backup is through at the same moment; earlier is a slip of the pen."""
    ledger = Ledger()
    early = erase(ledger, "k1", backups_clear_at=AT - timedelta(milliseconds=1))
    assert_refused(early, "CONTENT_INVALID", "backups_clear_at", "erased_at")
    ledger.applied(erase(ledger, "k1", backups_clear_at=AT))


def test_what_a_home_names_later_comes_to_what_it_named_before() -> None:
    """A key that was overlooked is added; what was said once stays said, each key once and in one order."""
    ledger = Ledger()
    ledger.applied(erase(ledger, "k3", "k1"))
    ledger.applied(erase(ledger, "k2", "k1", "k2"))
    ledger.applied(erase(ledger))
    assert ledger.find(ErasedStudent, SID).key_ids == ("k1", "k2", "k3")


def test_a_refused_erasure_adds_no_key() -> None:
    """Else hosts would hear of keys that the home never said to be destroyed."""
    ledger = Ledger()
    ledger.applied(erase(ledger, "k1"))
    erase(ledger, "k9", backups_clear_at=AT - timedelta(days=1))
    assert ledger.find(ErasedStudent, SID).key_ids == ("k1",)


def test_each_student_is_erased_alone() -> None:
    """Another student of the same home keeps what is theirs."""
    ledger = Ledger()
    other = f"urn:alliance:student:{HOME}:ffff"
    ledger.applied(erase(ledger, "k1"))
    assert ledger.find(ErasedStudent, other) is None
    ledger.applied(erase(ledger, "k2", student_id=other))
    assert ledger.find(ErasedStudent, SID).key_ids == ("k1",)
    assert ledger.find(ErasedStudent, other).key_ids == ("k2",)
