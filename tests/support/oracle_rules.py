"""Rules of recognition as a university registered them: what a decision has to cite, and how much it may record."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.support.oracle_books import DAY_MS, Books, Done, Fact, need, refuse

Rules = dict[str, Any]
NUMBER = r"-?\d+(?:\.\d+)?"
COMPARED: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
    "=": lambda found, wanted: found == wanted,
}


def read(books: Books, text: str, owner: str) -> tuple[str, dict[int, str]]:
    """The id of a rule set and all its texts by version, this one as the newest."""
    try:
        rules = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        refuse("CONTENT_INVALID")
    need(rules["id"] != "alliance-default" and rules["owner"] == owner, "CONTENT_INVALID")
    known = books.get("rules", rules["id"])
    need(known is None or known["owner"] == owner, "NOT_WRITER")
    texts = dict(known["texts"]) if known else {}
    if texts:
        newest = max(texts)
        again = rules["version"] == newest and texts[newest] == text
        need(again or rules["version"] == newest + 1, "STALE_VERSION")
    texts[rules["version"]] = text
    return rules["id"], texts


def profile_changed(books: Books, event: Any) -> Done:
    everyone = Done(frozenset(books.members))
    if event.rule_set is None:
        books.put("member", event.code, state=event.status)
        return everyone
    name, texts = read(books, event.rule_set, event.code)
    need((event.rule_set_id, event.rule_set_version) == (name, max(texts)), "CONTENT_INVALID")
    books.put("rules", name, state="", owner=event.code, texts=texts)
    books.put("member", event.code, state=event.status, rules=name)
    return everyone


def own(books: Books, home: str) -> tuple[str, int, Rules] | None:
    """Id, newest version and content of what a home registered."""
    profile = books.get("member", home)
    known = books.get("rules", profile.get("rules")) if profile else None
    if profile is None or known is None:
        return None
    newest = max(known["texts"])
    return str(profile["rules"]), newest, tomllib.loads(known["texts"][newest])


def due_in(books: Books, home: str, which: str) -> int | None:
    """When a deadline of the home's rules is over that begins now; none before the ledger knows the time."""
    rules = own(books, home)
    days = rules[2].get("deadlines", {}).get(which) if rules else None
    return books.now_ms + days * DAY_MS if days is not None and books.now_ms else None


def check(books: Books, case: Fact, mappings: list[Any], awards: dict[str, Fact]) -> None:
    """Each mapping keeps to the rules it cites, and all of them to the cap of a case."""
    totals: dict[str, Decimal] = {}
    caps: dict[str, Decimal] = {}
    for mapping in mappings:
        held = [awards[name] for name in awards if name in mapping.award_ids]
        rules = _cited(
            books, case, mapping, {case["home"], *(award["agreement"] for award in held)}
        )
        if rules is None:
            continue
        recorded = sum((course.credits.value for course in mapping.to), Decimal(0))
        _keep(rules, mapping, recorded, _facts(books, mapping, held))
        totals[rules["id"]] = totals.get(rules["id"], Decimal(0)) + recorded
        if "case_cap" in rules.get("credits", {}):
            caps[rules["id"]] = Decimal(rules["credits"]["case_cap"])
    need(all(totals[name] <= cap for name, cap in caps.items()), "RULES_NOT_MET")


def _cited(books: Books, case: Fact, mapping: Any, entitled: set[str]) -> Rules | None:
    known = books.get("rules", mapping.rule_id)
    if known is None or known["owner"] not in entitled:
        need(own(books, case["home"]) is None, "STALE_VERSION")
        return None
    oldest = case["rules"][1] if case["rules"] and case["rules"][0] == mapping.rule_id else 0
    need(mapping.rule_version in known["texts"], "STALE_VERSION")
    need(mapping.rule_version >= oldest, "STALE_VERSION")
    return tomllib.loads(known["texts"][mapping.rule_version])


def _facts(books: Books, mapping: Any, held: list[Fact]) -> dict[str, Decimal | None]:
    """What is known of a mapping; the home's own findings come with it."""
    host = sum((award["credits"] for award in held), Decimal(0))
    found = mapping.facts
    home = found.home_credits if found else None
    awarded_ms = max((award["awarded_ms"] for award in held), default=0)
    days = Decimal((books.now_ms - awarded_ms) // DAY_MS) if awarded_ms else None
    return {
        "host_credits": host, "home_credits": home, "difference": None if home is None else home - host,
        "days_since_award": days, "awards": Decimal(len(held)), "courses": Decimal(len(mapping.to)),
    }  # fmt: skip


def _keep(rules: Rules, mapping: Any, recorded: Decimal, facts: dict[str, Decimal | None]) -> None:
    then = next(
        clause["then"] for clause in rules["rule"]
        if all(_holds(facts[fact], wanted) for fact, wanted in clause.get("when", {}).items())
    )  # fmt: skip
    host = facts["host_credits"] or Decimal(0)
    home = facts["home_credits"] if facts["home_credits"] is not None else host
    most = Decimal(0)
    if then["outcome"] != "negative":
        said = rules.get("credits", {})
        most = {"none": Decimal(0), "host": host, "home": home, "lower": min(host, home)}[
            then["credits"]
        ]
        most = min(most, host + Decimal(said.get("tolerance", "0")))
        most = min(most, Decimal(said.get("case_cap", most)))
    need(recorded <= max(most, Decimal(0)), "RULES_NOT_MET")
    wanted = then.get("category")
    need(wanted is None or {course.category for course in mapping.to} <= {wanted}, "RULES_NOT_MET")


def _holds(found: Decimal | None, wanted: Any) -> bool:
    """A condition on what is not known does not hold."""
    if found is None:
        return False
    if isinstance(wanted, int):
        return found == wanted
    both = re.fullmatch(rf"({NUMBER})\.\.({NUMBER})", wanted)
    if both:
        return Decimal(both[1]) <= found <= Decimal(both[2])
    one = re.fullmatch(rf"([<>]=?|=)\s*({NUMBER})", wanted)
    return one is not None and COMPARED[one[1]](found, Decimal(one[2]))
