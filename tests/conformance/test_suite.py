"""The suite itself: a kind that breaks a rule is found, and what a kind leaves out is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from connectors.http_poll.conformance import FakeApi, changes
from connectors.http_push.conformance import batches
from connectors.sdk.cli import conformance as conformance_cli
from connectors.sdk.cli.main import app
from connectors.sdk.contract import ConfigError
from connectors.sdk.testing import Case, Fuse, Killed, Rig, suite
from connectors.sdk.testing.faults import BY_FIELD, OWN, TRICKS
from connectors.sdk.testing.questions import QUESTIONS, Broken


def put(name: str, make: Callable[[], Case], folder: Path, variant: str | None = None) -> None:
    """Put one question to a campus."""
    asked = [a for a in suite.asks_of_case("mine", "case", make) if a.question.name == name]
    asked = [a for a in asked if variant in (None, a.variant)]
    assert asked
    for number, ask in enumerate(asked):
        inner = folder / str(number)
        inner.mkdir()
        ask.put(inner)


def forgetful() -> Case:
    """A campus's connector that never tells every third change."""
    case = changes()
    real = case.transport

    def answer(request: httpx.Request) -> httpx.Response:
        reply: httpx.Response = real.handler(request)
        body = json.loads(reply.content)
        body["items"] = [row for row in body["items"] if row["number"] % 3]
        return httpx.Response(200, json=body)

    case.transport = httpx.MockTransport(answer)
    return case


def applies_again() -> Case:
    """A campus that does not know what it has."""
    told: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["items"]
        for item in items:
            told.append(f"{item['kind']}:{item['eventId']}:{item.get('outcome', '')}")
        said = [{"eventId": one["eventId"], "status": "applied", "message": ""} for one in items]
        return httpx.Response(200, json={"results": said})

    api = FakeApi(answer)
    return replace(batches(), transport=httpx.MockTransport(api.handle), told=told, fault=api.fault)


def silent() -> Case:
    """A campus whose fault nobody sees: it answers as if there were nothing."""
    case = changes()
    left = [0]
    real = case.transport

    def answer(request: httpx.Request) -> httpx.Response:
        if left[0]:
            left[0] -= 1
            return httpx.Response(200, json={"items": [], "hasMore": False})
        reply: httpx.Response = real.handler(request)
        return reply

    def fault(mode: str, times: int) -> None:
        left[0] = times

    case.transport, case.fault = httpx.MockTransport(answer), fault
    return case


@pytest.mark.parametrize(
    ("question", "make", "words"),
    [
        ("nothing new in a second run", forgetful, "did not all arrive"),
        ("a kill between any two effects", applies_again, "applied something twice"),
        ("a kill at awaits", forgetful, "lost something|did not finish"),
        ("what is delivered twice is applied once", lambda: noisy(), "applied|wanted"),
        ("a campus that misbehaves is asked again", silent, "no heartbeat said degraded"),
        ("check says what is wrong", silent, "although our key was refused"),
        ("a poison delivery parks alone", applies_again, "degraded"),
    ],
)
def test_a_kind_that_breaks_a_rule_is_found(question, make, words, tmp_path):
    """A suite that passes everything examines nothing."""
    with pytest.raises(Broken, match=words):
        put(question, make, tmp_path)


def noisy() -> Case:
    """A campus that applies each delivery two times over."""
    case = applies_again()
    real = case.transport

    def answer(request: httpx.Request) -> httpx.Response:
        real.handler(request)
        reply: httpx.Response = real.handler(request)
        return reply

    case.transport = httpx.MockTransport(answer)
    return case


def test_a_kill_at_an_await_leaves_nothing_behind(tmp_path):
    """After the chosen moment no commit has an effect, else the suite would look at a process that lives on."""
    import asyncio

    async def story() -> tuple[Fuse, Fuse]:
        whole, cut = Fuse(), Fuse(burns_at_await=20)
        for fuse, name in ((whole, "whole"), (cut, "cut")):
            (tmp_path / name).mkdir()
            rig = Rig(tmp_path / name, changes())
            rig.case.happen(3)
            await rig.life(lambda rig=rig: rig.quiet() and len(rig.hub.applied) == 3, fuse=fuse)
        return whole, cut

    whole, cut = asyncio.run(story())
    assert cut.burnt
    assert not whole.burnt
    assert whole.awaits > 20
    with pytest.raises(Killed):
        cut.point("a commit after death")


def test_every_fault_of_the_field_has_a_question_or_a_kind_s_own_tests():
    """The table is what we say to operators; a name in it that asks nothing would be a lie."""
    known = {question.name for question in QUESTIONS} | {OWN}
    assert {name for _, _, name in BY_FIELD} <= known
    assert {question.name for question in QUESTIONS} <= {name for _, _, name in BY_FIELD}


def test_a_trick_that_is_not_known_is_refused():
    """A trick without a rule would pass for nothing."""
    case = replace(changes(), tricks={"late rows": lambda: None})
    assert "late rows" not in TRICKS
    with pytest.raises(Broken, match="late rows"):
        list(suite.asks_of_case("mine", "case", lambda: case))


def test_what_is_left_out_needs_a_known_question_and_a_reason(monkeypatch):
    """Else a kind passes by leaving out what it fails."""
    kind = next(iter(suite.kinds().values()))
    for waived in ({"no such question": "because"}, {QUESTIONS[0].name: " "}):
        module = SimpleNamespace(CASES={"a": changes}, WAIVED=waived)
        monkeypatch.setattr(suite, "_conformance", lambda _, module=module: module)
        with pytest.raises(ConfigError, match="WAIVED names"):
            suite.asks([kind.name])


def test_the_command_counts_and_fails(monkeypatch, tmp_path):
    """A campus's own kind is examined in its own pipeline, which reads the exit code."""
    asked = [a for a in suite.asks_of_case("mine", "good", changes) if a.question is QUESTIONS[1]]
    bad = [a for a in suite.asks_of_case("mine", "bad", forgetful) if a.question is QUESTIONS[1]]
    left_out = [replace(asked[0], waived="there is no order")]
    monkeypatch.setattr(conformance_cli.suite, "asks", lambda _: [*asked, *bad, *left_out])
    done = CliRunner().invoke(app, ["conformance", "--json"])
    found: Any = json.loads(done.stdout)["mine"]
    assert done.exit_code == 1
    assert (found["passed"], found["failed"]) == (1, 1)
    assert found["waived"] == {QUESTIONS[1].name: "there is no order"}
    assert "did not all arrive" in found["failures"][0]["found"]
    monkeypatch.setattr(conformance_cli.suite, "asks", lambda _: asked)
    assert CliRunner().invoke(app, ["conformance"]).exit_code == 0


def test_an_unknown_kind_is_named():
    """A typing error must not pass for a kind without faults."""
    done = CliRunner().invoke(app, ["conformance", "--kind", "http_pol"])
    assert done.exit_code == 2
    assert "http_pol" in done.output
