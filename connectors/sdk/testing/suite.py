"""The suite that every kind is examined by, with pytest or without.

Owns which questions are put to which campus, what a kind may leave out (`WAIVED` in its `conformance.py`, with a reason),
and how answers are counted. With pytest, in a file of tests:

    from connectors.sdk.testing import suite

    test_my_kind_keeps_the_rules = suite.for_kinds(["mysystem"])
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.sdk.contract import ConfigError
from connectors.sdk.discovery import Kind, kinds
from connectors.sdk.testing.questions import QUESTIONS, Make, Question, Setting


@dataclass(frozen=True, slots=True)
class Ask:
    """One question put to one campus of one kind. `waived` is the kind's reason for leaving it out."""

    kind: str
    case: str
    question: Question
    make: Make
    variant: str = ""
    waived: str = ""

    def __str__(self) -> str:
        variant = f" ({self.variant})" if self.variant else ""
        return f"{self.kind}: {self.case}: {self.question.name}{variant}"

    def put(self, folder: Path, *, thorough: bool = False) -> None:
        """Put it, in an empty folder. Raises `Broken`, or whatever the kind raised."""
        setting = Setting(self.make, folder, self.variant, thorough)
        answer = self.question.ask(setting)
        if inspect.iscoroutine(answer):
            asyncio.run(answer)


@dataclass(slots=True)
class Count:
    """The answers of one kind. `failed` has the words of each, `waived` the reason by question."""

    passed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    waived: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        failed = [{"question": name, "found": words} for name, words in self.failed]
        return {
            "passed": self.passed,
            "failed": len(failed),
            "failures": failed,
            "waived": self.waived,
        }


def _conformance(kind: Kind) -> Any:
    """Raises `ConfigError` when a kind brings no campus."""
    name = kind.module.rpartition(".")[0] + ".conformance"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise ConfigError(
                f"{kind.name}: its campus needs {error.name}; install it (README.md of the kind names the extra), or name other kinds"
            ) from error
        raise ConfigError(
            f"{kind.name}: has no conformance.py; write one with CASES, see connectors/sdk/testing/README.md"
        ) from error


def _waived(kind: Kind, module: Any) -> Mapping[str, str]:
    waived: Mapping[str, str] = getattr(module, "WAIVED", {})
    known = {question.name for question in QUESTIONS}
    for name, reason in waived.items():
        if name not in known or not reason.strip():
            raise ConfigError(
                f"{kind.name}: WAIVED names {name!r} with reason {reason!r}; write a question's name and why it is left out"
            )
    return waived


def asks_of_case(
    kind: str, case: str, make: Make, waived: Mapping[str, str] | None = None
) -> Iterator[Ask]:
    """All that is asked of one campus."""
    campus = make()
    for question in QUESTIONS:
        if question.of(campus):
            for variant in question.variants(campus):
                yield Ask(
                    kind, case, question, make, variant, (waived or {}).get(question.name, "")
                )


def asks(names: Sequence[str] | None = None) -> list[Ask]:
    """All that is asked of these kinds, or of every kind there is. Raises `ConfigError`."""
    known = kinds()
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise ConfigError(f"no kind {', '.join(unknown)}; write one of {', '.join(sorted(known))}")
    found: list[Ask] = []
    for kind in (known[name] for name in sorted(names or known)):
        module = _conformance(kind)
        waived = _waived(kind, module)
        for case, make in module.CASES.items():
            found += asks_of_case(kind.name, case, make, waived)
    return found


def run(
    asked: Sequence[Ask], *, thorough: bool = False, told: Callable[[Ask, str], None] | None = None
) -> dict[str, Count]:
    """Put the questions one after another; what each kind answered. `told` hears of each, with the words of a failure."""
    counts: dict[str, Count] = {}
    for ask in asked:
        count = counts.setdefault(ask.kind, Count())
        words = ""
        if ask.waived:
            count.waived[ask.question.name] = ask.waived
        else:
            words = _words(ask, thorough=thorough)
            if words:
                count.failed.append((str(ask), words))
            else:
                count.passed += 1
        if told is not None:
            told(ask, words)
    return counts


def _words(ask: Ask, *, thorough: bool) -> str:
    with tempfile.TemporaryDirectory(prefix="alliance-conformance-") as folder:
        try:
            ask.put(Path(folder), thorough=thorough)
        except Exception as error:  # noqa: BLE001, whatever a kind raises is its answer
            return f"{type(error).__name__}: {error}"
    return ""


def for_kinds(names: Sequence[str] | None = None) -> Any:
    """A test function for pytest, with one parameter for each question; those left out are skipped with their reason.

    Under the marker `slow` a second of it dies at each await, not at some.
    """
    import pytest  # here, so that the command needs none

    some = [pytest.param(ask, False, id=str(ask)) for ask in asks(names)]
    all_awaits = [
        pytest.param(ask, True, id=f"{ask}, each", marks=pytest.mark.slow)
        for ask in asks(names)
        if ask.question.name == "a kill at awaits"
    ]

    @pytest.mark.parametrize(("ask", "thorough"), [*some, *all_awaits])
    def test_a_kind_keeps_the_rule(ask: Ask, thorough: bool, tmp_path: Path) -> None:  # noqa: FBT001, pytest passes by name
        if ask.waived:
            pytest.skip(f"{ask.kind} leaves it out: {ask.waived}")
        ask.put(tmp_path, thorough=thorough)

    return test_a_kind_keeps_the_rule
