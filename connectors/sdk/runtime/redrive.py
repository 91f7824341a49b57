"""What is parked is tried again: in order, of one key up to the first that does not pass.

Owns the engine for records of a campus, what a trial comes to, and the commands `redrive` and `drop`; deliveries are tried
again by `connectors.sdk.runtime.deliverer`, which alone may speak with sinks. Each commit holds whole results, so a kill loses
nothing and the next start goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, SourceConfig, load_config
from connectors.sdk.contract import ConfigError, ConnectorError
from connectors.sdk.private.vault import Vault
from connectors.sdk.runtime.breaker import Breaker
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.state.file import State
from connectors.sdk.state.parking import Choice, Failure, Parked
from schemas import envelope

_ROWS = (
    200  # parked things tried between two commits; a redrive of a term must not hold the others up
)
_REUSED = "its event id is another event's; make a new id at the source, then drop this one"


@dataclass(slots=True)
class Report:
    """What trying again came to. `unknown` are those of which only the campus can tell, in a trial that writes nothing.

    `failed` are heads that did not pass, `behind` what therefore still waits behind them.
    """

    passed: int = 0
    failed: list[Failure] = field(default_factory=list)
    waiting: list[Failure] = field(default_factory=list)
    behind: int = 0
    unknown: int = 0
    stopped: str = ""  # why the rest was not tried

    @property
    def tried(self) -> int:
        """All that was meant, as far as it was reached."""
        return self.passed + len(self.failed) + len(self.waiting) + self.behind + self.unknown

    def add(self, more: Report) -> None:
        """As one with another part's."""
        self.passed += more.passed
        self.failed += more.failed
        self.waiting += more.waiting
        self.behind += more.behind
        self.unknown += more.unknown
        self.stopped = self.stopped or more.stopped

    def to_json(self, *, dry: bool) -> dict[str, Any]:
        """For `--json` and for answers to commands. Only `brief` may leave the campus: reasons hold values."""
        return {
            "dry": dry,
            "tried": self.tried,
            "passed": self.passed,
            "failed": [
                {"number": one.number, "code": one.code, "reason": one.reason}
                for one in self.failed
            ],
            "waiting": [{"number": one.number, "reason": one.reason} for one in self.waiting],
            "behind": self.behind,
            "unknown": self.unknown,
            "stopped": self.stopped,
            "brief": self.brief(dry=dry),
        }

    def brief(self, *, dry: bool) -> str:
        """In one line, without values."""
        words = f"{self.passed} of {self.tried} {'would now pass' if dry else 'passed'}"
        codes = Counter(one.code for one in self.failed)
        more = [f"{count} not ({code})" for code, count in codes.most_common()]
        more += [f"{len(self.waiting)} tried again soon"] if self.waiting else []
        more += [f"{self.behind} behind them"] if self.behind else []
        if self.unknown:
            more.append(
                f"{self.unknown} can be read, whether the campus takes them shows when they are brought"
            )
        more += ["stopped before the end"] if self.stopped else []
        return "; ".join([words, *more])


class Queues(Protocol):
    """Parked things of one source."""

    def use(self, source: SourceConfig) -> None: ...

    def redrive(self, choice: Choice, *, commanded: bool) -> Report: ...

    def rehearse(self, choice: Choice, source: SourceConfig | None = None) -> Report: ...


class Deliveries(Protocol):
    """Parked things of the inbox and all sinks."""

    waiting: asyncio.Event

    async def redrive(self, choice: Choice, *, commanded: bool) -> Report: ...

    def rehearse(self, choice: Choice) -> Report: ...

    def turn(self) -> asyncio.Lock: ...


class SourceQueues:
    """The parked records of one source."""

    def __init__(
        self, name: str, mapper: Mapper, state: State, vault: Vault | None, clock: Clock
    ) -> None:  # fmt: skip
        self.part = f"source.{name}"
        self._name = name
        self._mapper = mapper
        self._state = state
        self._vault = vault
        self._clock = clock

    def redrive(self, choice: Choice, *, commanded: bool) -> Report:
        """Map what is meant again, and store the events of what passes. Runs to its end: nothing comes between."""
        report = Report()
        for queues, hopeless in self._pieces(choice):
            with self._vault.store.together() if self._vault else nullcontext():
                mapped = self._mapper.again(queues, self._clock.now())
            mapped.failed += hopeless
            self._state.commit_page(self._name, None, mapped, self._now_ms(), commanded=commanded)
            _count(report, queues, mapped.passed, mapped.failed)
        return report

    def use(self, source: SourceConfig) -> None:
        """From now on, map as this says."""
        self._mapper.use(source)

    def rehearse(self, choice: Choice, source: SourceConfig | None = None) -> Report:
        """What `redrive` would come to, mapping as `source` says. Stores nothing, not even pseudonyms."""
        report = Report()
        mapper = self._mapper.dry(source)
        for queues, hopeless in self._pieces(choice):
            mapped = mapper.again(queues, self._clock.now())
            _count(report, queues, mapped.passed, [*mapped.failed, *hopeless])
        return report

    def _pieces(self, choice: Choice) -> Iterator[tuple[list[list[Parked]], list[Failure]]]:
        """The queues that are meant, some at a time, as they are when their turn comes; and what no mapping helps."""
        queues: list[list[Parked]] = []
        hopeless: list[Failure] = []
        for number, key in self._state.parking.heads(replace(choice, part=self.part)):
            row = self._state.parking.row(number)
            if row is None:
                continue
            if row.stage == "map":
                queues.append([row] if key is None else self._state.parking.queue(self.part, key))
            else:
                hopeless.append(Failure(number, f"{row.reason}; {_REUSED}", row.brief, row.code))
            if sum(map(len, queues)) + len(hopeless) >= _ROWS:
                yield queues, hopeless
                queues, hopeless = [], []
        if queues or hopeless:
            yield queues, hopeless

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())


