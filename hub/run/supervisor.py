"""Start the parts as processes by their command lines, watch them, restart what dies, stop all by process id.

The parts know nothing of each other or of this; in production systemd or an orchestrator does the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hub.broker.kafka import command_line
from hub.errors import HubError

log = structlog.get_logger("supervisor")

PIDS = "pids.json"
STOP_WITHIN_S = 20.0
RESTARTS = 5  # in a row, each sooner than STEADY_S after its start; then the part is given up
STEADY_S = 20.0


class PartFailed(HubError):
    """A part died again and again; the message names its log."""


def alliance_command(*arguments: str) -> list[str]:
    """The command line of one of our own processes, in this interpreter."""
    return [sys.executable, "-P", "-m", "hub", *arguments]


@dataclass(slots=True)
class Part:
    """One process: how it is started, and how it is."""

    name: str
    command: Sequence[str]
    log_file: Path
    process: asyncio.subprocess.Process | None = None
    started_at: float = 0.0
    kills: int = 0
    failures: int = 0
    stopping: bool = False


@dataclass(slots=True)
class Supervisor:
    """The processes of one run. `env` is added to the environment of each."""

    folder: Path
    env: Mapping[str, str]
    parts: dict[str, Part] = field(default_factory=dict)
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, name: str, command: Sequence[str]) -> None:
        """Start a part and keep it running. Its output goes to `<folder>/<name>.log`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = Part(name, command, self.folder / f"{name}.log")
        self.parts[name] = part
        await self._spawn(part)
        self._watchers.append(asyncio.create_task(self._watch(part)))

    def _remember(self) -> None:
        """Keep the process ids, so that a later run can stop what this one left behind if it is killed itself."""
        pids = [part.process.pid for part in self.parts.values() if part.process is not None]
        (self.folder / PIDS).write_text(json.dumps(pids), encoding="utf-8")

    async def _spawn(self, part: Part) -> None:
        with part.log_file.open("ab") as output:
            part.process = await asyncio.create_subprocess_exec(
                *part.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.env},
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the parts in order
            )
        part.started_at = asyncio.get_running_loop().time()
        self._remember()

    async def _watch(self, part: Part) -> None:
        while part.process is not None:
            code = await part.process.wait()
            if part.stopping:
                return
            early = asyncio.get_running_loop().time() - part.started_at < STEADY_S
            killed = code == -signal.SIGKILL
            part.failures = part.failures + 1 if early and not killed else 0
            log.warning("restart", part=part.name, exit_code=code, failures=part.failures)
            if part.failures >= RESTARTS:
                self.failed.set()
                return
            await asyncio.sleep(0.2 * 2**part.failures if part.failures else 0)
            if not part.stopping:
                await self._spawn(part)

    def kill(self, name: str) -> None:
        """SIGKILL a part, as a crash would; the supervisor starts it again."""
        part = self.parts[name]
        if part.process is not None and part.process.returncode is None:
            part.kills += 1
            part.process.kill()

    def raise_if_failed(self) -> None:
        """Raise `PartFailed` when a part was given up."""
        for part in self.parts.values():
            if part.failures >= RESTARTS:
                raise PartFailed(
                    f"{part.name} ended {RESTARTS} times in a row; read {part.log_file}\n{tail(part.log_file)}"
                )

    async def stop(self, *names: str) -> None:
        """SIGTERM the named parts, or all; SIGKILL what is still there after 20 s."""
        chosen = [self.parts[name] for name in names] if names else list(self.parts.values())
        for part in chosen:
            part.stopping = True
            if part.process is not None and part.process.returncode is None:
                part.process.terminate()
        for part in chosen:
            if part.process is None:
                continue
            try:
                await asyncio.wait_for(part.process.wait(), STOP_WITHIN_S)
            except TimeoutError:
                part.process.kill()
                await part.process.wait()
        if not names:
            await asyncio.gather(*self._watchers, return_exceptions=True)
            (self.folder / PIDS).unlink(missing_ok=True)

    def pid(self, name: str) -> int | None:
        """The process id of a running part."""
        process = self.parts[name].process
        return process.pid if process is not None and process.returncode is None else None


def stop_leftovers(folder: Path) -> list[int]:
    """Stop parts that a killed supervisor left running under this folder; return their process ids.

    A process id is only used when its command line is still one of ours.
    """
    try:
        pids: list[int] = json.loads((folder / PIDS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    ours = [pid for pid in pids if " -m hub " in command_line(pid)]
    for pid in ours:
        os.kill(pid, signal.SIGTERM)
    (folder / PIDS).unlink(missing_ok=True)
    return ours


def tail(path: Path, lines: int = 5) -> str:
    """The last lines of a log, shortened."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line[:300]}" for line in text[-lines:])
