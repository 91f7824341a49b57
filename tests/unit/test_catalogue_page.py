"""The page of diagrams says what the tables say, in words that Mermaid takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hub.domain
from hub.domain.life import Machine, steps
from hub.events import diagrams, machines

PAGE = Path(hub.domain.__file__).with_name("MACHINES.md")
LINES = (
    re.compile(r"stateDiagram-v2"),
    re.compile(r' {4}state "[^"]+" as s_\w+', re.ASCII),
    re.compile(r" {4}(s_\w+|\[\*\]) --> (s_[a-zA-Z0-9_]+: [^:;#\"]+|\[\*\])"),
    re.compile(r" {4}note right of s_[a-zA-Z0-9_]+: [^:;#\"]+"),
)
every_machine = pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.kind)


def test_the_page_is_what_the_tables_say() -> None:
    """Who reads the page must not be told of steps that the rules do not know."""
    assert PAGE.read_text(encoding="utf-8") == diagrams.page(), (
        "run: alliance catalogue --write-diagrams"
    )


@every_machine
def test_a_diagram_has_every_state_and_step(machine: Machine) -> None:
    """With who takes it, in both languages."""
    drawn = diagrams.mermaid(machine)
    for state in machine.states:
        assert f'state "{state}" as ' in drawn
    assert len(re.findall(r"--> s_", drawn)) == len(machine.steps)
    assert drawn.count("--> [*]") == sum(machine.closed(state) for state in machine.states)
    assert drawn.count("note right of") == len(machine.waits)
    assert machine.title_en in diagrams.page()
    assert machine.title_zh in diagrams.page()


@every_machine
def test_a_diagram_has_only_lines_that_mermaid_reads(machine: Machine) -> None:
    """The shapes that Mermaid's own parser took when this was written; a new shape wants to be shown to it."""
    for line in diagrams.mermaid(machine).splitlines():
        assert any(shape.fullmatch(line) for shape in LINES), line


def test_names_that_mermaid_keeps_to_itself_do_no_harm() -> None:
    """A table may use any word for a state or a step."""
    odd = Machine(
        kind="odd",
        title_en="Odd",
        title_zh="奇",
        steps=(
            *steps("home", ': state -> end-of;"x"'),
            *steps("a:b", 'end-of;"x": note#1 -> [*]'),
        ),
        waits={'end-of;"x"': "a:b"},
    )
    for line in diagrams.mermaid(odd).splitlines():
        assert any(shape.fullmatch(line) for shape in LINES), line
