"""Lives of things as tables: which step leads from which state to which, who takes it, and whose turn it is.

The rules walk these tables, `alliance catalogue` and the page of diagrams print them, the console shows them. One table
for each kind of thing stands beside its class in this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

CLOCK = "clock"  # takes a step when a deadline is over
START = ""  # the state of a thing that is not there yet


@dataclass(frozen=True, slots=True)
class Step:
    """A step by one of the roles `by`: `home`, `host`, `owner` ... as the thing's fields are called, or `clock`."""

    before: str
    name: str
    after: str
    by: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """The life of one kind of thing. `waits` names the role whose turn it is in a state; states not in it wait for nobody.

    `kind` is the thing's KIND. Two steps of one name from one state do not exist.
    """

    kind: str
    title_en: str
    title_zh: str
    steps: tuple[Step, ...]
    waits: Mapping[str, str]
    source: str = ""

    @cached_property
    def _after(self) -> dict[tuple[str, str], Step]:
        return {(step.before, step.name): step for step in self.steps}

    @cached_property
    def states(self) -> tuple[str, ...]:
        """All states in the order of the table."""
        named = [state for step in self.steps for state in (step.before, step.after)]
        return tuple(dict.fromkeys(state for state in named if state != START))

    @cached_property
    def _open(self) -> frozenset[str]:
        return frozenset(step.before for step in self.steps)

    def closed(self, state: str) -> bool:
        """Whether no step leads out of a state."""
        return state not in self._open

    def step(self, state: str, name: str) -> Step | None:
        """The step of that name from a state, or None if it is not possible."""
        return self._after.get((state, name))

    def possible(self, state: str) -> tuple[str, ...]:
        """Names of the steps that people can take from a state."""
        return tuple(
            sorted(
                name
                for (at, name), step in self._after.items()
                if at == state and step.by != (CLOCK,)
            )
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of all steps that people can take."""
        return frozenset(step.name for step in self.steps if step.by != (CLOCK,))

    def roles(self, name: str) -> frozenset[str]:
        """Who may take a step of that name from some state."""
        return frozenset(role for step in self.steps if step.name == name for role in step.by)


def steps(by: str, *rows: str) -> tuple[Step, ...]:
    """Steps of one role, or of several joined by `|`: `steps("host", "pending queued: denied -> denied")`.

    A row is `<states before>: <step> -> <state after>`; no state before the colon means that the step makes the thing.
    """
    made = []
    for row in rows:
        before, _, rest = row.partition(":")
        name, _, after = rest.partition("->")
        made += [
            Step(state, name.strip(), after.strip(), tuple(by.split("|")))
            for state in before.split() or [START]
        ]
    return tuple(made)


def moves(by: str, table: Mapping[str, str]) -> tuple[Step, ...]:
    """Steps of a thing whose event names the state it is in now: from each state to those listed after it.

    The row under START lists where it may begin.
    """
    return tuple(
        Step(before, after, after, (by,)) for before, row in table.items() for after in row.split()
    )


class Thing(Protocol):
    """A value that the ledger keeps by kind and id. Rules that change it make a new one."""

    KIND: ClassVar[str]

    @property
    def id(self) -> str: ...


class Living:
    """A thing with a life: base of the frozen classes that have a table.

    Subclasses have a field `state`, one for each role of their table, and say their id.
    """

    __slots__ = ()
    KIND: ClassVar[str]
    LIFE: ClassVar[Machine]
    state: str

    @property
    def id(self) -> str:
        raise NotImplementedError

    def turn(self) -> tuple[str, ...]:
        """Codes of the members whose turn it is."""
        role = self.LIFE.waits.get(self.state)
        return (getattr(self, role),) if role else ()

    def deadline_ms(self) -> int | None:
        """When the wait in the present state is over, in milliseconds since 1970; None without a deadline."""
        return None

    def concerned(self) -> frozenset[str]:
        """Members that hold the thing in their own systems: every role of the table."""
        roles = {role for step in self.LIFE.steps for role in step.by} - {CLOCK}
        return frozenset(getattr(self, role) for role in roles)

    def summary(self) -> str:
        """What a campus and the ledger must agree on, in a few words."""
        return self.state
