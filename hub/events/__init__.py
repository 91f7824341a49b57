"""One file per event type: its effect on the book, and a sentence about it for people.

A file `hub/events/<domain>/<fact>.py` offers

- `decide(event, view) -> Verdict`, the rule, and `sentence(event, names) -> Sentence`;
- `REASONS`, the reasons for which its rule refuses or parks, beside those that any event can meet (`COMMON_REASONS`);
- `LIFE`, the table of the thing it is about, if that has one;
- `OVERDUE`, if its thing has a deadline at which more happens than a flag: `{kind: function of thing and view}`.

Nothing lists the files; discovery finds them and holds them against the schemas.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from hub.domain.life import Machine
from hub.domain.reasons import Reason
from hub.ledger.state import Overdue, Rule, Rules
from schemas.catalogue import CatalogueError, catalogue

# Given before any rule is asked: order of versions, ids, and parked events whose predecessor never came.
COMMON_REASONS = frozenset(
    {
        Reason.STALE_VERSION,
        Reason.VERSION_GAP,
        Reason.VERSION_GAP_TIMEOUT,
        Reason.REFERENCE_TIMEOUT,
        Reason.SAME_EVENT,
        Reason.SAME_ID_OTHER_CONTENT,
        Reason.TOO_LARGE,
        Reason.KEY_REVOKED,
        Reason.DISPUTED,
    }
)


class Sentence(NamedTuple):
    """One sentence for a person, in both languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Names:
    """Names of members in both languages, by code; an unknown code stands for itself."""

    by_code: Mapping[str, tuple[str, str]]

    def en(self, code: str) -> str:
        return self.by_code.get(code, (code, code))[0]

    def zh(self, code: str) -> str:
        return self.by_code.get(code, (code, code))[1]


@dataclass(frozen=True, slots=True)
class EventRule:
    """What the rule file of an event type offers."""

    event: str
    decide: Rule
    sentence: Callable[[Any, Names], Sentence]
    reasons: frozenset[Reason]
    life: Machine | None
    overdue: Mapping[str, Overdue]


@cache
def event_rules() -> Mapping[str, EventRule]:
    """All rule files by event name. Raises `CatalogueError` when an event has a schema or a rule but not both."""
    found: dict[str, EventRule] = {}
    for domain in pkgutil.iter_modules(__path__):
        if not domain.ispkg:
            continue
        package = importlib.import_module(f"{__name__}.{domain.name}")
        for fact in pkgutil.iter_modules(package.__path__):
            if fact.name.startswith("_"):
                continue
            event = f"{domain.name}.{fact.name.replace('_', '-')}"
            module = importlib.import_module(f"{package.__name__}.{fact.name}")
            found[event] = EventRule(
                event,
                module.decide,
                module.sentence,
                module.REASONS,
                getattr(module, "LIFE", None),
                getattr(module, "OVERDUE", {}),
            )
    published = {schema.event for schema in catalogue().events()}
    if found.keys() != published:
        lone = sorted(found.keys() ^ published)
        raise CatalogueError(
            f"{', '.join(lone)}: a schema folder without a rule file, or the reverse; "
            "an event needs schemas/<domain>/<fact>/ and hub/events/<domain>/<fact>.py"
        )
    return found


@cache
def rules() -> Rules:
    """The rules as `hub.ledger.apply` wants them."""
    found = event_rules()
    return Rules(
        {event: rule.decide for event, rule in found.items()},
        {kind: act for rule in found.values() for kind, act in rule.overdue.items()},
    )


def machines() -> list[Machine]:
    """The table of every kind of thing that has a life, each once, in the order of the events."""
    lives = {rule.life.kind: rule.life for rule in event_rules().values() if rule.life is not None}
    return list(lives.values())


def sentence(event: Any, names: Names) -> Sentence:
    """A decoded event as one sentence in English and Chinese."""
    return event_rules()[event.EVENT].sentence(event, names)


def title(texts: Any, lang: str) -> str:
    """The text in that language, or the first there is, or an empty string."""
    for text in texts:
        if text.lang == lang:
            return str(text.value)
    return str(texts[0].value) if texts else ""
