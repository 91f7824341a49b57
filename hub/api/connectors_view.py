"""Every connector of the alliance with its parts, orders to them, and the record of who ordered what.

Owns shapes of connectors and the audit log. Orders go where `hub.api.connect` sends them, `hub.commands`; the audit log is
that topic and `hub.command-answers`, so nothing can be done from here that is not in it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl
from uuid import uuid4

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.connect import Commands, KafkaCommands, from_elsewhere
from hub.api.kafka_messages import Ask, KafkaMessages, Messages
from hub.api.messages_view import broker_away, whole
from hub.api.overview import STATES, ConnectorView, Overview, Watch
from hub.api.problems import Problem
from hub.flow.kafka import Message
from schemas import topics
from schemas.codec import Unreadable, decode, to_json
from schemas.envelope import rfc3339
from schemas.records import ConnectorCommand, ConnectorCommandAnswer

Json: TypeAlias = dict[str, Any]

VERBS = ("pause", "resume", "stop", "restart")
AUDITED = 500  # newest messages of each of the two topics
WHY_LENGTH = 300
FORM_BYTES = 8192
COOKIE = "order_token"
USER_HEADER = (
    "x-forwarded-user"  # set by a proxy with a login, as oauth2-proxy and Apache's modules do
)


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator asked of a connector. `outcome` is empty until the campus answers."""

    command_id: str
    member: str
    connector: str
    verb: str
    at: datetime
    by: str = ""
    why: str = ""
    args: str = ""
    outcome: str = ""
    reason: str = ""
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Actions, newest first. `whole` is False when the topics hold more than was looked at."""

    actions: tuple[Action, ...]
    whole: bool


class ConnectorsView:
    """The handlers with what they answer from. Without `operate` no order is taken here."""

    def __init__(
        self,
        watch: Watch,
        messages: Messages | None = None,
        commands: Commands | None = None,
        *,
        operate: bool = False,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._watch, self.operate = watch, operate
        self._messages, self._commands = messages or KafkaMessages(), commands or KafkaCommands()
        self._new_id = new_id

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/connectors", self.api), Route("/api/v1/audit", self.audit_api)]

    async def api(self, request: Request) -> Response:
        """All connectors, worst first; `state` and `member` pick some."""
        now = await self._watch.current()
        query = dict(request.query_params)
        found = chosen(now, query)
        return JSONResponse(
            {"at": rfc3339(now.at), "items": [connector_json(one) for one in found]}
        )

    async def audit_api(self, request: Request) -> Response:
        """Who asked what of whom and why, newest first, with the answers."""
        limit = whole(request.query_params, "limit", 100, 1, AUDITED)
        found = await self.audit()
        items = [_action_json(one) for one in found.actions[:limit]]
        more = len(found.actions) > limit or not found.whole
        return JSONResponse({"items": items, "more": more})

    async def audit(self) -> Audit:
        """The newest actions. Raises `Problem` when the broker is away."""
        now = await self._watch.current()
        asks = [
            Ask(topic, 0, AUDITED)
            for topic in (topics.COMMANDS, topics.COMMAND_ANSWERS)
            if topic in now.broker.topics
        ]
        try:
            got = await self._messages.read(now.broker.bootstrap, asks)
        except (KafkaError, OSError, TimeoutError) as error:
            raise broker_away(error) from error
        messages = [message for one in got for message in one.messages]
        return Audit(joined(messages), all(one.whole and one.start <= one.first for one in got))

    async def order(self, member: str, connector: str, verb: str, by: str, why: str) -> str:
        """Send an order and return its id once every replica has it.

        Raises `Problem` for an unknown connector or verb, a missing reason, or a broker that does not take it.
        """
        if not self.operate:
            raise Problem("NOT_OPERATED", "this console only reads; start it with --operate")
        if verb not in VERBS:
            raise Problem(
                "INVALID_PARAMETER", f"verb is {verb[:40]!r}, wanted one of {', '.join(VERBS)}"
            )
        if not why:
            raise Problem("INVALID_PARAMETER", "why is empty, wanted a reason for the audit log")
        now = await self._watch.current()
        if not any(
            (one.heartbeat.member, one.heartbeat.connector) == (member, connector)
            for one in chosen(now, {})
        ):
            raise Problem(
                "NOT_FOUND",
                f"no heartbeat of connector {f'{member}.{connector}'[:80]!r}, see /api/v1/connectors",
            )
        command_id = self._new_id()
        command = ConnectorCommand(
            command_id=command_id,
            member=member,
            connector=connector,
            verb=verb,
            args="{}",
            by=by,
            why=why[:WHY_LENGTH],
            at=self._watch.now(),
        )
        try:
            await self._commands.send(now.broker.bootstrap, command)
        except (KafkaError, OSError) as error:
            raise broker_away(error) from error
        return command_id


def chosen(now: Overview, query: Mapping[str, str]) -> list[ConnectorView]:
    """Connectors of the wanted `state` and `member`, worst first. Raises `Problem` for another parameter or value."""
    unknown = sorted(query.keys() - {"state", "member"})
    if unknown:
        raise Problem("INVALID_PARAMETER", f"unknown {', '.join(unknown)}, wanted state, member")
    state, member = query.get("state"), query.get("member")
    if state and state not in STATES:
        raise Problem(
            "INVALID_PARAMETER", f"state is {state[:40]!r}, wanted one of {', '.join(STATES)}"
        )
    if member and member not in now.alliance.members:
        raise Problem(
            "INVALID_PARAMETER",
            f"member is {member[:40]!r}, wanted one of {', '.join(now.alliance.members)}",
        )
    found = [one for view in now.members for one in view.connectors]
    found = [one for one in found if member in (None, "", one.heartbeat.member)]
    found = [one for one in found if state in (None, "", one.state)]
    return sorted(found, key=lambda one: STATES.index(one.state) if one.state in STATES else 0)


def joined(messages: Iterable[Message]) -> tuple[Action, ...]:
    """Orders with their answers, newest first. An answer whose order is gone stands for both; what cannot be read is not one."""
    asked: dict[str, Action] = {}
    answers: dict[str, ConnectorCommandAnswer] = {}
    for message in messages:
        try:
            record = decode(message.value or b"")
        except Unreadable:
            continue
        if isinstance(record, ConnectorCommand):
            asked[record.command_id] = Action(
                record.command_id, record.member, record.connector, record.verb, record.at,
                record.by, record.why, "" if record.args == "{}" else record.args,
            )  # fmt: skip
        elif isinstance(record, ConnectorCommandAnswer):
            answers[record.command_id] = record
    found = [_answered(one, answers.get(one.command_id)) for one in asked.values()]
    found += [
        _answered(Action(key, one.member, one.connector, one.verb, one.at), one)
        for key, one in answers.items()
        if key not in asked
    ]
    return tuple(sorted(found, key=lambda one: one.at, reverse=True))


def _answered(action: Action, answer: ConnectorCommandAnswer | None) -> Action:
    if answer is None:
        return action
    return Action(
        action.command_id, action.member, action.connector, action.verb, action.at,
        action.by, action.why, action.args, answer.outcome, answer.reason, answer.at,
    )  # fmt: skip


def who(request: Request) -> str:
    """Whom a proxy says it is, else an operator at an address. The console itself knows no logins."""
    client = request.client.host if request.client else "unknown"
    user = "".join(c for c in request.headers.get(USER_HEADER, "") if c.isprintable()).strip()
    return f"{user[:80] or 'operator'} at {client}"


def new_token() -> str:
    """What a form and a cookie must both hold: other sites can make a browser send the cookie, not read it."""
    return secrets.token_urlsafe(24)


async def order_form(request: Request) -> dict[str, str]:
    """The fields of an order's form. Raises `Problem` when another site sent it, or no page of ours."""
    if from_elsewhere(request):
        raise Problem("NOT_OPERATED", "asked by a page of another site; ask from /connectors")
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > FORM_BYTES:
            raise Problem("INVALID_PARAMETER", f"the form has more than {FORM_BYTES} bytes")
    fields = dict(parse_qsl(raw.decode("utf-8", errors="replace"), keep_blank_values=True))
    cookie = request.cookies.get(COOKIE, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), fields.get("token", "").encode()):
        raise Problem("NOT_OPERATED", "the form is too old; load /connectors again and repeat")
    return fields


def connector_json(one: ConnectorView) -> Json:
    """A connector as JSON values: its heartbeat, and its state by the heartbeat's age."""
    return to_json(one.heartbeat) | {
        "reported_state": one.heartbeat.state,
        "state": one.state,
        "age_s": round(one.age_s, 1),
    }


def _action_json(one: Action) -> Json:
    return {
        "command_id": one.command_id,
        "member": one.member,
        "connector": one.connector,
        "verb": one.verb,
        "args": one.args or None,
        "by": one.by or None,
        "why": one.why or None,
        "at": rfc3339(one.at),
        "outcome": one.outcome or None,
        "reason": one.reason or None,
        "answered_at": rfc3339(one.answered_at) if one.answered_at else None,
    }
