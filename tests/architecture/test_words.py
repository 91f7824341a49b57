"""One thing, one name: words that the house style gave to someone else, or to nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import topics
from schemas.catalogue import catalogue

ROOT = Path(__file__).parents[2]
OURS = ("hub", "schemas", "connectors", "tests")
TEXTS = frozenset({".py", ".md", ".toml", ".avsc", ".json", ".html", ".js", ".css", ".yml", ".csv"})
HERE = Path(__file__).name

BRITISH = re.compile(r"enrolment|recognis|organis(?!m)|behaviour|\bcolour|\bcentre|licence\b", re.I)
# The ledger's own words are event, entry, posting, source and destination.
LEDGER_WORDS = re.compile(
    r"\btransactions?\b|\bdebit|\btransfers?\b|\bcredit_account|\bdebit_account", re.I
)
LEDGER_FILES = ("hub/domain", "hub/ledger", "hub/events", "hub/flow", "hub/reconcile", "schemas")
# Where a banned word is another's own: Kafka's, a database's, a standard's.
ALLOWED = {
    "schemas/types/envelope.avsc": "made in the transaction of the change it tells of: the campus database's",
}


def texts(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            inner = path.relative_to(ROOT)
            if (
                path.suffix in TEXTS
                and path.name != HERE
                and "__pycache__" not in inner.parts
                and "vendor" not in inner.parts
            ):
                yield str(inner), path.read_text(encoding="utf-8")


# What universities do with achievements is a transfer, too: the domain `transfer`, and agreements about it.
TECHNOLOGY = re.compile(
    r"technology transfer|\btransfer[./]|[\"`']transfer[\"`']|\bdomain\.transfer\b|\|transfer\||transfer of (?:an )?achievements?"
    r"|the transfer (?:events|has|is|of)|achievement transfer|alliance\.transfer|of the transfer\b|research, transfer|transfer and",
    re.I,
)


# Names of the Open Education API, whose version 6 is written in British English.
OPEN_EDUCATION = re.compile(r"enrolmentPeriods|organisationId|organisationType|/organisations")


def found(pattern: re.Pattern[str], *folders: str) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts(*folders)
        if name not in ALLOWED
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(OPEN_EDUCATION.sub("", TECHNOLOGY.sub("", line)))
    ]


def test_spelling_is_american() -> None:
    """One spelling, so that a search finds all of a thing: enrollment, recognized."""
    assert found(BRITISH, *OURS) == []
    top = [path for path in ROOT.glob("*.md") if BRITISH.search(path.read_text(encoding="utf-8"))]
    assert top == []


def test_the_ledger_has_its_own_words() -> None:
    """`credit` is a study credit here, so a posting has source and destination, and nothing is a transaction."""
    assert found(LEDGER_WORDS, *LEDGER_FILES) == []


@pytest.mark.parametrize("name", ALLOWED)
def test_every_exception_is_still_needed(name: str) -> None:
    """A list of exceptions only ever grows unless something takes from it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert LEDGER_WORDS.search(text) or BRITISH.search(text)


def test_topic_names_have_dots_and_dashes() -> None:
    """Kafka's metrics take `.` for `_`: two topics could have one name there."""
    names = [value for name, value in vars(topics).items() if name.isupper()]
    names += [topics.inbox("10610"), topics.outbox("10610")]
    names += [topics.domain(domain) for domain in catalogue().domains()]
    assert len(names) > 10
    assert [name for name in names if "_" in name] == []


def test_an_event_has_one_name_everywhere() -> None:
    """Schema folder, rule file, CloudEvents type and class name follow from one another."""
    for schema in catalogue().events():
        domain, _, fact = schema.event.partition(".")
        assert (ROOT / "schemas" / domain / fact.replace("-", "_")).is_dir()
        assert (ROOT / "hub" / "events" / domain / f"{fact.replace('-', '_')}.py").is_file()
        assert schema.ce_type == f"alliance.{schema.event}.v{schema.version}"
        assert schema.class_name == "".join(
            part.title() for part in re.split(r"[.-]", schema.event)
        )
