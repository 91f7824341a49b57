"""The tables as Mermaid diagrams, and the page that holds them all: `hub/domain/MACHINES.md`."""

from __future__ import annotations

import re

from hub.domain.life import START, Machine
from hub.events import Sentence, machines
from hub.events.reference import EventType, actors, event_types, events_about, turn

HEAD = """\
# Lives of things

Written by `alliance catalogue --write-diagrams` from the tables beside the classes in this folder, which the rules walk;
`make lint` says when it is not up to date. An arrow has the step and who takes it (`deadline`: the ledger, once time is over),
a note says whose turn it is. A state with an arrow to the end is closed.

本页由本目录中各类事项的状态表生成。箭头上为步骤及执行方（“到期”指期限届满时由账本处理），注释为当前轮到哪一方，指向终点的状态为终态。
"""


def page() -> str:
    """The whole page, Markdown."""
    contents = [f"- [{heading(one)}](#{_anchor(heading(one))})\n" for one in machines()]
    lone = [one for one in event_types() if one.life is None]
    parts = [HEAD, "".join(contents), *(_section(one) for one in machines())]
    if lone:
        parts.append(
            "## Without a table\n\nOf these the ledger keeps the newest statement: "
            f"{', '.join(_folder_link(one) for one in lone)}.\n"
        )
    return "\n".join(parts)


def heading(machine: Machine) -> str:
    return f"{machine.title_en} · {machine.title_zh}"


def mermaid(machine: Machine) -> str:
    """One machine as a `stateDiagram-v2`.

    States have ids of their own and their names as labels: Mermaid keeps words such as `end` and `state` to itself.
    """
    lines = ["stateDiagram-v2"]
    lines += [f'state "{_label(state)}" as {_id(state)}' for state in machine.states]
    lines += [
        f"{_id(step.before)} --> {_id(step.after)}: {_label(step.name)} · {_both(actors(machine, step))}"
        for step in machine.steps
    ]
    lines += [f"{_id(state)} --> [*]" for state in machine.states if machine.closed(state)]
    for state in machine.states:
        whose = turn(machine, state)
        if whose is not None:
            lines.append(
                f"note right of {_id(state)}: turn of {_label(whose.en)} · 轮到{_label(whose.zh)}"
            )
    return "\n    ".join(lines) + "\n"


def _section(machine: Machine) -> str:
    moved_by = ", ".join(_folder_link(one) for one in events_about(machine))
    source = f"Source: {machine.source}.\n\n" if machine.source else ""
    return (
        f"## {heading(machine)}\n\n`{machine.kind}`: {moved_by}.\n\n{source}"
        f"```mermaid\n{mermaid(machine)}```\n"
    )


def _anchor(title: str) -> str:
    """As GitHub makes it from a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _folder_link(one: EventType) -> str:
    return f"[{one.event}](../../schemas/{one.schema.folder})"


def _both(text: Sentence) -> str:
    return _label(text.en if text.en == text.zh else f"{text.en} {text.zh}")


def _id(state: str) -> str:
    return "[*]" if state == START else "s_" + re.sub(r"\W", "_", state, flags=re.ASCII)


def _label(text: str) -> str:
    """Without what Mermaid reads as its own: quotes, colons, semicolons, comments, markup."""
    return re.sub(r"[\"`:;#%<>{}\[\]\\]+", " ", text).strip()
