"""Journals of statements, added up by hledger: an accounting program that shares no line with the hub.

Needs hledger (Debian: `apt-get install hledger`, `.ci/hledger.sh` does it). Without it the tests are skipped, with the
reason; where CI=true they fail.
"""

from __future__ import annotations

import csv
import io
import os
import random
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hub.domain.quantities import HOUR, SEAT
from hub.ledger.journal import account_name, commodity_name, journal
from hub.ledger.posting import (
    capacity_account,
    charged_account,
    income_account,
    move,
    owed_account,
    proceeds_account,
    reverse,
    seats_account,
)
from hub.ledger.statement import StatementFold, statement, statements
from schemas.records import Posting
from tests.support.ledger import Ledger
from tests.support.statement_histories import busy, folded

CHECKS = (
    "--strict",
    "accounts",
    "commodities",
    "assertions",
    "balancednoautoconversion",
    "ordereddates",
)
PLAIN = {"PATH": os.environ["PATH"], "LC_ALL": "C"}  # a journal must not hang on the locale


@pytest.fixture(scope="module")
def hledger() -> str:
    """The program."""
    if os.environ.get("CI") == "true":
        subprocess.run([str(Path(__file__).parents[2] / ".ci" / "hledger.sh")], check=False)
    found = shutil.which("hledger")
    if found is None:
        reason = "no hledger on this machine; run: apt-get install hledger"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def run(hledger: str, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [hledger, "-f", "-", *words], input=text, capture_output=True, text=True, env=PLAIN, check=False, timeout=60
    )  # fmt: skip


def fault(hledger: str, text: str) -> str:
    """What hledger says is wrong; empty when nothing is."""
    done = run(hledger, text, "check", *CHECKS)
    return "" if done.returncode == 0 else done.stderr or "failed without a word"


@cache
def whole() -> tuple[list[dict[str, Any]], str]:
    """Every statement of an alliance of twenty, each pair once: two closed periods and the running one."""
    fold = folded(busy())
    made = [
        statement(content, pair[0], *pair[1:])
        for content in (*fold.contents, fold.running())
        for pair in content.pairs
    ]
    return made, journal(made)


def test_hledger_adds_up_the_whole_ledger_over_two_closed_periods(hledger: str) -> None:
    """Accounts and commodities declared, days in order, every entry balanced, every closing balance asserted."""
    made, text = whole()
    assert text.isascii()
    assert text.count("balances at the end of") == 3
    assert len([one for values in made for one in values["entries"]]) > 80
    assert fault(hledger, text) == ""


def test_hledger_finds_the_same_balances(hledger: str) -> None:
    """Not only no contradiction: its own report has our figures."""
    made, text = whole()
    last = max(values["period"]["last_seq"] for values in made)
    wanted: dict[tuple[str, str], int] = {}
    for values in made:
        for one in values["accounts"] if values["period"]["last_seq"] == last else ():
            held = {name: int(number) for name, number in one["closing"].items()}
            for part in ("posted", "pending"):
                place = (account_name(one["account"], part), commodity_name(one["unit"]).strip('"'))
                net = held[f"{part}_in"] - held[f"{part}_out"]
                wanted[place] = wanted.get(place, 0) + net
    done = run(hledger, text, "balance", "--flat", "--no-total", "--layout=bare", "-O", "csv")
    rows = csv.DictReader(io.StringIO(done.stdout))
    found = {(row["account"], row["commodity"]): row["balance"].replace(".", "") for row in rows}
    assert {place: int(number) for place, number in found.items()} == {
        place: net for place, net in wanted.items() if net
    }


def test_each_member_gets_a_journal_that_holds(hledger: str) -> None:
    """Of one pair, of all pairs of a member, and of one later period alone: the opening stands in it."""
    fold = folded(busy())
    both = [*fold.contents, fold.running()]
    for made in (
        [values for content in both for values in statements(content, "10610")],
        statements(both[1], "10614"),
        [statement(content, "10610", "10614", unit=SEAT) for content in both],
    ):
        assert any(values["entries"] for values in made)
        assert fault(hledger, journal(made)) == ""


AMOUNT = re.compile(r"(?m)^    (\S+)  (-?)([0-9]+)(\.[0-9]{3})? (\"[^\"]+\")$")


def test_a_false_amount_makes_hledger_fail(hledger: str) -> None:
    """Both lines of a posting changed alike still balance; the closing balance says no."""
    _, text = whole()
    entries = [part for part in text.split("\n\n") if AMOUNT.search(part)]
    rng = random.Random(7)
    for entry in rng.sample(entries, 12):
        lie = AMOUNT.sub(lambda m: f"    {m[1]}  {m[2]}{int(m[3]) + 1}{m[4] or ''} {m[5]}", entry)
        assert "assertion" in fault(hledger, text.replace(entry, lie, 1)), entry


@pytest.mark.parametrize(
    ("what", "pattern", "lie"),
    [
        ("one line of an entry", r"(?m)^(    posted:\S+  )([0-9]+)", r"\g<1>1\2"),
        ("a closing balance", r"( = )(-?)([1-9])", r"\1\g<2>1\3"),
        ("an account nobody declared", r"(?m)^account posted:seats\S*\n", ""),
        ("a unit nobody declared", r"(?m)^commodity 1000\. \"SEAT\"\n", ""),
        ("a day before the day before", r"(?m)^(20)([0-9]{2})(-\S+ \* balances)", r"\g<1>09\3"),
        ("an entry left out", r"\n\n20\S+ \* \(\d+\) move offering(?:.|\n)*?(?=\n\n)", ""),
    ],
)  # fmt: skip
def test_hledger_checks_what_we_rely_on(hledger: str, what: str, pattern: str, lie: str) -> None:
    """Each check is one that can fail."""
    _, text = whole()
    changed = re.sub(pattern, lie, text, count=1)
    assert changed != text
    assert fault(hledger, changed), what


def test_odd_names_are_written_so_that_hledger_reads_them(hledger: str) -> None:
    """Ids and units come from campuses: spaces, semicolons, quotes, line feeds, Chinese, nothing at all."""
    odd = [
        "two  spaces",
        "a;b",
        'q"q',
        "line\nfeed",
        "数学",
        "",
        "a::b",
        " (x) ",
        "50%",
        "%32",
        "=1",
        "\ttab",
        "* !",
    ]
    postings: list[Posting] = []
    for name in odd:
        way = (proceeds_account(name), income_account("10610", name))
        postings += [
            move(3000, "cny", *way),
            move(2, SEAT, capacity_account("10610"), seats_account("10610", name)),
            reverse(1, SEAT, seats_account("10610", name), capacity_account("10610")),
            move(1, f"x-{name}", charged_account("10611", "10610"), owed_account("10610", "10611")),
        ]
    ledger = Ledger()
    first = ledger.offer("calculus", 1)
    fold = StatementFold()
    fold.see(replace(first, postings=tuple(postings)))
    text = journal(statements(fold.running(), "10610"))
    assert text.isascii()
    assert fault(hledger, text) == ""
    done = run(hledger, text, "accounts", "--declared")
    accounts = {name for name in done.stdout.splitlines() if "posted:seats" in name}
    assert len(accounts) == len(odd), "two ids became one account"
    done = run(hledger, text, "commodities")
    units = {line for line in done.stdout.splitlines() if line.strip('"').startswith("x-")}
    assert len(units) == len(odd), "two units became one"
    assert HOUR not in text
