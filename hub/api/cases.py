"""Open cases as the API shows them: their fields, how late they are, and a sentence in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hub.api.sentences import Text, name_of
from hub.api.troubles import duration
from hub.domain.flags import MESSAGES, FlagName
from hub.events import machines
from hub.store.queries import Turns
from schemas.codec import to_json
from schemas.envelope import rfc3339
from schemas.members import Member
from schemas.records import OpenCase

Json = dict[str, Any]


def case_json(case: OpenCase, members: Mapping[str, Member], now: datetime) -> Json:
    """The fields of `hub.open-case`, its age and whether it is overdue, and a sentence."""
    return to_json(case) | {
        "age_s": _age_s(case.since, now),
        "overdue": case.due_at is not None and case.due_at < now,
        "sentence": case_sentence(case, members, now)._asdict(),
    }


def turns_json(turns: Turns, members: Mapping[str, Member], now: datetime) -> Json:
    """What one member has to act on."""
    return {
        "member": turns.member,
        "name": name_of(members, turns.member)._asdict(),
        "open": turns.open,
        "overdue": turns.overdue,
        "flagged": turns.flagged,
        "oldest_since": rfc3339(turns.oldest),
        "oldest_age_s": _age_s(turns.oldest, now),
        "sentence": turns_sentence(turns, members, now)._asdict(),
    }


def case_sentence(case: OpenCase, members: Mapping[str, Member], now: datetime) -> Text:
    """Whose turn it is and for how long, how the deadline stands, and what the flag says."""
    title, due, flag = _title(case.kind), _due(case.due_at, now), _flag(case.flag)
    actors = _names(case.next_actors, members)
    age = duration(_age_s(case.since, now))
    return Text(
        f"{title.en} {case.id}, {case.state}: waits for {actors.en}, {age.en} so far{due.en}.{flag.en}",
        f"{title.zh} {case.id}（{case.state}）：待{actors.zh}处理，已等 {age.zh}{due.zh}。{flag.zh}",
    )


def turns_sentence(turns: Turns, members: Mapping[str, Member], now: datetime) -> Text:
    """How much waits for a member."""
    name, oldest = name_of(members, turns.member), duration(_age_s(turns.oldest, now))
    cases = "1 case" if turns.open == 1 else f"{turns.open} cases"
    return Text(
        f"{name.en} has to act on {cases}, {turns.overdue} overdue; the longest wait is {oldest.en} so far.",
        f"{name.zh}有 {turns.open} 件待办，其中逾期 {turns.overdue} 件，最久的已等 {oldest.zh}。",
    )


def _age_s(since: datetime, now: datetime) -> int:
    """Whole seconds; never below zero, since the ledger's clock may be ahead of ours."""
    return max(0, int((now - since).total_seconds()))


def _title(kind: str) -> Text:
    for machine in machines():
        if machine.kind == kind:
            return Text(machine.title_en, machine.title_zh)
    return Text(kind, kind)


def _names(codes: Sequence[str], members: Mapping[str, Member]) -> Text:
    found = [name_of(members, code) for code in codes]
    return Text(" and ".join(name.en for name in found), "、".join(name.zh for name in found))


def _due(due_at: datetime | None, now: datetime) -> Text:
    if due_at is None:
        return Text("", "")
    left_s = (due_at - now).total_seconds()
    apart = duration(abs(left_s))
    if left_s < 0:
        return Text(f", overdue for {apart.en}", f"，已逾期 {apart.zh}")
    return Text(f", due in {apart.en}", f"，{apart.zh}后到期")


def _flag(name: str | None) -> Text:
    if name is None:
        return Text("", "")
    if name not in set(FlagName):
        return Text(f" Flag: {name}.", f"标记：{name}。")
    en, zh = MESSAGES[FlagName(name)]
    return Text(f" {en}", zh)
