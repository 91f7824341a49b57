"""Statements of account of random alliances: the chart knows all that moves, statements add up, and lies are found."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.ledger.balances import BalanceTree, balance_lines, balances_root
from hub.ledger.chart import ROLES, classify, odd_postings, unknown_accounts
from hub.ledger.statement import (
    OPEN,
    Counters,
    PeriodContent,
    StatementFold,
    added,
    nets,
    statement,
    statements,
)
from hub.ledger.statement_check import (
    anew_problems,
    check_statement,
    mirror_problems,
    succession_problems,
)
from schemas.codec import decode, encode
from schemas.records import PeriodClosed
from tests.support.ledger import Ledger
from tests.support.statement_histories import (
    LOG,
    POLICY,
    busy,
    folded,
    lived,
    pair_in_two_periods,
    proof_of,
    published,
)

usual = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10_000)


def contents(fold: StatementFold) -> list[PeriodContent]:
    return [*fold.contents, fold.running()]


def read_back(values: dict[str, Any]) -> Any:
    """As a file that somebody got."""
    return json.loads(json.dumps(values))


@usual
@given(seeds)
def test_the_chart_knows_every_account_unit_and_way_of_any_history(seed: int) -> None:
    """A rule with an account of a new kind, or one between the wrong members, cannot come in unseen."""
    ledger = lived(seed)
    assert unknown_accounts(ledger.state.book) == []
    for written in ledger.entries:
        assert odd_postings(written.entry.postings) == []
    accounts = [classify(name) for name, _ in ledger.state.book.balances]
    members = {code for account in accounts if account for code in account.members}
    signers = {written.entry.member for written in ledger.entries}
    assert members <= ledger.state.members | signers  # strangers, whom admission would not let in


def test_the_histories_use_most_of_the_chart() -> None:
    """A property over histories that move little would hold of anything."""
    ledgers = [busy(), *(lived(seed, periods=0) for seed in range(40))]
    used = {name.partition(":")[0] for one in ledgers for name, _ in one.state.book.balances}
    assert used == {role.name for role in ROLES}


@usual
@given(seeds)
def test_all_statements_together_are_the_trial_balance(seed: int) -> None:
    """I14: nothing that moved is in no statement, or in two; summed anew here from what members are handed."""
    ledger = lived(seed)
    fold = folded(ledger)
    assert fold.faults() == []
    for content in contents(fold):
        sums: dict[tuple[str, str], Counters] = {}
        for pair in content.pairs:
            for one in statement(content, pair[0], *pair[1:])["accounts"]:
                closing = Counters(**{name: int(text) for name, text in one["closing"].items()})
                place = (one["account"], one["unit"])
                sums[place] = added(sums.get(place, Counters()), closing)
        assert sums == content.book
    assert dict(fold.running().book) == {
        place: Counters(b.pending_in, b.posted_in, b.pending_out, b.posted_out)
        for place, b in ledger.state.book.balances.items()
    }


@usual
@given(seeds)
def test_a_statement_holds_goes_on_and_mirrors_the_other_sides(seed: int) -> None:
    """I12 and I14 for all twenty: opening(p+1) = closing(p), net(u,v) = -net(v,u), every proof leads to the root."""
    ledger = lived(seed)
    fold = folded(ledger)
    for member in sorted(ledger.state.members):
        before: dict[str | None, Any] = {}
        for content in contents(fold):
            last, before = before, {}
            for values in map(read_back, statements(content, member, origin="log")):
                assert check_statement(values) == []
                other = values["other"]
                if other in last:
                    assert succession_problems(last[other], values) == []
                before[other] = values
                if other:
                    theirs = read_back(statement(content, other, member, origin="log"))
                    assert mirror_problems(values, theirs) == []
                    mine, back = (
                        nets(content.of(member, other).closing, who) for who in (member, other)
                    )
                    assert mine == {unit: (-p, -q) for unit, (p, q) in back.items()}


@usual
@given(seeds)
def test_a_member_that_keeps_only_its_own_makes_the_same_statements(seed: int) -> None:
    """Filters save memory and change nothing; the running period later becomes the closed one."""
    ledger = lived(seed, periods=1)
    member = min(ledger.state.members)
    whole = folded(ledger)
    mine = folded(ledger, lambda name: name == "P1", lambda pair: member in pair)
    for full, own in zip(contents(whole), contents(mine), strict=True):
        assert statements(full, member) == statements(own, member)
    fold = StatementFold()
    closing = next(w for w in ledger.entries if w.entry.event_type == "ledger.close")
    for written in ledger.entries[: closing.entry.seq - 1]:
        fold.see(written.entry)
    running, closed = fold.running(), whole.contents[0]
    assert (running.first_seq, running.last_seq) == (closed.first_seq, closed.last_seq)
    assert {pair: part.closing for pair, part in running.pairs.items()} == {
        pair: part.closing for pair, part in closed.pairs.items()
    }


@usual
@given(seeds)
def test_every_line_of_a_book_has_a_proof_that_leads_to_the_root(seed: int) -> None:
    """The root that periods are closed on is the tree's that proofs are made from."""
    book = lived(seed, periods=0).state.book
    tree = BalanceTree(balance_lines(book))
    assert tree.root() == balances_root(book)
    for place, balance in book.balances.items():
        tree.prove(*place, balance)
        with pytest.raises(KeyError):
            tree.prove(*place, replace(balance, posted_in=balance.posted_in + 1))


