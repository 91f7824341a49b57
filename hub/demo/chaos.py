"""SIGKILL for parts of the running system at random moments, as crashes would come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.run.supervisor import Supervisor

LEAST_KILLS = 10
PAUSE_S = (3.0, 9.0)  # a killed part is back and at work in 2 to 4 s on two cores


@dataclass(slots=True)
class Chaos:
    """Kills the victims in random rounds: each once a round, so that none is spared. The seed gives order and pauses."""

    supervisor: Supervisor
    victims: Sequence[str]
    seed: int
    killed: list[str] = field(default_factory=list)
    least: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Kill until `stop` is set, but never fewer than ten times."""
        rng = random.Random(self.seed)  # noqa: S311  # repeatable, not secret
        order: list[str] = []
        while not (stop.is_set() and self.least.is_set()):
            order = order or rng.sample(list(self.victims), len(self.victims))
            await asyncio.sleep(rng.uniform(*PAUSE_S))
            if stop.is_set() and self.least.is_set():
                return
            victim = order.pop()
            self.supervisor.kill(victim)
            self.killed.append(victim)
            if len(self.killed) >= LEAST_KILLS:
                self.least.set()
