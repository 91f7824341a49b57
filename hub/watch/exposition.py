"""`/metrics`, `/livez` and `/readyz` of a part of the hub, off unless asked for. What is counted are the lines a part logs.

A part logs one line for each batch it handled, so its log says how it works, and counting the lines costs it nothing else.
There is no login: keep the address where only Prometheus reaches it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from hub.errors import SettingsError

log = structlog.get_logger("metrics")

REQUEST_WITHIN_S = 5.0
REQUEST_BYTES = 8_192
MOST_EVENTS = 200  # names of log lines counted apart
LATE_S = 5.0  # a loop that is so late answers nobody in time
PROBE_S = 1.0


@dataclass(slots=True)
class Counted:
    """What a part did, by the lines it logged. `clock_s` since 1970."""

    part: str
    instance: str
    clock_s: Callable[[], float]
    started_s: float = 0.0
    events: dict[tuple[str, str], int] = field(default_factory=dict)
    last_event_s: float = 0.0
    loop_delay_s: float = 0.0
    ended: bool = False

    def __post_init__(self) -> None:
        self.started_s = self.clock_s()

    def see(
        self, _logger: Any, level: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A processor of structlog: counts the line and passes it on."""
        key = (str(line.get("event", ""))[:80], level)
        if key not in self.events and len(self.events) >= MOST_EVENTS:
            key = ("other", level)
        self.events[key] = self.events.get(key, 0) + 1
        self.last_event_s = self.clock_s()
        return line

    def reasons(self) -> list[str]:
        """Why the part is not ready; empty when it is."""
        found = []
        if self.ended:
            found.append(f"{self.part} has ended; read its log")
        if self.loop_delay_s > LATE_S:
            found.append(f"{self.part} is late by {self.loop_delay_s:.0f} s; give it more of the machine")  # fmt: skip
        return found


class _Part(Collector):
    def __init__(self, counted: Counted) -> None:
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        now = self._counted
        info = GaugeMetricFamily(
            "alliance_process_info", "What runs here.", labels=["part", "instance", "version"]
        )
        info.add_metric([now.part, now.instance, version("alliance-hub")], 1)
        yield info
        lines = CounterMetricFamily(
            "alliance_process_log_lines",
            "Lines logged, by what they tell; a part logs one for each batch it handled.",
            labels=["part", "event", "level"],
        )
        for (event, level), count in sorted(now.events.items()):
            lines.add_metric([now.part, event, level], count)
        yield lines
        for name, words, value in (
            ("alliance_process_up_since_timestamp_seconds", "When the part started.", now.started_s),
            ("alliance_process_last_log_timestamp_seconds", "When it last logged a line; 0: never.", now.last_event_s),
            ("alliance_process_loop_delay_seconds", "How late its event loop was at the last probe.", now.loop_delay_s),
            ("alliance_process_ready", "1 while /readyz answers 200.", float(not now.reasons())),
        ):  # fmt: skip
            gauge = GaugeMetricFamily(name, words, labels=["part"])
            gauge.add_metric([now.part], value)
            yield gauge


def part_page(counted: Counted) -> bytes:
    """The part in Prometheus' text format, with the figures of its process where the system tells them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Part(counted))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def answer(method: str, path: str, counted: Counted) -> tuple[int, str, bytes]:
    """Status, content type and body of a request. Pure but for the figures of the process."""
    if method not in ("GET", "HEAD"):
        return 405, "text/plain; charset=utf-8", b"use GET\n"
    match path.partition("?")[0]:
        case "/metrics":
            return 200, CONTENT_TYPE_LATEST, part_page(counted)
        case "/livez":
            return 200, "text/plain; charset=utf-8", b"ok\n"
        case "/readyz":
            reasons = counted.reasons()
            body = json.dumps({"ready": not reasons, "reasons": reasons}).encode()
            return (503 if reasons else 200), "application/json", body
    return 404, "text/plain; charset=utf-8", b"see /metrics, /livez, /readyz\n"


def address_of(
    part: str, parts: list[str], environ: Mapping[str, str], asked: str = ""
) -> tuple[str, int] | None:
    """Where a part is to be asked: as it was told, else `ALLIANCE_METRICS_PORT_BASE` and its place among the parts, else nowhere.

    The base is `9400` or `host:9400`; without a host it is the loopback address. Raises `SettingsError`.
    """
    name, text = ("--metrics", asked) if asked else ("ALLIANCE_METRICS_PORT_BASE", environ.get("ALLIANCE_METRICS_PORT_BASE", ""))  # fmt: skip
    if not text:
        return None
    host, _, port = text.rpartition(":")
    number = int(port) if port.isdecimal() and len(port) < 6 else 0
    if not asked and number:
        number += parts.index(part)
    if not 0 < number < 65_536:
        raise SettingsError(f"{name} is {text!r}, wanted a port such as 9400 or 127.0.0.1:9400")
    return host or "127.0.0.1", number


@asynccontextmanager
async def exposed(counted: Counted, address: tuple[str, int] | None) -> AsyncIterator[None]:
    """Answer at the address while the part runs. An address that is taken costs the figures and nothing else."""
    if address is None:
        yield
        return
    structlog.configure(processors=[*_before_last(), counted.see, *_last()])
    try:
        server = await asyncio.start_server(
            lambda reader, writer: _serve(reader, writer, counted), *address, limit=REQUEST_BYTES
        )
    except OSError as error:
        log.warning("metrics_off", address=f"{address[0]}:{address[1]}", why=str(error))
        yield
        return
    probe = asyncio.create_task(_probe(counted))
    try:
        yield
    finally:
        probe.cancel()
        with suppress(asyncio.CancelledError):
            await probe
        server.close()


def _before_last() -> list[Any]:
    return list(structlog.get_config()["processors"])[:-1]


def _last() -> list[Any]:
    return list(structlog.get_config()["processors"])[-1:]


async def _probe(counted: Counted) -> None:
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time()
        await asyncio.sleep(PROBE_S)
        counted.loop_delay_s = max(0.0, loop.time() - asked - PROBE_S)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: Counted
) -> None:
    try:
        async with asyncio.timeout(REQUEST_WITHIN_S):
            head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
            status, content_type, body = answer(method, rest.split(" ")[0], counted)
            words = {200: "OK", 404: "Not Found", 405: "Method Not Allowed"}.get(status, "Unavailable")  # fmt: skip
            writer.write(
                f"HTTP/1.1 {status} {words}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
                "connection: close\r\n\r\n".encode()
                + (b"" if method == "HEAD" else body)
            )
            await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # whoever asked has gone, or speaks no HTTP
    finally:
        writer.close()
