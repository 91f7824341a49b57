"""The ledger and the oracle, told the same, step by step. Whatever they say differently is a mistake of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hub.ledger.audit import Audit
from schemas import records as r
from schemas.codec import decode
from schemas.envelope import from_millis
from tests.support import (
    oracle_agreement,
    oracle_dispute,
    oracle_lab,
    oracle_study,
    oracle_teaching,
)
from tests.support.histories_catalogue import THEMES, Speaker
from tests.support.histories_disputes import key_of
from tests.support.histories_world import CODES, SPANS, Step
from tests.support.ledger import Ledger
from tests.support.ledger_oracle import Oracle, Told
from tests.support.oracle_books import ms_of

WITHOUT_STATE = frozenset(
    {"calendar", "earned", "erased", "frozen", "rules"}
)  # kept to be looked up, without a life


class Differ(AssertionError):
    """The two do not agree."""


class Twins:
    """A ledger and an oracle of the same members. `cast` says who plays which part."""

    def __init__(self, turn: int = 0) -> None:
        self.cast = CODES[turn:] + CODES[:turn]
        self.ledger = Ledger(CODES)
        self.oracle = Oracle(CODES)
        self.speaker = Speaker(self.ledger, self.oracle, self.cast)
        self.audit = Audit()
        self.kept: list[Any] = []
        self._seen = 0

    # What happens

    def take(self, step: Step) -> None:
        """One step, and a look whether both agree on all that came of it."""
        if step.what == "tick":
            self.tick(SPANS[step.choice], (14 if step.which % 4 else 1) * 86_400)
        elif step.what == "late":
            if self.kept:
                self.say(self.kept.pop(step.which % len(self.kept)))
        elif step.what in ("again", "other"):
            self._repeat(step)
        else:
            for _ in range(step.times - 1):
                plain = replace(step, twist="", shift=0, choice=step.choice % 5)
                self.say(self.speaker.record(plain))
            record = self.speaker.record(step)
            if step.keep:
                self.kept.append(record)
            else:
                self.say(record)

    def say(self, record: Any) -> None:
        key = key_of(record)
        if self.ledger.say(record, key).reason == "KEY_REVOKED":
            self.speaker.unsaid(record)
        self._agree(self.oracle.hear(record, self.ledger.at_ms, key), record)

    def tick(self, seconds: int, parked_after_s: int) -> None:
        self.ledger.tick(
            from_millis(self.ledger.at_ms) + timedelta(seconds=seconds), parked_after_s
        )
        self._agree(self.oracle.tick(self.ledger.at_ms, parked_after_s), None)

    def _repeat(self, step: Step) -> None:
        said = list(self.oracle.first.values())
        if not said:
            return
        old = said[-1 - step.which % len(said)]
        if step.what == "other":
            theme = THEMES[step.twist]
            fresh = self.speaker.record(Step(theme[step.choice % len(theme)], step.which % 4))
            old = replace(fresh, envelope=replace(fresh.envelope, event_id=old.envelope.event_id))
        self.say(old)

    # Whether they agree

    def _agree(self, heard: list[Told], record: Any) -> None:
        """(a) what became of everything, why, and who is told."""
        entries = self.ledger.last if record is not None else self.ledger.last[1:]
        lines = [line_of(entry) for entry in entries]
        if lines != heard:
            details = [entry.detail for entry in entries]
            raise Differ(f"\nledger {lines}\noracle {heard}\n{details}\n{record}")

    def check(self) -> None:
        """(b) the audit finds nothing; (c) states and balances are the same."""
        written = self.ledger.entries
        for item in written[self._seen :]:
            self.audit.see(item.entry)
        self._seen = len(written)
        if not written:
            return
        breaches = Audit(breaches=list(self.audit.breaches)).finish(self.ledger.state)
        if breaches:
            raise Differ(f"audit: {breaches}")
        for what, in_ledger, in_oracle in self._differences():
            if in_ledger != in_oracle:
                raise Differ(f"{what}: {in_ledger} in the ledger, {in_oracle} in the oracle")

    def _differences(self) -> Iterator[tuple[str, object, object]]:
        books, state = self.oracle.books, self.ledger.state
        for kind in (books.facts.keys() | state.things.keys()) - WITHOUT_STATE:
            things, facts = state.things.get(kind, {}), books.all(kind)
            yield (
                kind,
                {name: _state(thing) for name, thing in things.items()},
                {name: fact["state"] for name, fact in facts.items()},
            )
        yield (
            "erased",
            {name: (one.home, one.key_ids) for name, one in state.things.get("erased", {}).items()},
            {name: (one["home"], tuple(sorted(one["keys"]))) for name, one in books.all("erased").items()},
        )  # fmt: skip
        yield "booked", self._booked(), self._booked_in_facts()
        yield (
            "stood still",
            {(one.kind, one.thing_id): (bool(one.dispute_id), one.paused_ms) for one in state.things.get("frozen", {}).values()},
            {
                thing: (oracle_dispute.held(books, *thing), oracle_dispute.paused_ms(books, *thing))
                for case in books.all("dispute").values() for thing in case["holds"]
            },
        )  # fmt: skip
        waiting = sorted(parked.event.envelope.event_id for parked in self.oracle.waiting)
        parked = [p.input.event.envelope.event_id for row in state.parked.values() for p in row]
        yield "parked", sorted(parked), waiting
        yield (
            "deadlines",
            {key: getattr(due, "due_ms", due) for key, due in state.deadlines.items()},
            {key: alarm.due_ms for key, alarm in books.alarms.items()},
        )
        yield "versions", state.versions, books.newest
        expected = {key: amount for key, amount in self._expected() if any(amount)}
        yield "balances", self._balances(), expected

    def _booked(self) -> set[tuple[str, str, int, int]]:
        """Who has which resource from when to when, as the ledger's calendars say."""
        return {
            (calendar.resource_id, slot.request_id, slot.start_ms, slot.end_ms)
            for calendar in self.ledger.state.things.get("calendar", {}).values() for slot in calendar.slots
        }  # fmt: skip

    def _booked_in_facts(self) -> set[tuple[str, str, int, int]]:
        books = self.oracle.books
        return {
            (resource, name, ms_of(fact["slot"][0]), ms_of(fact["slot"][1]))
            for resource in books.all("resource") for name, fact in oracle_lab.calendar(books, resource).items()
        }  # fmt: skip

    def _balances(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Of every account that a person would ask about: what is left of a stock, else pending and posted."""
        found = {}
        for (account, unit), balance in self.ledger.state.book.balances.items():
            kind = account.partition(":")[0]
            if kind in STOCKS:
                found[account, unit] = (balance.available, 0)
            elif kind == "claim":
                found[account, unit] = (balance.pending_in, 0)
            elif kind in HOLDINGS:
                found[account, unit] = (balance.pending_in, balance.net)
        return {key: amount for key, amount in found.items() if any(amount)}

    def _expected(self) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
        """The same, counted from facts."""
        books = self.oracle.books
        for name, fact in books.all("offering").items():
            yield (
                (f"seats:{fact['host']}:{name}", "seat"),
                (oracle_study.seats_free(books, name), 0),
            )
        yield from self._places()
        yield from self._hours()
        for lender, borrower in _pairs(books.all("secondment"), "lender", "borrower"):
            days = sum(
                fact["days"] for fact in books.all("secondment").values()
                if (fact["lender"], fact["borrower"]) == (lender, borrower)
            )  # fmt: skip
            yield (f"borrowed:{borrower}:{lender}", "day"), (0, days)
        used = {**books.all("access"), **books.all("usage")}
        for owner, home in _pairs(used, "owner", "home"):
            minutes = (
                oracle_lab.minutes_reserved(books, owner, home),
                oracle_lab.minutes_used(books, owner, home),
            )
            yield (f"usage:{home}:{owner}", "minute"), minutes
            yield (
                (f"owed:{home}:{owner}", "cny"),
                (0, _milli(oracle_lab.owed(books, owner, home, "cny"))),
            )
        for name, fact in books.all("achievement").items():
            for member, amount in fact["income"].items():
                yield (f"income:{member}:{name}", "cny"), (0, _milli(amount))
        for home, student in _pairs(books.all("recognition"), "home", "student"):
            got = sum(
                (case["got"] for case in books.all("recognition").values()
                 if (case["home"], case["student"]) == (home, student)), Decimal(0),
            )  # fmt: skip
            yield (f"student:{home}:{student}", "credit.cn_credit"), (0, _milli(got))
        for home, host in _pairs(books.all("award"), "home", "host"):
            waiting = _milli(self.oracle.credits_waiting(home, host))
            yield (f"claim:{home}:{host}", "credit.cn_credit"), (waiting, 0)

    def _places(self) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
        books = self.oracle.books
        for name, fact in books.all("agreement").items():
            if not fact.get("granted"):
                continue
            conditions = fact["conditions"]
            for quota in conditions.quotas:
                for year in oracle_agreement.years(conditions.first_year, conditions.last_year):
                    left = oracle_agreement.places_left(
                        books, name, quota.sender, quota.receiver, year
                    )
                    yield (
                        (f"quota:{name}:{quota.sender}:{quota.receiver}:{year}", "place"),
                        (left, 0),
                    )

    def _hours(self) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
        books = self.oracle.books
        for name, fact in books.all("appointment").items():
            if fact["stock"] is not None:
                yield (
                    (f"hours:{name}", "hour"),
                    (_milli(oracle_teaching.hours_left(books, name)), 0),
                )
        for home, host in _pairs(books.all("delivery"), "home", "host"):
            open_, posted = Decimal(0), Decimal(0)
            for fact in books.all("delivery").values():
                if (fact["home"], fact["host"]) == (home, host):
                    if fact["state"] in ("confirmed", "settled"):
                        posted += oracle_teaching.hours_taken(fact)
                    else:
                        open_ += oracle_teaching.hours_taken(fact)
            yield (f"lent:{home}:{host}", "hour"), (_milli(open_), _milli(posted))


STOCKS = frozenset({"seats", "quota", "hours"})
HOLDINGS = frozenset({"lent", "borrowed", "usage", "owed", "income", "student"})


def _pairs(facts: dict[str, Any], one: str, other: str) -> set[tuple[str, str]]:
    return {(fact[one], fact[other]) for fact in facts.values()}


def _state(thing: Any) -> str:
    return str(thing.status if hasattr(thing, "status") else thing.state)


def _milli(amount: Decimal) -> int:
    return int(amount * 1000)


def line_of(entry: r.Entry) -> Told:
    if entry.event_type == r.CaseFlagged.EVENT:
        raised: Any = decode(entry.event)
        why = f"{raised.case_kind} {raised.case_id} {raised.state}: {' '.join(raised.next_actors)}"
        return Told(raised.flag, "flagged", why, entry.audience)
    return Told(entry.event_id, entry.outcome, entry.reason, entry.audience)


def told(history: Sequence[Step], turn: int = 0) -> Twins:
    """Twins that went through a history. Raises `Differ` where they do not agree."""
    twins = Twins(turn)
    for step in history:
        twins.take(step)
        twins.check()
    return twins
