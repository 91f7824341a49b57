"""An entry in words, in both languages. The one place where API and console ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hub import events
from hub.domain.times import day_of
from schemas.codec import Unreadable, decode
from schemas.envelope import to_millis
from schemas.members import Member
from schemas.records import CaseFlagged, Close, Entry, PeriodClosed, Tick


class Text(NamedTuple):
    """A text in English and Chinese."""

    en: str
    zh: str


def name_of(members: Mapping[str, Member], code: str) -> Text:
    """A member's names; its code for one that is not in `alliance.toml`."""
    member = members.get(code)
    return Text(member.name_en, member.name_zh) if member else Text(code, code)


def _due(entry: Entry) -> Text:
    """By when the next step of the event's thing is due, if the ledger knows; days are those of Shanghai."""
    for change in entry.changes:
        if change.due_at is not None:
            day = day_of(to_millis(change.due_at) - 1)  # a day is over at its end
            en, zh = _DUE.get(change.kind, ("to be done by", "须于{}前处理"))
            return Text(f"; {en} {day}", f"；{zh.format(day)}")
    return Text("", "")


_DUE = {
    "award": ("recognition to be asked for by", "须于{}前申请认定"),
    "recognition": ("decision due by", "须于{}前作出认定"),
    "enrollment": ("decision due by", "须于{}前答复"),
    "access": ("decision due by", "须于{}前答复"),
    "plan": ("decision due by", "须于{}前答复"),
}


def sentence(entry: Entry, members: Mapping[str, Member]) -> Text:
    """What the event of an entry says; bare facts when this hub does not know its type."""
    names = events.Names({code: name_of(members, code) for code in members})
    try:
        event = decode(entry.event)
        if isinstance(event, CaseFlagged):
            return Text(
                f"{event.case_kind} {event.case_id}: {event.message_en}",
                f"{event.case_kind} {event.case_id}：{event.message_zh}",
            )
        if isinstance(event, Tick):
            return Text("The ledger looked at its clock", "账本核对时间")
        if isinstance(event, Close):
            return Text(
                f"Operators asked to close period {event.period}",
                f"运营方要求为期间 {event.period} 结账",
            )
        if isinstance(event, PeriodClosed):
            span = f"{event.first_seq}–{event.last_seq}"
            return Text(
                f"Period {event.period} is closed: entries {span}, {event.accounts} accounts",
                f"期间 {event.period} 已结账：条目 {span}，{event.accounts} 个账户",
            )
        said, due = events.sentence(event, names), _due(entry)
        return Text(said.en + due.en, said.zh + due.zh)
    except (Unreadable, KeyError):
        by = name_of(members, entry.member)
        return Text(
            f"{entry.event_type} by {by.en} about {entry.subject}",
            f"{by.zh}：{entry.event_type}，{entry.subject}",
        )
