"""What every connector kind owes, whoever wrote it: each question is a function of a campus and an empty folder.

Owns the questions. Which kinds they are put to, and what becomes of an answer, is `connectors.sdk.testing.suite`'s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from connectors.sdk.cli.trying import context_of
from connectors.sdk.config import SinkConfig, SourceConfig
from connectors.sdk.contract import ConfigError
from connectors.sdk.state.parking import Parked
from connectors.sdk.testing.faults import FAULTS, TRICKS
from connectors.sdk.testing.fuse import Fuse
from connectors.sdk.testing.hub import FakeHub
from connectors.sdk.testing.log import FakeLog
from connectors.sdk.testing.names import START, THEM, US
from connectors.sdk.testing.rig import Case, Rig
from connectors.sdk.testing.samples import case_flag, their_request

Make = Callable[[], Case]
_AWAITS_TRIED = 8  # of each case, where not all are
_LONG = 30  # bad answers: at the runtime's pauses more than ten minutes


class Broken(AssertionError):
    """A kind does not keep a rule. The message says what was found and what was wanted."""


def must(kept: object, words: str) -> None:
    """Raise `Broken` with these words unless it holds."""
    if not kept:
        raise Broken(words)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a question is put to: a way to make the campus anew, an empty folder, a variant of the question."""

    make: Make
    folder: Path
    variant: str = ""
    thorough: bool = False

    def rig(self, hub: FakeHub | None = None, inner: str = "") -> Rig:
        """A connector of a new campus."""
        folder = self.folder / inner
        folder.mkdir(exist_ok=True, parents=True)
        return Rig(folder, self.make(), hub)


def _told(rig: Rig, event_id: str) -> int:
    return sum(event_id in key for key in rig.case.told or ())


async def _requests(rig: Rig, count: int, first: int = 1) -> list[str]:
    """Requests of the other member, delivered to us; their event ids."""
    if rig.case.told is None:
        return []
    return [await _request(rig, first + i) for i in range(count)]


async def _request(rig: Rig, number: int, version: int = 1) -> str:
    record: Any = their_request(number, version=version)
    await rig.hub.deliver(US, record, rig.signers[THEM])
    return str(record.envelope.event_id)


def _happen(rig: Rig, count: int) -> None:
    if rig.case.happen:
        rig.case.happen(count)


def _parked(rig: Rig) -> list[Parked]:
    state = rig.state()
    try:
        return state.parked()
    finally:
        state.close()


def _published(rig: Rig) -> bool:
    return len(rig.hub.applied) >= rig.case.to_tell() and rig.quiet()


def _all_done(rig: Rig, sent: list[str]) -> bool:
    return all(_told(rig, event) for event in sent) and _published(rig)


def _books(rig: Rig) -> None:
    wanted, found = rig.case.to_tell(), rig.hub.applied
    must(len(found) == len(set(found)), "an event is in the ledger twice")
    must(len(found) == wanted, f"{len(found)} events in the ledger, wanted {wanted}")


async def second_run(given: Setting) -> None:
    rig = given.rig()
    _happen(rig, 5)
    must(await rig.life(lambda: _published(rig)), "5 changes did not all arrive")
    before = len(rig.hub.published)
    again = await rig.life(lambda: len(rig.hub.published) > before, within_s=120)
    must(not again, "the second run published something; wanted nothing new")
    _books(rig)


async def in_order(given: Setting) -> None:
    rig = given.rig()
    _happen(rig, 7)
    must(await rig.life(lambda: _published(rig)), "7 changes did not all arrive")
    about: list[Any] = list(rig.hub.published)
    numbers = [int(record.envelope.subject.rpartition("-")[2]) for record in about]
    must(numbers == sorted(numbers), f"published in the order {numbers}, wanted {sorted(numbers)}")


