"""Connectors in the words of Kafka Connect's REST interface, so that its tools can list, hold and inspect ours. Pure.

Owns paths, shapes and states; hub and connectors both serve it, each from what it knows. A request becomes a reply, and
where it asks for something an order besides, which the caller carries out. Configuration belongs to the campus: whatever
would make, change or delete it is answered 409, and no setting is shown but which kinds run.

Sources: Apache Kafka, `ConnectorsResource`, `ConnectorPluginsResource`, `AbstractStatus` and the entities beside them
(https://github.com/apache/kafka, connect/runtime/src/main/java/org/apache/kafka/connect/runtime/rest); KIP-875 (stop,
offsets), KIP-1017 (health).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote

from schemas import topics
from schemas.records import ConnectorPart, Heartbeat

Verb: TypeAlias = Literal["pause", "resume", "stop", "restart"]

# Ours to theirs. What is being retried runs, for them; its reason is in `trace`.
_STATES = {
    "running": "RUNNING",
    "degraded": "RUNNING",
    "paused": "PAUSED",
    "stopped": "STOPPED",
    "failed": "FAILED",
    "restarting": "RESTARTING",
}
_NOBODY = "UNASSIGNED"  # nothing is heard of it
_KAFKA = "3.9.0"  # the version whose interface this is: tools choose their routes by it
_OWNED = "the campus owns its configuration; ask its people to change connector.toml"


@dataclass(frozen=True, slots=True)
class Shown:
    """A connector as outsiders see it. Its tasks are its parts, numbered in the order of connector.toml.

    `state` is ours (`running`, `degraded`, ...) or anything else where nothing is heard of it.
    """

    beat: Heartbeat
    state: str

    @property
    def name(self) -> str:
        return f"{self.beat.member}.{self.beat.connector}"

    @property
    def type(self) -> str:
        """`source` for one that does both: tools know but two types."""
        sinks = [part.name.startswith("sink.") for part in self.beat.parts]
        return "sink" if sinks and all(sinks) else "source"

    @property
    def connect_state(self) -> str:
        return _STATES.get(self.state, _NOBODY)

    @property
    def worker_id(self) -> str:
        return f"{self.beat.host or self.name}:{self.beat.pid}"

    @property
    def tasks(self) -> Sequence[ConnectorPart]:
        """None of a stopped connector, as in Connect."""
        return () if self.connect_state == "STOPPED" else self.beat.parts


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a kind's options."""

    name: str
    type: str
    required: bool
    default: str | None
    doc: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """A kind of system that somebody here connects."""

    name: str
    type: str
    version: str
    keys: Sequence[Key] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """What can be seen from here. `healthy` empty: all is well, else what is wrong with who answers."""

    connectors: Sequence[Shown]
    plugins: Sequence[Plugin]
    version: str
    cluster_id: str = ""
    unhealthy: str = ""

    def get(self, name: str) -> Shown | None:
        return next((one for one in self.connectors if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done. `part` None: all of the connector."""

    member: str
    connector: str
    verb: Verb
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON body (None: no body); with an order, once that is under way."""

    status: int
    body: Any = None
    order: Order | None = None


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Query parameters as `answer` wants them: one that is repeated (`expand=status&expand=info`) is joined by commas."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def plugins_of(connectors: Sequence[Shown]) -> list[Plugin]:
    """The kinds that these connectors say they run."""
    found = {
        (part.kind, part.name.partition(".")[0]): one.beat.version
        for one in connectors
        for part in one.beat.parts
    }
    return [Plugin(kind, type, version) for (kind, type), version in sorted(found.items())]


def answer(method: str, path: str, query: Mapping[str, str], fleet: Fleet) -> Reply:
    """The reply to a request. `path` is below where this is mounted and begins with a slash; names may be percent-encoded."""
    parts = [unquote(piece) for piece in path.split("/") if piece]
    match parts:
        case []:
            root = {
                "version": _KAFKA,
                "commit": fleet.version,
                "kafka_cluster_id": fleet.cluster_id,
            }
            return _only("GET", method, root)
        case ["health"]:
            return _health(method, fleet)
        case ["connectors"]:
            return _connectors(method, query, fleet)
        case ["connectors", name, *rest]:
            one = fleet.get(name)
            if one is None:
                return error(404, f"Connector {name} not found")
            return _connector(method, rest, query, one)
        case ["connector-plugins"]:
            return _only("GET", method, [_plugin(one) for one in fleet.plugins])
        case ["connector-plugins", name, *rest]:
            return _plugin_route(method, rest, name, fleet)
    return error(404, "HTTP 404 Not Found")


def error(status: int, message: str) -> Reply:
    """An error as Connect says it."""
    return Reply(status, {"error_code": status, "message": message})


def _only(wanted: str, method: str, body: Any) -> Reply:
    return Reply(200, body) if method == wanted else error(405, "HTTP 405 Method Not Allowed")


def _health(method: str, fleet: Fleet) -> Reply:
    if fleet.unhealthy:
        return Reply(500, {"status": "unhealthy", "message": fleet.unhealthy})
    return _only("GET", method, {"status": "healthy", "message": "ready to handle requests"})


def _connectors(method: str, query: Mapping[str, str], fleet: Fleet) -> Reply:
    if method == "POST":
        return error(409, f"No connector is made here: {_OWNED}")
    expand = [piece for piece in query.get("expand", "").split(",") if piece]
    if not expand:
        return _only("GET", method, [one.name for one in fleet.connectors])
    shapes = {"status": _status, "info": _info}
    body = {
        one.name: {name: shapes[name](one) for name in expand if name in shapes}
        for one in fleet.connectors
    }
    return _only("GET", method, body)


def _connector(method: str, rest: Sequence[str], query: Mapping[str, str], one: Shown) -> Reply:
    match method, rest:
        case "GET", []:
            return Reply(200, _info(one))
        case "GET", ["config"]:
            return Reply(200, _config(one))
        case "GET", ["status"]:
            return Reply(200, _status(one))
        case "GET", ["tasks"]:
            return Reply(200, [_task(one, number) for number in range(len(one.tasks))])
        case "GET", ["tasks-config"]:
            return Reply(
                200, {f"{one.name}-{n}": _task(one, n)["config"] for n in range(len(one.tasks))}
            )
        case "GET", ["topics"]:
            member = one.beat.member
            return Reply(200, {one.name: {"topics": [topics.outbox(member), topics.inbox(member)]}})
        case "GET", ["offsets"]:
            return Reply(200, _offsets(one))
        case "PUT", ["pause" | "resume" as verb]:
            return Reply(202, None, _order(one, verb))
        case "PUT", ["stop"]:
            return Reply(204, None, _order(one, "stop"))
        case "POST", ["restart"]:
            return _restart(one, query)
        case _, ["tasks", number, *more]:
            return _task_route(method, more, number, one)
        case (("PUT" | "PATCH" | "DELETE"), ([] | ["config"] | ["topics", "reset"])):
            return error(409, f"Connector {one.name} is not changed here: {_OWNED}")
        case (("PATCH" | "DELETE"), ["offsets"]):
            return error(
                409,
                f"Offsets of {one.name} are moved at the campus: alliance connector cursor set DIR SOURCE CURSOR",
            )
    return error(
        405 if rest in _KNOWN else 404,
        "HTTP 405 Method Not Allowed" if rest in _KNOWN else "HTTP 404 Not Found",
    )


_KNOWN = (
    [],
    *(
        [name]
        for name in (
            "config",
            "status",
            "tasks",
            "topics",
            "offsets",
            "pause",
            "resume",
            "stop",
            "restart",
        )
    ),
)


def _restart(one: Shown, query: Mapping[str, str]) -> Reply:
    """Connect restarts tasks only when asked; our connector and its parts are one, so they always are."""
    order = _order(one, "restart", only_failed=_flag(query, "onlyFailed"))
    if not (_flag(query, "includeTasks") or _flag(query, "onlyFailed")):
        return Reply(204, None, order)
    return Reply(202, _status(one, restarting=True), order)


def _task_route(method: str, more: Sequence[str], number: str, one: Shown) -> Reply:
    if not (number.isascii() and number.isdigit()) or int(number) >= len(one.tasks):
        return error(404, f"Unknown task: {one.name}-{number}")
    at = int(number)
    match method, more:
        case "GET", ["status"]:
            return Reply(200, _task_status(one, at))
        case "POST", ["restart"]:
            return Reply(204, None, _order(one, "restart", part=one.tasks[at].name))
    return error(405, "HTTP 405 Method Not Allowed")


def _order(one: Shown, verb: Verb, **args: Any) -> Order:
    return Order(one.beat.member, one.beat.connector, verb, {k: v for k, v in args.items() if v})


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "false").lower() in ("true", "")


# Shapes -------------------------------------------------------------------------------------------------------------


def _info(one: Shown) -> dict[str, Any]:
    return {
        "name": one.name,
        "config": _config(one),
        "tasks": [{"connector": one.name, "task": number} for number in range(len(one.tasks))],
        "type": one.type,
    }


def _config(one: Shown) -> dict[str, str]:
    """Which kinds run, and by which mappings. Heartbeats carry nothing else, so there is no secret to hide."""
    found = {
        "name": one.name,
        "connector.class": "+".join(sorted({part.kind for part in one.beat.parts})) or "unknown",
        "tasks.max": str(max(1, len(one.beat.parts))),
        "alliance.member": one.beat.member,
        "alliance.version": one.beat.version,
        "alliance.mapping": one.beat.mapping_hash,
    }
    return found | {f"alliance.{part.name}.kind": part.kind for part in one.beat.parts}


def _status(one: Shown, *, restarting: bool = False) -> dict[str, Any]:
    connector = {
        "state": "RESTARTING" if restarting else one.connect_state,
        "worker_id": one.worker_id,
    }
    tasks = [_task_status(one, number, restarting=restarting) for number in range(len(one.tasks))]
    return {
        "name": one.name,
        "connector": connector | _trace(one.beat.reason, one.connect_state),
        "tasks": tasks,
        "type": one.type,
    }


def _task_status(one: Shown, number: int, *, restarting: bool = False) -> dict[str, Any]:
    part = one.tasks[number]
    state = _STATES.get(part.state, _NOBODY)
    if one.connect_state == _NOBODY:
        state = _NOBODY
    if restarting:
        state = "RESTARTING"
    if state == "STOPPED":
        state = "PAUSED"  # Connect stops connectors, never single tasks
    return {"id": number, "state": state, "worker_id": one.worker_id} | _trace(part.reason, state)


def _trace(reason: str, state: str) -> dict[str, str]:
    if not reason and state == _NOBODY:
        reason = "no heartbeat"
    return {"trace": reason} if reason else {}


def _task(one: Shown, number: int) -> dict[str, Any]:
    part = one.tasks[number]
    config = {"task.class": part.kind, "alliance.part": part.name}
    return {"id": {"connector": one.name, "task": number}, "config": config}


def _offsets(one: Shown) -> dict[str, Any]:
    """Cursors of sources, and where the inbox stands, each in the shape Connect has for its kind."""
    found: list[dict[str, Any]] = [
        {"partition": {"source": part.name.partition(".")[2]}, "offset": {"cursor": part.cursor}}
        for part in one.beat.parts
        if part.cursor is not None
    ]
    inbox = {"kafka_topic": topics.inbox(one.beat.member), "kafka_partition": 0}
    if any(part.name.startswith("sink.") for part in one.beat.parts):
        found.append({"partition": inbox, "offset": {"kafka_offset": one.beat.inbox_position}})
    return {"offsets": found}


# Kinds --------------------------------------------------------------------------------------------------------------


def _plugin(one: Plugin) -> dict[str, str]:
    return {"class": one.name, "type": one.type, "version": one.version}


def _plugin_route(method: str, rest: Sequence[str], name: str, fleet: Fleet) -> Reply:
    found = [one for one in fleet.plugins if one.name == name]
    if not found:
        return error(404, f"Unknown plugin {name}")
    keys = [key for one in found for key in one.keys]
    match method, rest:
        case "GET", ["config"]:
            return Reply(200, [_definition(key) for key in keys])
        case "PUT", ["config", "validate"]:
            groups = ["Common"] if keys else []
            configs = [{"definition": _definition(key), "value": _value(key)} for key in keys]
            return Reply(
                200, {"name": name, "error_count": 0, "groups": groups, "configs": configs}
            )
    return error(405, "HTTP 405 Method Not Allowed")


def _definition(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "type": key.type,
        "required": key.required,
        "default_value": key.default,
        "importance": "HIGH" if key.required else "MEDIUM",
        "documentation": key.doc,
        "group": "Common",
        "width": "MEDIUM",
        "display_name": key.name,
        "dependents": [],
        "order": -1,
    }


def _value(key: Key) -> dict[str, Any]:
    """Values are not judged here: `alliance connector lint` at the campus is."""
    return {
        "name": key.name,
        "value": key.default,
        "recommended_values": [],
        "errors": [],
        "visible": True,
    }
