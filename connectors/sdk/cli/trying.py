"""Reading a campus's real records to look at them, and what would become of them. Publishes, stores and acknowledges nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, SourceConfig
from connectors.sdk.contract import ConfigError, Context, Item, Permanent
from connectors.sdk.mapping.coverage import Coverage
from connectors.sdk.mapping.event import EventMapping
from connectors.sdk.mapping.expressions import compile_path
from connectors.sdk.runtime.outgoing import Mapper
from schemas.codec import decode, to_json

_EMPTY_PAGES = 5  # pages without a record that say there is more: a kind may pass over files that are not for it


def context_of(config: Config, name: str, clock: Clock) -> Context:
    """What a kind gets when nothing may be remembered."""
    return Context(config.folder, config.member.code, name, clock)


def chosen(config: Config, name: str | None) -> list[SourceConfig]:
    """The source of this name, or all. Raises `ConfigError` when there is none."""
    found = [source for source in config.sources if name in (None, source.name)]
    if name is not None and not found:
        names = ", ".join(source.name for source in config.sources) or "none: it has no source"
        raise ConfigError(f"{config.folder}: no source {name!r}; write one of {names}")
    return found


async def records(
    config: Config, source: SourceConfig, clock: Clock, *, count: int, cursor: str | None = None
) -> AsyncIterator[Item]:
    """Up to `count` records of a source after a cursor. Raises as `Source.page` does."""
    opened = source.kind.open(source.options, context_of(config, source.name, clock))
    empty = 0
    try:
        while count > 0:
            page = await opened.page(cursor)
            for item in page.items[:count]:
                yield item
            count -= len(page.items)
            empty = 0 if page.items else empty + 1
            if not page.more or empty > _EMPTY_PAGES:
                return
            cursor = page.cursor
    finally:
        await opened.close()


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that would be parked: where it stands at the campus, and why."""

    origin: str
    code: str
    message: str

    def to_json(self) -> dict[str, str]:
        return {"origin": self.origin, "code": self.code, "message": self.message}


@dataclass(slots=True)
class Tried:
    """What the records of one source would come to. `left_out` are passed over by a named rule (`ignore`, nothing new)."""

    source: str
    coverage: Coverage
    records: int = 0
    left_out: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "records": self.records,
            "leftOut": self.left_out,
            "events": self.events,
            "refused": [one.to_json() for one in self.refused],
            "coverage": self.coverage.to_json(),
        }


def begun(source: SourceConfig) -> Tried:
    """Nothing tried yet."""
    also = [source.table.select, source.table.changes and source.table.changes.key]
    coverage = Coverage(
        {mapping.file: mapping for mapping in source.mappings.values()}.values(),
        [expression for expression in also if expression],
    )
    return Tried(source.name, coverage)


async def attempt(
    config: Config,
    source: SourceConfig,
    clock: Clock,
    tried: Tried,
    *,
    count: int,
    cursor: str | None = None,
    seen: Callable[[Item, dict[str, Any] | Refused | None], None] = lambda item, result: None,
) -> None:
    """Map and encode records as a run would, into `tried`; `seen` is told each as it comes. Raises as `Source.page` does."""
    mapper = Mapper(source, config.signer, None)
    select = _selecting(source)
    async for item in records(config, source, clock, count=count, cursor=cursor):
        tried.records += 1
        mapping = select(item.data)
        try:
            event, _ = mapper.event(item, clock.now())
        except Permanent as error:
            refused = Refused(item.origin, error.code, str(error))
            tried.refused.append(refused)
            tried.coverage.add(mapping, item.data, error)
            seen(item, refused)
            continue
        if event is None:
            tried.left_out += 1
            tried.coverage.add(mapping, item.data, None)
            seen(item, None)
            continue
        record = decode(event.value)
        shown = {event.event: to_json(record)}
        tried.events.append(shown)
        tried.coverage.add(mapping, item.data, record)
        seen(item, shown)


def _selecting(source: SourceConfig) -> Callable[[Any], EventMapping | None]:
    """Which mapping a record would have; None where there is none for it."""
    if source.table.select is None:
        return lambda data: source.mappings[""]
    path = compile_path(source.table.select)

    def select(data: Any) -> EventMapping | None:
        value = path(data)
        return source.mappings.get(value) if isinstance(value, str) else None

    return select
