"""Bugs planted in the rules and in the ledger, one line each: the comparison with the oracle must find every one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub.errors import LedgerCorrupt
from hub.events import event_rules
from tests.support.histories_catalogue import THEME_NAMES, drawn
from tests.support.histories_mutants import Bug, plant
from tests.support.histories_twins import told
from tests.support.histories_world import CODES

HISTORIES = 120  # of each theme; the bug that hides longest takes 90
LENGTH = 40
EVENTS = "hub.events"

BUGS = [
    Bug(
        "an agreement is in effect before all approved it", f"{EVENTS}.agreement.changed",
        "if len(approved.approved_by) < len(approved.parties):", "if len(approved.approved_by) < 2:", "secondment",
    ),
    Bug(
        "an approval of other conditions counts", f"{EVENTS}.agreement.changed",
        "if event.conditions_hash != known.conditions_hash:", "if False:", "study",
    ),
    Bug(
        "the last place of a quota is never given", f"{EVENTS}._agreements",
        "if left < count:", "if left <= count:", "secondment",
    ),
    Bug(
        "an agreement covers years it does not name", f"{EVENTS}._agreements",
        "and parties and term:", "and parties:", "teaching",
    ),
    Bug(
        "a seat is given that is not there", f"{EVENTS}.enrollment.decided",
        "if seats_left < 1:", "if seats_left < 0:", "study",
    ),
    Bug(
        "a decision on an old version counts", f"{EVENTS}.enrollment.decided",
        "if event.envelope.decides_version != newest:", "if (event.envelope.decides_version or 0) > newest:", "study",
    ),
    Bug(
        "a seat is not given back", f"{EVENTS}.enrollment.status_changed",
        '"cancelled": "void",', '"cancelled": "",', "study",
    ),
    Bug(
        "a request is taken after its last day", f"{EVENTS}.enrollment.requested",
        "if is_over(valid_until_ms, view.now_ms):", "if False:", "study",
    ),
    Bug(
        "the host does not hear that a request expired", f"{EVENTS}.enrollment.requested",
        "told = frozenset({case.home, case.host})", "told = frozenset({case.home})", "study",
    ),
    Bug(
        "a returned plan cannot be proposed again", f"{EVENTS}.enrollment.plan_proposed",
        ' and plan.state != "returned":', ":", "plan",
    ),
    Bug(
        "a plan is approved that was not read", f"{EVENTS}.enrollment.plan_decided",
        "if event.decides_hash != plan.plan_hash:", "if False:", "plan",
    ),
    Bug(
        "one side approves a plan for both", f"{EVENTS}.enrollment.plan_decided",
        "by_both = approved == set(_SIDES)", "by_both = bool(approved)", "plan",
    ),
    Bug(
        "credits for practice that only goes on", f"{EVENTS}.credit.awarded",
        'if case.state not in ("completed", "graded"):', 'if case.state not in ("ongoing", "completed", "graded"):',
        "practice",
    ),
    Bug(
        "credits count twice after a correction", f"{EVENTS}.credit.award_corrected",
        'voided = (view.book.settle("void", award.pending_id, award.milli),) if award.pending_id else ()',
        "voided = ()", "credit",
    ),
    Bug(
        "an award is in two cases", f"{EVENTS}.credit.recognition_requested",
        'if case and case.state != "negative":', 'if case and case.state == "positive":', "credit",
    ),
    Bug(
        "awards stay in a case that expired", f"{EVENTS}.credit.recognition_requested",
        "freed = tuple(replace(award, case=None) for award in awards if award)", "freed = ()", "credit",
    ),
    Bug(
        "one home course counts twice in a decision", f"{EVENTS}.credit.recognition_decided",
        "if known or codes.count(code) > 1:", "if known:", "credit",
    ),
    Bug(
        "one home course counts in two decisions", f"{EVENTS}.credit.recognition_decided",
        "if known or codes.count(code) > 1:", "if codes.count(code) > 1:", "credit",
    ),
    Bug(
        "the tolerance of one credit is not granted in full", f"{EVENTS}.credit.recognition_decided",
        "if recognized > mapped + TOLERANCE_MILLI:", "if recognized >= mapped + TOLERANCE_MILLI:", "credit",
    ),
    Bug(
        "the cap of an agreement is not kept", f"{EVENTS}.credit.recognition_decided",
        "if capped is None or recognized <= capped[1]:", "if True:", "credit",
    ),
    Bug(
        "more is recorded than the rules allow", f"{EVENTS}.credit._weigh",
        "if item.recorded > ruling.limit_milli:", "if False:", "rules",
    ),
    Bug(
        "rules hold that were replaced before the case was opened", f"{EVENTS}.credit._weigh",
        "if rules is None or mapping.rule_version < oldest:", "if rules is None:", "rules",
    ),
    Bug(
        "a version of rules is left out", f"{EVENTS}._rules",
        "if version.number != newest + 1:", "if version.number <= newest:", "rules",
    ),
    Bug(
        "credits stay pending when an award expired", f"{EVENTS}.credit.awarded",
        "return Applied(void, (over,), told, (flag(FlagName.EXPIRED, over, told=told),))",
        "return Applied((), (over,), told, (flag(FlagName.EXPIRED, over, told=told),))", "rules",
    ),
    Bug(
        "a placement takes one place for all its students", f"{EVENTS}.practice.placement_changed",
        "return take_places(view, _use(case), len(case.students))", "return take_places(view, _use(case), 1)", "practice",
    ),
    Bug(
        "places stay taken when a placement comes to nothing", f"{EVENTS}.practice.placement_changed",
        '_SETTLES = {"started": "post", "terminated": "void"}', '_SETTLES = {"started": "post"}', "practice",
    ),
    Bug(
        "a place stays taken when an appointment is revoked", f"{EVENTS}.teaching.appointment_changed",
        'if event.step in ("declined", "revoked"):', 'if event.step == "declined":', "teaching",
    ),
    Bug(
        "any side approves an appointment", f"{EVENTS}.teaching.appointment_changed",
        "writers = {getattr(known, role) for role in APPOINTMENT.roles(step)}", "writers = {known.home, known.host}",
        "teaching",
    ),
    Bug(
        "the last hour of a stock cannot be reported", f"{EVENTS}.teaching.delivered",
        "if left < delivery.hours_milli:", "if left <= delivery.hours_milli:", "teaching",
    ),
    Bug(
        "what was reported counts, not what was settled", f"{EVENTS}.teaching.delivered",
        'parts = {"post": agreed_milli, "void": delivery.hours_milli - agreed_milli}',
        'parts = {"post": delivery.hours_milli}', "teaching",
    ),
    Bug(
        "more hours are offered than were reported", f"{EVENTS}.teaching.delivered",
        "if milli(event.hours) > changed.hours_milli:", "if False:", "teaching",
    ),
    Bug(
        "the last day of a secondment is not counted", f"{EVENTS}.teaching.secondment_changed",
        "days = (event.to_date - known.from_date).days + 1", "days = (event.to_date - known.from_date).days or 1",
        "secondment",
    ),
    Bug(
        "an extension by no day counts", f"{EVENTS}.teaching.secondment_changed",
        "event.to_date <= known.to_date:", "event.to_date < known.to_date:", "secondment",
    ),
    Bug(
        "a resource changes its capacity under its bookings", f"{EVENTS}.lab.resource_changed",
        "if known and known.capacity != event.capacity:", "if known and known.capacity > event.capacity:", "lab",
    ),
    Bug(
        "the longest booking is refused", f"{EVENTS}.lab.access_requested",
        "length > policy.max_minutes:", "length >= policy.max_minutes:", "lab",
    ),
    Bug(
        "one booking too many at a time", f"{EVENTS}.lab.access_decided",
        "if taken < resource.capacity:", "if taken <= resource.capacity:", "lab",
    ),
    Bug(
        "a slot begins where another ends and counts as a conflict", f"{EVENTS}.lab._slots",
        "and slot.span.overlaps(span)", "and slot.start_ms <= span.end_ms and span.start_ms <= slot.end_ms", "lab",
    ),
    Bug(
        "a slot given up stays in the calendar", f"{EVENTS}.lab._slots",
        "kept = set(_slots(view, resource_id, day)) - old[day]", "kept = set(_slots(view, resource_id, day))", "lab",
    ),
    Bug(
        "minutes of a day are not added up", f"{EVENTS}.lab.access_decided",
        "had + wanted.minutes <= limit:", "wanted.minutes <= limit:", "lab",
    ),
    Bug(
        "minutes that were not used stay reserved", f"{EVENTS}.lab.usage_recorded",
        "if held > used:", "if False:", "lab",
    ),
    Bug(
        "a superseded record counts, too", f"{EVENTS}.lab.usage_recorded",
        "(*_taken_back(old), *_moved(stated)),", "tuple(_moved(stated)),", "lab",
    ),
    Bug(
        "owners change under a contract", f"{EVENTS}.transfer.achievement_changed",
        "known.state not in UNDER_CONTRACT or", "True or", "transfer",
    ),
    Bug(
        "shares need not add up", f"{EVENTS}.transfer.achievement_changed",
        "sum(shares) != _ALL_MILLI", "sum(shares) > _ALL_MILLI", "transfer",
    ),
    Bug(
        "more people are hired than posts there are", f"{EVENTS}.talent.posting_changed",
        "if event.accepted > event.headcount:", "if event.accepted > event.headcount + 1:", "talent",
    ),
    Bug(
        "the last free seat cannot be taken back", f"{EVENTS}.offering.changed",
        "if free + change < 0:", "if free + change < 0 or free + change == 0 != event.capacity:", "study",
    ),
    Bug(
        "any member changes a project", f"{EVENTS}.project.changed",
        "if known and known.lead != event.lead:", "if False:", "transfer",
    ),
    Bug(
        "a person joins a project twice", f"{EVENTS}.project.member_changed",
        'if event.action not in _ACTIONS or (event.action == "joined") == active:',
        'if event.action not in _ACTIONS or (event.action != "joined" and not active):', "transfer",
    ),
    Bug(
        "members do not hear of a profile", f"{EVENTS}.member.profile_changed",
        "changes=(MemberProfile(event.code, event.status, rules_id),), audience=view.members",
        "changes=(MemberProfile(event.code, event.status, rules_id),), audience=frozenset({event.code})", "talent",
    ),
    Bug(
        "an item is in two disputes at a time", f"{EVENTS}.dispute.changed",
        "if frozen is not None and frozen.dispute_id:", "if False:", "dispute",
    ),
    Bug(
        "a case goes on although its award is disputed", f"{EVENTS}.dispute.changed",
        "if case is None or case.LIFE.closed(case.state):", "if True:", "dispute",
    ),
    Bug(
        "a side agrees with itself", f"{EVENTS}.dispute.changed",
        '"agree": {known.counterpart} if known.proposer else', '"agree": {known.claimant} if False else', "dispute",
    ),
    Bug(
        "something else is agreed to than was proposed", f"{EVENTS}.dispute.changed",
        'if event.step == "agree" and known.proposer and resolution != known.resolution:', "if False:", "dispute",
    ),
    Bug(
        "an arbiter's second vote counts beside its first", f"{EVENTS}.dispute.changed",
        "votes = tuple(sorted({**dict(known.votes), event.party: resolution}.items()))",
        "votes = (*known.votes, (event.party, resolution))", "dispute",
    ),
    Bug(
        "time in dispute is not given back", f"{EVENTS}.dispute.changed",
        "return frozen.paused_ms + view.now_ms - since_ms", "return frozen.paused_ms", "dispute",
    ),
    Bug(
        "a revoked key comes back", f"{EVENTS}.member.key_changed",
        'if event.action == "revoke" or known is None:',
        'if event.action == "revoke" or known is None or known.member == event.code:', "keys",
    ),
    Bug(
        "a key is added that its member does not hold", f"{EVENTS}.member.key_changed",
        "if not verify_as(", "if False and not verify_as(", "keys",
    ),
    Bug(
        "a member revokes another's key", f"{EVENTS}.member.key_changed",
        "if known.member != event.code:", "if False:", "keys",
    ),
    Bug(
        "backups with the keys may be gone before the keys", f"{EVENTS}.student.erased",
        "if event.backups_clear_at < event.erased_at:", "if False:", "keys",
    ),
    Bug(
        "no backup, no erasure", f"{EVENTS}.student.erased",
        "if event.backups_clear_at < event.erased_at:", "if event.backups_clear_at <= event.erased_at:", "keys",
    ),
    Bug(
        "a university erases another's student", f"{EVENTS}.student.erased",
        "if not event.student_id.startswith(", "if False and not event.student_id.startswith(", "keys",
    ),
    Bug(
        "a code that begins another's erases its students", f"{EVENTS}.student.erased",
        '{event.home}:"):', '{event.home}"):', "keys",
    ),
    Bug(
        "keys that were named before are forgotten", f"{EVENTS}.student.erased",
        "*(known.key_ids if known else ())", "*()", "keys",
    ),
    Bug(
        "hosts do not hear of an erasure", f"{EVENTS}.student.erased",
        "audience=view.members", "audience=frozenset({event.home})", "keys",
    ),
    Bug(
        "what a revoked key signs counts", "hub.ledger.apply",
        "if unsigned is not None:", "if False:", "keys",
    ),
    Bug(
        "a disputed thing goes on", "hub.ledger.apply",
        "return held or verdict", "return verdict", "dispute",
    ),
    Bug(
        "a version is used twice", "hub.ledger.apply",
        "if envelope.aggregate_version <= last:", "if envelope.aggregate_version < last:", "study",
    ),
    Bug(
        "a refused statement does not use up its version", "hub.ledger.apply",
        "if envelope.aggregate_version == version:", "if envelope.aggregate_version == version and isinstance(verdict, Applied):",
        "study",
    ),
    Bug(
        "what waited longest is decided last", "hub.ledger.apply",
        "self.released.sort(key=lambda parked: parked.seq)", "self.released.sort(key=lambda parked: -parked.seq)", "plan",
    ),
    Bug(
        "a reminder comes for a deadline set within days", "hub.ledger.apply",
        "if due_ms - NEAR_MS > state.now_ms:", "if due_ms > state.now_ms:", "plan",
    ),
    Bug(
        "a deadline that was moved rings at the old time", "hub.ledger.apply",
        "self.state.deadlines.get((alarm.kind, alarm.id)) !=", "(alarm.kind, alarm.id) not in self.state.deadlines and None !=",
        "talent",
    ),
    Bug(
        "parked events are given up at once", "hub.ledger.apply",
        "self._give_up(now_ms - tick.parked_after_s * 1000)", "self._give_up(now_ms)", "study",
    ),
]  # fmt: skip


def seeds(theme: str) -> Iterator[int]:
    """The fixed seeds of histories about a theme."""
    first = THEME_NAMES.index(theme)
    yield from range(first, first + HISTORIES * len(THEME_NAMES), len(THEME_NAMES))


def go_through_all(theme: str) -> None:
    for seed in seeds(theme):
        told(drawn(seed, LENGTH), seed % len(CODES))


@pytest.mark.parametrize("theme", THEME_NAMES)
def test_without_a_bug_the_same_histories_show_nothing(theme: str) -> None:
    """Else a find would prove nothing."""
    go_through_all(theme)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what.replace(" ", "-"))
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: Bug) -> None:
    """By the comparison, or before it: a book that does not add up, a member that does not hear of what it holds."""
    plant(monkeypatch, bug)
    with pytest.raises((AssertionError, LedgerCorrupt)):
        go_through_all(bug.theme)


def test_every_rule_and_the_ledger_itself_have_a_planted_bug() -> None:
    """A rule file without one is not known to be watched."""
    files = {f"{EVENTS}.{event.replace('-', '_')}" for event in event_rules()} | {
        "hub.ledger.apply"
    }
    assert files <= {bug.module for bug in BUGS}
