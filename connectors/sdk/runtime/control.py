"""Commands to a running connector: from people at this machine, and from the hub's operators as far as the campus allows.

Owns what a command needs to have an effect: it is a row of the state file first, is executed in the order it was asked, and
is answered whatever becomes of it. A kill between effect and answer has it executed again by the next start, so handlers
are repeatable: pausing twice is pausing.

A handler gets the command's arguments and `command` (its id), `by` and `why`; it returns what the person who asked is shown.
Of that only `brief` leaves the campus. It raises `ConnectorError` for what cannot be done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config
from connectors.sdk.contract import ConfigError, ConnectorError
from connectors.sdk.runtime.kafka import Bus, Inbox, Incoming, Message
from connectors.sdk.runtime.keeping import Gate, Health, said
from connectors.sdk.runtime.parts import Part, Parts
from connectors.sdk.state.commands import Command, Commands, Wanted
from connectors.sdk.state.file import State
from schemas import envelope, topics
from schemas.codec import Unreadable, decode, encode
from schemas.records import ConnectorCommand, ConnectorCommandAnswer

Handler: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
POLL_S = 1.0  # how soon a command of another process is seen; one look at an index
SETTLE_S = 5.0  # how long an answer waits for the step under way
TOO_OLD_S = 900  # a command of the hub's; who asked has long gone another way
_COMMANDS_LIMIT = 200
_LONGEST_BRIEF = 500  # characters


class Control:
    """The commands of one connector. `resumed` is called with the name of each part that may run again."""

    def __init__(
        self, config: Config, state: State, bus: Bus, clock: Clock, parts: Parts, health: Health, log: Any
    ) -> None:  # fmt: skip
        self.handlers: MutableMapping[str, Handler] = {
            "pause": self._pause,
            "stop": self._stop,
            "resume": self._resume,
            "restart": self._restart,
            "cursor": self._cursor,
        }
        self.resumed: list[Callable[[str], None]] = []
        self.gate = Gate()  # nudged by whoever asks from inside this process
        self._config = config
        self._state = state
        self._bus = bus
        self._clock = clock
        self._parts = parts
        self._health = health
        self._log = log
        self._held: Sequence[Incoming] = ()
        self._answered = asyncio.Event()

    async def step(self) -> None:
        """Execute what is asked, then look again a little later."""
        for command in self._state.commands.open():
            await self._execute(command)
            self._answered.set()
        self.gate.nudged.clear()
        await self._clock.wait(self.gate.nudged, POLL_S)

    def ask(self, command: Command) -> None:
        """A command from inside this process."""
        self._state.commands.write(command)
        self.gate.nudged.set()

    async def _execute(self, command: Command) -> None:
        table = self._state.commands
        table.take(command.id, self._now_ms())
        handler = self.handlers.get(command.verb)
        if handler is None:
            known = ", ".join(sorted(self.handlers))
            table.finish(
                command.id,
                "refused",
                {"brief": f"no verb {command.verb!r}; known are {known}"},
                self._now_ms(),
            )
            return
        args = {**command.args, "command": command.id, "by": command.by, "why": command.why}
        try:
            answer = await handler(args)
        except Exception as error:  # noqa: BLE001, a command that fails must not end the connector, nor be tried for ever
            surprise = error if not isinstance(error, ConnectorError) else None
            self._log.warning(
                "command_failed",
                verb=command.verb,
                command=command.id,
                reason=str(error),
                exc_info=surprise,
            )
            failed = {
                "error": str(error) or type(error).__name__,
                "brief": said(error),
            }
            table.finish(command.id, "failed", failed, self._now_ms())
            return
        table.finish(command.id, "done", answer, self._now_ms())
        self._log.info(
            "command_done",
            verb=command.verb,
            command=command.id,
            by=command.by,
            said=answer.get("brief", ""),
        )

    # The hub's ------------------------------------------------------------------------------------------------------

    async def hear(self, inbox: Inbox) -> None:
        """Some of the hub's commands: those for us become rows, with the position, before anything is done about them."""
        self._held = self._held or await inbox.take(_COMMANDS_LIMIT)
        member = self._config.member
        found = []
        for message in self._held:
            try:
                asked = decode(message.value)
            except Unreadable:
                continue  # of a newer hub; nothing says that it was for us
            if isinstance(asked, ConnectorCommand) and (asked.member, asked.connector) == (
                member.code,
                member.name,
            ):
                found.append(
                    judged(asked, self._clock.now(), self._config.runtime.remote, self.handlers)
                )
        self._state.commands.receive(found, self._held[-1].offset + 1)
        self._held = ()
        if found:
            self.gate.nudged.set()
            self._answered.set()

    async def tell(self) -> None:
        """Answer the hub's commands; or wait until there is something to answer."""
        self._answered.clear()
        told = self._state.commands.untold()
        if not told:
            await self._answered.wait()
            return
        code = self._config.member.code
        answers = [
            ConnectorCommandAnswer(
                command_id=command.id,
                member=code,
                connector=self._config.member.name,
                verb=command.verb,
                outcome=command.outcome or "failed",
                reason=str((command.answer or {}).get("brief", ""))[:_LONGEST_BRIEF],
                at=envelope.from_millis(command.done_at or 0),
            )
            for command in told
        ]
        await self._bus.publish(
            topics.COMMAND_ANSWERS,
            [Message(code.encode(), encode(answer), []) for answer in answers],
        )
        self._state.commands.told([command.id for command in told], self._now_ms())

    # Verbs ----------------------------------------------------------------------------------------------------------

    async def _pause(self, args: Mapping[str, Any]) -> dict[str, Any]:
        return await self._hold(args, "paused")

    async def _stop(self, args: Mapping[str, Any]) -> dict[str, Any]:
        return await self._hold(args, "stopped")

    async def _hold(self, args: Mapping[str, Any], how: str) -> dict[str, Any]:
        parts = self._parts.select(args.get("part"))
        wanted = [Wanted(part.name, how, args["by"], args["why"], self._now_ms()) for part in parts]
        self._state.commands.want(wanted)
        self._parts.hold(wanted)
        busy = await self._settled(parts)
        words = f"{_names(parts)} {how}"
        if busy:
            words += f"; {_names(busy)} still in its step, which is finished first"
        return {"brief": words, "parts": {part.name: how for part in parts}, "settled": not busy}

    async def _settled(self, parts: Sequence[Part]) -> list[Part]:
        """Wait a little for steps under way; the parts that are still in theirs."""
        until = self._clock.monotonic() + SETTLE_S
        for part in parts:
            left = until - self._clock.monotonic()
            if not part.gate.rested.is_set() and left > 0:
                await self._clock.wait(part.gate.rested, left)
        return [part for part in parts if not part.gate.rested.is_set()]

    async def _resume(self, args: Mapping[str, Any]) -> dict[str, Any]:
        parts = self._parts.select(args.get("part"))
        names = [part.name for part in parts]
        self._state.commands.want_running(names)
        self._parts.let_go(names)
        self._tell_resumed(names)
        return {"brief": f"{_names(parts)} running", "parts": dict.fromkeys(names, "running")}

    async def _restart(self, args: Mapping[str, Any]) -> dict[str, Any]:
        parts = self._parts.select(args.get("part"))
        if args.get("only_failed"):
            parts = [part for part in parts if part.state(self._health)[0] == "failed"]
        names = [part.name for part in parts]
        self._parts.restart(names)
        self._tell_resumed(names)
        return {
            "brief": f"{_names(parts) or 'nothing'} restarted",
            "parts": dict.fromkeys(names, "restarting"),
        }

    def _tell_resumed(self, names: Sequence[str]) -> None:
        for name in names:
            for heard in self.resumed:
                heard(name)

    async def _cursor(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Move the cursor of a source that stands still."""
        name = f"source.{args.get('source')}"
        for part in self._parts.select(name):
            if not (part.held and part.gate.rested.is_set()):
                raise ConfigError(
                    f"{name} is running, and would move its cursor at the same time; pause it first: "
                    f"alliance connector pause {self._config.folder} --part {name}"
                )
        return move_cursor(self._state.commands, self._state.cursor, args, self._now_ms())

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())


def judged(
    asked: ConnectorCommand, now: datetime, allowed: Sequence[str], known: Mapping[str, Any]
) -> Command:
    """A command of the hub as a row: open, or refused with a reason. Pure."""
    refusal = ""
    args: Any = None
    age_s = (now - asked.at).total_seconds()
    try:
        args = json.loads(asked.args or "{}")
    except ValueError:
        refusal = "its arguments are not JSON; write an object"
    if not refusal and not isinstance(args, dict):
        refusal = "its arguments are no JSON object; write one"
    if age_s > TOO_OLD_S:
        refusal = f"too old: asked {age_s:.0f} s ago, at most {TOO_OLD_S} s count; ask again"
    elif asked.verb not in allowed:
        may = ", ".join(allowed) or "none"
        refusal = f"this campus does not let others {asked.verb} its connector (it allows {may}); ask its people"
    elif asked.verb not in known:
        refusal = f"this connector does not know {asked.verb!r}; its campus upgrades"
    now_ms = envelope.to_millis(now)
    return Command(
        asked.command_id, asked.verb, args if isinstance(args, dict) else {}, asked.by, asked.why,
        envelope.to_millis(asked.at), "hub",
        done_at=now_ms if refusal else None,
        outcome="refused" if refusal else None,
        answer={"brief": refusal} if refusal else None,
    )  # fmt: skip


def move_cursor(
    table: Commands, cursor_of: Callable[[str], str | None], args: Mapping[str, Any], now: int
) -> dict[str, Any]:
    """Set, reset or undo, whether or not the connector runs. `args`: source, action, cursor, command, by, why."""
    source, action = str(args["source"]), args.get("action")
    if action == "set":
        to = args.get("cursor")
        if not isinstance(to, str) or not to:
            raise ConfigError(f"no cursor to set source.{source} to; name one, or reset it")
    elif action == "reset":
        to = None
    elif action == "undo":
        moves = table.moves(source)
        if not moves:
            raise ConfigError(
                f"the cursor of source.{source} was never moved by people; nothing to undo"
            )
        to = moves[0].before
    else:
        raise ConfigError(f"found action {action!r}; write set, reset or undo")
    moved = table.move_cursor(
        str(args["command"]), source, to, by=str(args["by"]), why=str(args["why"]), now=now
    )
    return {
        "brief": f"cursor of source.{source} moved by {moved.by}",
        "before": moved.before,
        "after": cursor_of(source),
    }


def _names(parts: Sequence[Part]) -> str:
    return ", ".join(part.name for part in parts)
