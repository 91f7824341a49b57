"""Whatever happens to a connector, each key's events reach ledger and campus in their order, each once, and none is lost.

Changes and deliveries of several keys, poisoned ones among them, meet kills between any two effects, restarts, mended code
tables, a mended campus and redrives.
"""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sdk.testing import Fuse
from tests.support.connector_parking import ParkingRig

KEYS = 2
KEY = st.integers(1, KEYS)
HAPPENS = st.tuples(
    st.sampled_from(["change", "request"]), KEY, st.sampled_from(["ok", "ok", "poison", "busy"])
)
MOMENT = st.integers(1, 60)
LIVES = st.one_of(
    st.tuples(st.just("run")),
    st.tuples(st.just("kill"), MOMENT),
    st.tuples(st.just("redrive"), st.one_of(st.none(), KEY), st.one_of(st.none(), MOMENT)),
    st.tuples(st.just("mend"), st.integers(0, 5)),
)
# Something happens, then the connector lives some lives, and so on.
ROUNDS = st.lists(
    st.tuples(st.lists(HAPPENS, min_size=2, max_size=8), st.lists(LIVES, min_size=1, max_size=3)),
    min_size=1,
    max_size=3,
)


class World:
    """One campus, and what must be true of it after each step."""

    def __init__(self, folder: Path) -> None:
        self.rig = ParkingRig(folder)
        self.changes: dict[str, list[str]] = {}
        self.poison: list[str] = []  # modes without a code, and event ids the campus refuses

    async def happen(self, what: str, key: int, how: str) -> None:
        if what == "change":
            mode = f"odd{len(self.rig.campus.items)}" if how == "poison" else "ok"
            self.poison += [mode] if how == "poison" else []
            self.changes.setdefault(f"{key}", []).append(self.rig.campus.happen(f"{key}", mode))
            return
        event = await self.rig.request(key)
        if how == "poison":
            self.rig.campus.poison.add(event)
            self.poison.append(event)
        elif how == "busy":
            self.rig.campus.busy[event] = 2

    def mend(self, which: int) -> None:
        if self.poison:
            one = self.poison.pop(which % len(self.poison))
            self.rig.mend(one)
            self.rig.campus.poison.discard(one)

    async def step(self, name: str, *args: int | None) -> None:
        if name == "mend":
            self.mend(args[0] or 0)
            return
        self.rig.reload()
        if name == "redrive":
            key, moment = args
            about = {"all": True} if key is None else {"key": f"enrollment-{key}"}
            id = self.rig.ask("redrive", **about)
            fuse = Fuse(burns_at=moment or 0)
            await self.rig.life(lambda: self.rig.answer(id) is not None, fuse=fuse, within_s=30)
        else:
            await self.rig.settle(Fuse(burns_at=(args[0] or 0) if args else 0), within_s=30)

    def check(self) -> None:
        """What the ledger and the campus have of a key is the beginning of what happened, and nothing twice."""
        for key, ids in self.changes.items():
            found = self.rig.published(key)
            assert found == ids[: len(found)]
        for about, ids in self.rig.requests.items():
            found = self.rig.told(int(about.rpartition("-")[2]))
            assert found == ids[: len(found)]

    async def end(self) -> None:
        """All is mended: then nothing may be missing, and nothing is parked."""
        while self.poison:
            self.mend(0)
        self.rig.reload()
        assert await self.rig.life(lambda: self.rig.idle() and not self.rig.parked())
        self.check()
        assert all(self.rig.published(key) == ids for key, ids in self.changes.items())
        for about, ids in self.rig.requests.items():
            assert self.rig.told(int(about.rpartition("-")[2])) == ids
        assert len(self.rig.hub.applied) == len(self.rig.campus.items)


@given(rounds=ROUNDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_key_keeps_its_order_whatever_is_parked_killed_mended_and_tried_again(rounds):
    """An enrollment, its withdrawal and its grade: two of them exchanged are a wrong transcript."""

    async def story() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder))
            for happens, lives in rounds:
                for one in happens:
                    await world.happen(*one)
                for life in lives:
                    await world.step(*life)
                    world.check()
            await world.end()

    asyncio.run(story())