# Lies


def test_the_samples_are_good() -> None:
    """What is changed below held before, policy and all, and has something of everything."""
    assert len(samples()) == 11
    for values in samples():
        assert check_statement(values, POLICY) == []
    for name in ("entries", "accounts", "open_before", "open_items"):
        assert any(values[name] for values in samples())
    assert any(entry["prior_period"] for values in samples() for entry in values["entries"])


def test_a_closed_statement_without_proof_of_logging_is_not_enough_for_a_policy() -> None:
    """A root that only the hub's word vouches for is said to be one."""
    values = next(v for v in samples() if v["period"]["name"] != OPEN)
    values = values | {"log_proof": None}
    assert check_statement(values) == []
    assert [problem.kind for problem in check_statement(values, POLICY)] == ["log"]


@cache
def rich() -> tuple[Ledger, StatementFold]:
    ledger = busy()
    return ledger, folded(ledger)


@cache
def sampled() -> list[tuple[PeriodContent, dict[str, Any]]]:
    """Statements of closed periods and of the running one with much in them, of pairs and of members alone."""
    made: list[tuple[PeriodContent, dict[str, Any]]] = []
    for ledger, most in ((busy(), 8), (pair_in_two_periods(), 3)):
        files, found = published(ledger), list[tuple[PeriodContent, dict[str, Any]]]()
        for content in contents(folded(ledger)):
            closed = content.closed_entry
            proof = proof_of(files, closed.seq) if closed else b""
            for pair in content.pairs:
                values = statement(content, *pair[::-1], origin=LOG.name, log_proof=proof)
                found.append((content, read_back(values)))
        made += sorted(found, key=lambda one: -len(one[1]["entries"]))[:most]
    return made


