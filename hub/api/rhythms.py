"""How each member used to speak, learned from the read model every few minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hub.store.queries import Reader, StoreUnavailable
from hub.watch.silence import Rhythm, rhythm
from schemas.records import MemberActivity

LEARN_S = 600.0


class Rhythms:
    """The rhythms of all members, kept between two lessons."""

    def __init__(self, reader: Reader, members: Sequence[str]) -> None:
        self._reader, self._members = reader, members
        self._learned: dict[str, Rhythm] = {}
        self._at: datetime | None = None

    def at(self, now: datetime, activity: Mapping[str, MemberActivity]) -> Mapping[str, Rhythm]:
        """By member code, those that are known. Their last events are the newest that `activity` tells of. Blocks."""
        if self._at is None or (now - self._at).total_seconds() >= LEARN_S:
            try:
                found = {code: rhythm(self._reader.event_times(code)) for code in self._members}
            except StoreUnavailable:
                return {}
            self._at = now
            self._learned = {code: one for code, one in found.items() if one is not None}
        return {
            code: replace(one, last_at=max(one.last_at, activity[code].last_at))
            if code in activity
            else one
            for code, one in self._learned.items()
        }