def _count(
    report: Report,
    queues: Sequence[Sequence[Parked]],
    passed: Sequence[int],
    failed: Sequence[Failure],
) -> None:
    stopped = {one.number for one in failed}
    done = stopped.union(passed)
    report.passed += len(passed)
    report.failed += failed
    for queue in queues:
        if any(row.number in stopped for row in queue):
            report.behind += sum(row.number not in done for row in queue)


class Redriver:
    """What people do about parked things, of all parts of one connector.

    `reread` gives the sources by part as their files are now: whoever has something tried again has corrected a mapping.
    It raises `ConfigError` when they do not hold together. `ready` is told each part that may go on at once.
    """

    def __init__(
        self, sources: Mapping[str, Queues], deliveries: Deliveries, state: State, breaker: Breaker,
        now_ms: Callable[[], int], reread: Callable[[], Mapping[str, SourceConfig]],
        ready: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._sources = sources
        self._deliveries = deliveries
        self._state = state
        self._breaker = breaker
        self._now_ms = now_ms
        self._reread = reread
        self._ready = ready

    async def redrive(self, choice: Choice) -> Report:
        """Try again what is meant, in order, with mappings and code tables as they are now, which hold from then on.

        A breaker closes. Raises `ConfigError` when the folder's files do not hold together.
        """
        report = Report()
        for part, source in self._reread().items():
            if part in self._sources:
                self._sources[part].use(source)
        for part, queues in self._sources.items():
            if choice.part in (None, part):
                report.add(queues.redrive(choice, commanded=True))
        for part in self._state.parking.breakers():
            if choice.part in (None, part):
                self._breaker.close(part, self._now_ms())
                self._ready(part)
        if choice.part not in self._sources:
            try:
                report.add(await self._deliveries.redrive(choice, commanded=True))
            except ConnectorError as error:
                report.stopped = str(error)
        return report

    def rehearse(self, choice: Choice) -> Report:
        """What would come of it, as far as that can be told without writing anywhere."""
        report = Report()
        fresh = self._reread()
        for part, queues in self._sources.items():
            if choice.part in (None, part):
                report.add(queues.rehearse(choice, fresh.get(part)))
        if choice.part not in self._sources:
            report.add(self._deliveries.rehearse(choice))
        return report

    async def drop(self, numbers: Sequence[int], by: str, why: str) -> list[Parked]:
        """Give these up. Raises `ConfigError` without a reason."""
        if not why.strip():
            raise ConfigError(
                "a dropped record is gone; say why, with --why: whoever asks for it will want to know"
            )
        async with self._deliveries.turn():
            dropped = self._state.drop_parked(numbers, by, why, self._now_ms())
        for part in {row.part for row in dropped}.intersection(self._sources):
            due = Choice(part, due_before=self._now_ms())
            self._sources[part].redrive(due, commanded=False)
        self._deliveries.waiting.set()
        return dropped

    async def on_redrive(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The command `redrive`: `number`, `cause`, `key`, `part`, or `all`; `dry` only says what would pass."""
        choice = chosen(args)
        check(self._state, choice)
        dry = bool(args.get("dry"))
        report = self.rehearse(choice) if dry else await self.redrive(choice)
        return report.to_json(dry=dry)

    async def on_drop(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The command `drop`: `numbers`, `by` and `why`. One that is gone already is not an error: a kill may repeat it."""
        numbers = [int(number) for number in args.get("numbers", ())]
        dropped = await self.drop(numbers, str(args.get("by", "")), str(args.get("why", "")))
        return {"brief": f"{len(dropped)} dropped", "dropped": [row.number for row in dropped]}

    def on_resumed(self, part: str) -> None:
        """A person lets a part go on whose breaker may be open."""
        if self._breaker.reason(part):
            self._breaker.close(part, self._now_ms(), grant=True)
            self._ready(part)
        self._deliveries.waiting.set()


def sources_now(config: Config) -> dict[str, SourceConfig]:
    """The sources of a folder as its files are now, by part."""
    return {f"source.{one.name}": one for one in load_config(config.folder).sources}


def chosen(args: Mapping[str, Any]) -> Choice:
    """What a command means. Raises `ConfigError` when it names nothing: all must be said."""
    number = args.get("number")
    part, cause, key = (
        str(args[name]) if args.get(name) else None for name in ("part", "cause", "key")
    )
    if number is None and not (part or cause or key) and not args.get("all"):
        raise ConfigError("redrive what? Name a number, --cause, --key or --part; or --all")
    return Choice(part, None if number is None else int(number), cause, key)


def check(state: State, choice: Choice) -> None:
    """Raises `ConfigError` when a number is not parked, or waits behind another."""
    if choice.number is None:
        return
    row = state.parking.row(choice.number)
    if row is None:
        raise ConfigError(
            f"nothing is parked under number {choice.number}; run: alliance connector parked ls"
        )
    head = state.parking.head_of(row)
    if head != row.number:
        raise ConfigError(
            f"number {row.number} waits behind number {head} of its key; redrive or drop that one first"
        )