def _proved(rig: Rig, log: FakeLog) -> None:
    """Every event left with its receipt, no evidence was made up, and no size has two cosigned roots."""
    state = rig.state()
    try:
        must(state.counts()["final_total"] == rig.case.to_tell(), "an event has no receipt")
        must(all(state.proofs.held(event) for event in rig.hub.applied), "a receipt is not kept")
        must(state.proofs.evidence() == [], "evidence against an honest hub")
    finally:
        state.close()
    texts = [message.value.partition(b"\n\n")[0] for message in rig.hub.cosignatures]
    must(len(set(texts)) == len({text.split(b"\n")[1] for text in texts}), "two roots of one size")
    must(texts[-1].split(b"\n")[1] == str(len(log.entries)).encode(), "the newest is not cosigned")


async def _killed(given: Setting, fuse: Fuse, inner: str, log: FakeLog | None = None) -> None:
    """One death, one life after it, then the books."""
    rig = given.rig(FakeHub(log=log), inner)
    _happen(rig, 3)
    sent = await _requests(rig, 3)

    def done() -> bool:
        cosigned = log is None or _cosigned(rig) == len(log.entries)
        told = [*sent, *rig.hub.applied] if rig.case.told is not None else []
        return cosigned and _all_done(rig, told)

    ended = await rig.life(done, fuse=fuse)
    must(fuse.burnt or ended, "did not finish although nobody killed it")
    where = fuse.passed[-1] if fuse.burns_at else f"await {fuse.burns_at_await} of {fuse.awaits}"
    must(await rig.life(done), f"killed at {where}, then lost something")
    _books(rig)
    if rig.case.told is not None:
        wanted = len(sent) + rig.case.to_tell()
        found = len(rig.case.told)
        must(found == len(set(rig.case.told)), f"killed at {where}: applied something twice")
        must(found == wanted, f"killed at {where}: the campus applied {found}, wanted {wanted}")
    if log is not None:
        _proved(rig, log)


def _cosigned(rig: Rig) -> int:
    """The size of the newest checkpoint that our connector cosigned."""
    sizes = [message.value.split(b"\n")[1] for message in rig.hub.cosignatures]
    return int(sizes[-1]) if sizes else 0


def kill_between_effects(given: Setting) -> None:
    trusting = given.variant == "hub believed"
    moment, burnt = 0, True
    while burnt:
        moment += 1
        fuse = Fuse(burns_at=moment)
        log = None if trusting else FakeLog((US, THEM), 1, START)
        asyncio.run(_killed(given, fuse, str(moment), log))
        burnt = fuse.burnt
    must(moment > 10, f"{moment} moments counted, wanted more; is anything happening?")


def kill_at_awaits(given: Setting) -> None:
    whole = Fuse()
    asyncio.run(_killed(given, whole, "whole"))
    moments = list(range(1, whole.awaits + 1))
    if not given.thorough:
        # Other cases, other moments: together they meet many.
        seed = crc32(repr((given.make().tables[:80], given.make().faults)).encode())
        moments = random.Random(seed).sample(moments, min(_AWAITS_TRIED, len(moments)))  # noqa: S311, repeats
    for moment in moments:
        asyncio.run(_killed(given, Fuse(burns_at_await=moment), str(moment)))


async def asked_to_end(given: Setting) -> None:
    rig = given.rig()
    sent: list[str] = []
    for _ in range(3):
        _happen(rig, 2)
        sent += await _requests(rig, 1, first=len(rig.case.told or ()) + 100 + len(sent))
        await rig.life(lambda: bool(rig.hub.heartbeats), within_s=0)
    last = rig.hub.heartbeats[-1].state
    must(last == "stopped", f"the last heartbeat says {last}, wanted stopped")
    must(await rig.life(lambda: _all_done(rig, sent)), "the next start did not finish the work")
    _books(rig)


async def misbehaves(given: Setting) -> None:
    rig = given.rig()
    _happen(rig, 5)
    sent = await _requests(rig, 5)
    rig.case.fault(given.variant, 3)
    known = FAULTS.get(given.variant)
    ended = await rig.life(
        lambda: _all_done(rig, sent) and rig.hub.heartbeats[-1].state == "running"
    )
    must(ended, "did not recover")
    wanted = "degraded" if known is None else known.state
    reasons = [beat.reason for beat in rig.hub.heartbeats if beat.state == wanted]
    must(reasons, f"no heartbeat said {wanted}")
    must("campus" in reasons[0], f"the reason does not name the part: {reasons[0]!r}")
    words = known.words if known else ()
    must(
        not words or any(word in reason for word in words for reason in reasons),
        f"no reason names the fault, wanted one of {words}: {reasons[0]!r}",
    )
    _books(rig)
    must(all(_told(rig, event) == 1 for event in sent), "the campus applied a delivery twice")
    must(_parked(rig) == [], "something was parked for a fault of the campus as a whole")