def samples() -> list[dict[str, Any]]:
    return [values for _, values in sampled()]


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to every leaf of the values."""
    if isinstance(values, dict):
        for name, inner in values.items():
            yield from places(inner, (*path, name))
    elif isinstance(values, list):
        for at, inner in enumerate(values):
            yield from places(inner, (*path, at))
    else:
        yield path


# What people read beside what is proven, and no sum, proof or period depends on: whose words an entry was, when, under
# which number. An entry's own proof shows that. The opening is shown by the statement before (`succession_problems`).
SAID_ONLY = frozenset(
    {"event_id", "event_type", "subject", "en", "zh", "ledger_at", "effective_at"}
)
SAID_OF = {
    "entries": {"member", "seq"},
    "open_before": {"seq", "amount", "opened_at"},
    "period": {"began_at"},
}


def is_bound(path: tuple[Any, ...]) -> bool:
    return path[0] != "disputes" and path[-1] not in SAID_ONLY | SAID_OF.get(path[0], set())


def changed(value: Any, how: int) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + (1 if how % 2 else -1 if value else 1)
    if value is None:
        return "1"
    if value.lstrip("-").isdigit():
        return str(int(value) + (1, 1000, -1)[how % 3])
    at = how % len(value) if value else 0
    return value[:at] + ("0" if value[at : at + 1] != "0" else "1") + value[at + 1 :]


@settings(usual, max_examples=600)
@given(st.data())
def test_one_changed_value_anywhere_is_found(data: st.DataObject) -> None:
    """Whatever is summed, proven or bound to the period: no single value of a closed statement can be another."""
    closed = [values for values in samples() if values["period"]["name"] != OPEN]
    values = copy.deepcopy(data.draw(st.sampled_from(closed)))
    path = data.draw(st.sampled_from([path for path in places(values) if is_bound(path)]))
    place = values
    for name in path[:-1]:
        place = place[name]
    before = place[path[-1]]
    place[path[-1]] = changed(before, data.draw(st.integers(0, 50)))
    assert check_statement(values, POLICY) != [], (path, before, place[path[-1]])


@settings(usual, max_examples=200)
@given(st.data())
def test_who_has_the_entries_finds_any_other_change_too(data: st.DataObject) -> None:
    """Numbers, days and what was open before: a statement made anew is the same in all but its words."""
    content, values = data.draw(st.sampled_from(sampled()))
    values = copy.deepcopy(values)
    assert anew_problems(values, content) == []
    words = {"en", "zh", "log_proof", "origin"}
    path = data.draw(st.sampled_from([path for path in places(values) if not words & set(path)]))
    place = values
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = changed(place[path[-1]], data.draw(st.integers(0, 50)))
    assert anew_problems(values, content) != []


@settings(usual, max_examples=200)
@given(st.data())
def test_a_line_left_out_or_said_twice_is_found(data: st.DataObject) -> None:
    """Entries, accounts, open items, units: none can be dropped, doubled or moved elsewhere."""
    values = copy.deepcopy(data.draw(st.sampled_from(samples())))
    lists = [name for name in ("entries", "accounts", "units", "open_items") if values[name]]
    listed = values[data.draw(st.sampled_from(lists))]
    at = data.draw(st.integers(0, len(listed) - 1))
    if data.draw(st.booleans()):
        listed.insert(at, copy.deepcopy(listed[at]))
    else:
        del listed[at]
    assert check_statement(values) != []


@settings(usual, max_examples=300)
@given(st.data())
def test_nonsense_is_a_problem_and_never_an_exception(data: st.DataObject) -> None:
    """A file from outside may hold anything at any place."""
    values: Any = copy.deepcopy(data.draw(st.sampled_from(samples())))
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    )  # fmt: skip
    path = data.draw(st.sampled_from(list(places(values))))
    path = path[: data.draw(st.integers(0, len(path)))]
    if not path:
        values = data.draw(junk)
    else:
        place = values
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = data.draw(junk)
    check_statement(values)
    succession_problems(values, values)
    mirror_problems(values, values)


def lying(ledger: Ledger) -> StatementFold:
    """What a hub would make that tells one member of another amount, and closes its periods on that."""
    fold, lied = StatementFold(), False
    for written in ledger.entries:
        entry = written.entry
        if not lied and [posting.action for posting in entry.postings] == ["move"]:
            more = replace(entry.postings[0], amount=entry.postings[0].amount + 1)
            entry, lied = replace(entry, postings=(more,)), True
        if entry.event_type == PeriodClosed.EVENT:
            root = balances_root(fold.book)
            event = replace(decode(entry.event), balances_root=root)  # type: ignore[type-var]
            entry = replace(entry, event=encode(event))
        fold.see(entry)
    assert lied
    return fold


def test_a_lie_that_adds_up_is_found_by_the_witnessed_root() -> None:
    """Arithmetic alone shows nothing: only what all witnesses saw binds a statement to the one ledger."""
    ledger, fold = rich()
    files, lies, found = published(ledger), lying(ledger), 0
    for honest, false in zip(fold.contents, lies.contents, strict=True):
        assert honest.closed_entry is not None
        proof = proof_of(files, honest.closed_entry.seq)
        for pair in honest.pairs:
            truth, lie = (
                read_back(statement(content, pair[0], *pair[1:], origin=LOG.name, log_proof=proof))
                for content in (honest, false)
            )
            assert check_statement(truth, POLICY) == []
            assert {problem.kind for problem in check_statement(lie)} == {"log"}
            assert check_statement(lie | {"log_proof": None}) == [], "it adds up"
            borrowed = lie | {name: truth[name] for name in ("period", "closed_entry")}
            assert {problem.kind for problem in check_statement(borrowed, POLICY)} == {"proof"}
            found += lie["accounts"] != truth["accounts"]
    assert found
