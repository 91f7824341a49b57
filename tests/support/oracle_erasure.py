"""Erased students: whose they were, and every data key that their home ever said it destroyed.

A home may say it again, when it finds a key that it forgot; nothing that it said before is taken back.
"""

from __future__ import annotations

from typing import Any

from tests.support.oracle_books import Books, Done, need


def erased(books: Books, event: Any) -> Done:
    need(event.erased_at <= event.backups_clear_at, "CONTENT_INVALID")
    *urn, _ = event.student_id.split(":", 4)
    need(urn == ["urn", "alliance", "student", event.home], "CONTENT_INVALID")
    known = books.get("erased", event.student_id)
    before = known["keys"] if known else frozenset()
    books.put("erased", event.student_id, home=event.home, keys=before | set(event.key_ids))
    return Done(frozenset(books.members))