async def ten_bad_minutes(given: Setting) -> None:
    rig = given.rig()
    _happen(rig, 3)
    sent = await _requests(rig, 3)
    rig.case.fault(given.variant, _LONG)
    must(await rig.life(lambda: _all_done(rig, sent), within_s=4 * 3600), "did not recover")
    _books(rig)
    must(_parked(rig) == [], "something was parked although the campus was only unwell")


async def tricks(given: Setting) -> None:
    rig = given.rig()
    _happen(rig, 3)
    must(await rig.life(lambda: _published(rig)), "3 changes did not all arrive")
    rig.case.tricks[given.variant]()
    must(await rig.life(lambda: _published(rig)), "lost something")
    _happen(rig, 2)
    must(await rig.life(lambda: _published(rig)), "lost something that came later")
    more = len(rig.hub.published)
    await rig.life(lambda: len(rig.hub.published) > more, within_s=300)
    _books(rig)
    must(_parked(rig) == [], "something was parked")


async def unmapped(given: Setting) -> None:
    rig = given.rig()
    spoil = rig.case.spoil
    must(spoil is not None, "the case has no spoil()")
    _happen(rig, 2)
    if spoil is not None:
        spoil()
    _happen(rig, 2)
    must(await rig.life(lambda: _published(rig)), "the good ones did not all arrive")
    must(len(rig.hub.applied) == 4, f"{len(rig.hub.applied)} arrived, wanted 4")
    parked = _parked(rig)
    must(
        [one.stage for one in parked] == ["map"], f"parked {len(parked)}, wanted 1 for its mapping"
    )
    must("offering.toml" in parked[0].reason, "the reason does not name the mapping's file")
    shown = await rig.life(lambda: any("1 parked" in beat.reason for beat in rig.hub.heartbeats))
    must(shown, "no heartbeat says that one is parked")


async def check_refused(given: Setting) -> None:
    rig = given.rig()
    config, case = rig.config, rig.case
    parts: list[SourceConfig | SinkConfig] = [*config.sources, *config.sinks]
    for part in parts:
        context = replace(context_of(config, part.name, rig.clock), transport=case.transport)
        case.fault("401", 3)
        opened = part.kind.open(part.options, context)
        try:
            said = await opened.check()
        except ConfigError as error:
            must(str(error), "check says nothing")
        else:
            raise Broken(f"check of {part.name} said {said!r} although our key was refused")
        finally:
            await opened.close()


async def delivered_twice(given: Setting) -> None:
    rig = given.rig()
    rig.hub.repeats = True
    sent = await _requests(rig, 4)
    must(await rig.life(lambda: all(_told(rig, event) for event in sent)), "not all were applied")
    await rig.life(rig.quiet)
    counts = [_told(rig, event) for event in sent]
    must(counts == [1, 1, 1, 1], f"applied {counts} times, wanted once each")


async def flags(given: Setting) -> None:
    rig = given.rig()
    rig.hub.repeats = True
    await rig.hub.flag(US, "flag-1", case_flag("deadline_near"))
    await rig.hub.flag(US, "flag-2", case_flag("deadline_over"))
    must(await rig.life(rig.quiet), "the flags were not all brought")
    wanted = ["flag:flag-1:", "flag:flag-2:"]
    must(rig.case.told == wanted, f"told {rig.case.told}, wanted {wanted}")
    must(_parked(rig) == [], "a flag was parked")


