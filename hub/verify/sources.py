"""Where a log is read from: a folder of tiles, the same under a web address, or a broker. Nothing read here is believed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from hub.verify.outcome import Code, Failure

FILE_BYTES = 17 * 1024 * 1024  # the largest bundle has 256 times 65,537 bytes (C2SP tlog-tiles)
TIMEOUT_S = 30  # of one request, and of a broker that says nothing
TRIES = 3
FIRST, TILES = "checkpoint", "tile"

Record: TypeAlias = tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]  # key, value, headers


class Files(Protocol):
    """The files of a log by their path below its prefix."""

    @property
    def name(self) -> str:
        """As the user gave it."""

    def read(self, path: str) -> bytes:
        """The bytes at a path. Raises `FileNotFoundError` when there are none, `Failure` when nobody can tell."""

    def stored(self) -> list[str] | None:
        """All paths of tiles and bundles there are, or None where they cannot be listed."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of tiles."""

    base: Path

    @property
    def name(self) -> str:
        return str(self.base)

    def read(self, path: str) -> bytes:
        with (self.base / path).open("rb") as file:
            return _whole(file.read(FILE_BYTES + 1), path)

    def stored(self) -> list[str] | None:
        top = self.base / TILES
        return sorted(
            Path(folder, name).relative_to(self.base).as_posix()
            for folder, _, names in os.walk(top)
            for name in names
        )


@dataclass(frozen=True, slots=True)
class Web:
    """The same files under a web address. A server that is unwell is asked three times."""

    base: str

    @property
    def name(self) -> str:
        return self.base

    def read(self, path: str) -> bytes:
        request = Request(f"{self.base}/{path}", headers={"User-Agent": "alliance-verify"})  # noqa: S310  # http(s) only, see open_files
        for left in range(TRIES - 1, -1, -1):
            try:
                with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310  # the same
                    return _whole(answer.read(FILE_BYTES + 1), path)
            except HTTPError as error:
                error.close()  # it is the answer, too
                if error.code in (404, 410):
                    raise FileNotFoundError(
                        2, "the server has no such file", f"{self.base}/{path}"
                    ) from error
                if left == 0 or error.code < 500:
                    raise self._unwell(path, f"status {error.code}") from error
            except (URLError, TimeoutError, ConnectionError) as error:
                if left == 0:
                    raise self._unwell(path, getattr(error, "reason", error)) from error
        raise AssertionError("the last try ends above")  # pragma: no cover

    def stored(self) -> list[str] | None:
        return None

    def _unwell(self, path: str, found: object) -> Failure:
        return Failure(
            Code.UNREADABLE,
            f"{self.base}/{path}",
            found,
            "the file",
            "try again later, or name another copy of the log",
        )


def _whole(data: bytes, path: str) -> bytes:
    if len(data) > FILE_BYTES:
        raise Failure(
            Code.UNREADABLE, path, f"more than {FILE_BYTES} bytes", "a file of a log", "name a log"
        )
    return data


def open_files(text: str) -> Files:
    """The files of a folder or web address. Raises `Failure` for anything else."""
    scheme = urlsplit(text).scheme
    if scheme in ("http", "https"):
        return Web(text.rstrip("/"))
    folder = Path(text)
    if not folder.is_dir():
        raise Failure(
            Code.UNREADABLE,
            text,
            "no folder",
            "a folder of tiles, or an address with http:// or https://",
        )
    return Folder(folder)


def is_broker(text: str) -> bool:
    """Whether a source is a broker: kafka://host:port[,host:port]."""
    return text.startswith("kafka://")


@dataclass(frozen=True, slots=True)
class Broker:
    """Topics of one partition, read from the start to what is there when reading begins."""

    bootstrap: str

    @classmethod
    def parse(cls, text: str) -> Broker:
        """The broker of `kafka://host:port`."""
        return cls(text.removeprefix("kafka://").rstrip("/"))

    def end(self, topic: str) -> int:
        """How many records a topic has had."""
        return asyncio.run(self._end(topic))

    def records(self, topic: str) -> Iterator[Record]:
        """All records in their order. Memory does not grow with the topic."""
        kafka = _aiokafka()
        place = kafka.TopicPartition(topic, 0)
        with asyncio.Runner() as runner:
            consumer = runner.run(self._started(place))
            try:
                end = runner.run(_ask(consumer.end_offsets([place])))[place]
                runner.run(_ask(consumer.seek_to_beginning(place)))
                position = runner.run(_ask(consumer.position(place)))
                while position < end:
                    batch = runner.run(
                        _ask(consumer.getmany(place, timeout_ms=TIMEOUT_S * 1000, max_records=1000))
                    )
                    if not batch:
                        raise Failure(
                            Code.UNREADABLE,
                            f"{topic} at offset {position}",
                            f"nothing for {TIMEOUT_S} s",
                            f"records up to {end}",
                            "is the broker well? try again",
                        )
                    for message in batch[place]:
                        if message.offset >= end:
                            return
                        yield message.key or b"", message.value or b"", tuple(message.headers)
                    position = batch[place][-1].offset + 1
            finally:
                runner.run(consumer.stop())

    async def _end(self, topic: str) -> int:
        place = _aiokafka().TopicPartition(topic, 0)
        consumer = await self._started(place)
        try:
            found: dict[Any, int] = await consumer.end_offsets([place])
            return found[place]
        finally:
            await consumer.stop()

    async def _started(self, place: Any) -> Any:
        kafka = _aiokafka()
        consumer = kafka.AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        consumer.assign([place])
        try:
            await consumer.start()
        except kafka.errors.KafkaError as error:
            await consumer.stop()
            raise Failure(
                Code.UNREADABLE,
                f"kafka://{self.bootstrap}",
                f"{type(error).__name__}: {error}",
                "a broker that answers",
                "is the address right, and may this machine reach it?",
            ) from error
        return consumer


async def _ask(question: Any) -> Any:
    return await question


def _aiokafka() -> Any:
    try:
        import aiokafka
    except ImportError as error:
        raise Failure(
            Code.UNREADABLE,
            "aiokafka",
            "not installed",
            "it, to read from a broker",
            "run: pip install 'aiokafka>=0.14,<0.15'; or read a folder or web address of the log",
        ) from error
    return aiokafka