async def poison(given: Setting) -> None:
    rig = given.rig()
    sent = await _requests(rig, 9)
    rig.case.poison.add(sent[4])
    good = [event for event in sent if event != sent[4]]
    shown = await rig.life(lambda: any(beat.state == "degraded" for beat in rig.hub.heartbeats))
    must(shown, "no heartbeat says degraded")
    parked = _parked(rig)
    must([one.stage for one in parked] == ["push"], f"parked {len(parked)}, wanted 1")
    must(sent[4] in parked[0].reason, "the reason does not name the event")
    found = [key.split(":")[1] for key in rig.case.told or () if "event:" in key]
    must(found == good, "the others did not arrive in their order")


async def behind_a_refusal(given: Setting) -> None:
    rig = given.rig()
    first = await _request(rig, 1)
    others = await _requests(rig, 2, first=2)
    second = await _request(rig, 1, version=2)
    rig.case.poison.add(first)
    must(await rig.life(lambda: rig.quiet() and len(_parked(rig)) == 2), "wanted 2 parked")
    must(_told(rig, second) == 0, "the newer version overtook the one that was refused")
    must(all(_told(rig, event) == 1 for event in others), "what is about other things was held up")
    rig.case.poison.clear()
    must(await rig.life(lambda: _told(rig, second) > 0), "the next start did not bring it")
    keys = [key.split(":")[1] for key in rig.case.told or ()]
    must(keys.index(first) < keys.index(second), "brought in the wrong order")
    must(len(keys) == len(set(keys)), "brought twice")


@dataclass(frozen=True, slots=True)
class Question:
    """One rule. `of` says which cases it is put to, `variants` in which ways."""

    name: str
    rule: str
    ask: Callable[[Setting], Coroutine[Any, Any, None]] | Callable[[Setting], None]
    of: Callable[[Case], bool]
    variants: Callable[[Case], tuple[str, ...]] = lambda case: ("",)


def _any(case: Case) -> bool:
    return True


def _source(case: Case) -> bool:
    return case.happen is not None


def _sink(case: Case) -> bool:
    return case.told is not None


def _faults(case: Case) -> tuple[str, ...]:
    return case.faults


def _tricks(case: Case) -> tuple[str, ...]:
    unknown = sorted(set(case.tricks) - set(TRICKS))
    must(not unknown, f"tricks {unknown} are not known; write one of {', '.join(TRICKS)}")
    return tuple(case.tricks)


QUESTIONS = (
    Question("nothing new in a second run", "Restarts are daily bread; each would double the books otherwise.", second_run, _source),
    Question("changes arrive in their order", "Versions count up per subject; out of order the ledger would have to park.", in_order, _source),
    Question("a kill between any two effects", "Power fails between any two effects, and nothing is lost or doubled.", kill_between_effects, _any, lambda case: ("hub believed", "nobody believed")),
    Question("a kill at awaits", "Power fails while tasks wait for each other, and nothing is lost or doubled.", kill_at_awaits, _any),
    Question("an end that was asked for loses nothing", "SIGTERM may come at any time; the next start finishes the work.", asked_to_end, _any),
    Question("a campus that misbehaves is asked again", "Operators see the fault by its name, and nothing is lost.", misbehaves, _any, _faults),
    Question("ten bad minutes park nothing", "A nightly restart must not leave work for people.", ten_bad_minutes, _any, lambda case: case.faults[:1]),
    Question("tricks cost nothing", "What healthy systems do must lose and double nothing.", tricks, _source, _tricks),
    Question("check says what is wrong", "A refused key is found before the first start, in words.", check_refused, lambda case: "401" in case.faults),
    Question("a record that cannot be mapped parks alone", "One wrong record must not hold up the thousand behind it, nor vanish.", unmapped, _source),
    Question("what is delivered twice is applied once", "A hub that crashed may deliver again; a student must not be enrolled twice.", delivered_twice, _sink),
    Question("a flag is told once", "A deadline that nobody hears of is missed; one told twice is believed less.", flags, _sink),
    Question("a poison delivery parks alone", "The campus refuses one enrollment; the others go on, and a person finds out why.", poison, _sink),
    Question("what waits behind a refusal comes in order", "Of one enrollment, the newer word must not overtake the older.", behind_a_refusal, _sink),
)  # fmt: skip
