"""The schema registry under `/registry`, in the REST dialect of Confluent's, reading only.

Owns paths, parameters, shapes and error codes, so that serializers, kcat and consoles for Kafka work unchanged with
`http://host/registry` as their registry. What is registered is in `hub.registry.subjects`; who may be published is in
`hub.registry.compare` and `lint`. Errors have Confluent's form here, `{"error_code", "message"}`, and not the form of the rest
of the API: its clients read nothing else.

Sources: https://docs.confluent.io/platform/current/schema-registry/develop/api.html; codes in
https://github.com/confluentinc/schema-registry (`rest/exceptions/Errors.java`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import version as version_of
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.registry.compare import OURS, Finding, Level, against, avro_of, parsed
from hub.registry.lint import lint
from hub.registry.shape import NotAvro
from hub.registry.subjects import Subject, Subjects, Version, same_schema
from schemas.catalogue import catalogue
from schemas.members import Alliance

PREFIX = "/registry"
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
MODE = "READONLY"
_MODES = ("READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT", "FORWARD")
_MOST_BYTES = 1 << 18  # a schema; ours are below 10 kB
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_ADVICE = (
    "this registry serves the alliance's schemas, which come with releases; propose a new version as a file beside the "
    "others (alliance schemas impact FILE says whom it breaks), and keep schemas of your own in a registry of your own"
)
Handler = Callable[[Request], Awaitable[Any]]


class Refused(Exception):
    """A reply of Confluent's registry that is no success: HTTP status, error code, message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Registry:
    """The handlers with what they answer from. `external` is the registry the alliance publishes to besides, or empty."""

    def __init__(self, subjects: Subjects, external: str = "") -> None:
        self._subjects, self._external = subjects, external

    def routes(self) -> list[BaseRoute]:
        """All paths below `PREFIX`; whatever else is asked there gets Confluent's 404."""
        one, version = "/subjects/{subject}", "/subjects/{subject}/versions/{version}"
        table: Mapping[str, Mapping[str, Handler]] = {
            "": {"GET": self._root},
            "/": {"GET": self._root},
            "/subjects": {"GET": self._list},
            one: {"POST": self._lookup, "DELETE": self._fixed},
            f"{one}/versions": {"GET": self._versions, "POST": self._register},
            version: {"GET": self._get, "DELETE": self._fixed},
            f"{version}/schema": {"GET": self._text},
            f"{version}/referencedby": {"GET": self._referenced},
            "/schemas": {"GET": self._all},
            "/schemas/types": {"GET": self._types},
            "/schemas/ids/{id}": {"GET": self._of_id},
            "/schemas/ids/{id}/schema": {"GET": self._text_of_id},
            "/schemas/ids/{id}/subjects": {"GET": self._subjects_of_id},
            "/schemas/ids/{id}/versions": {"GET": self._versions_of_id},
            "/schemas/guids/{guid}": {"GET": self._of_guid},
            "/schemas/guids/{guid}/ids": {"GET": self._ids_of_guid},
            "/config": {"GET": self._config, "PUT": self._set_config, "DELETE": self._fixed},
            "/config/{subject}": {"GET": self._config_of, "PUT": self._set_config, "DELETE": self._fixed},
            "/mode": {"GET": self._mode, "PUT": self._set_mode, "DELETE": self._fixed},
            "/mode/{subject}": {"GET": self._mode_of, "PUT": self._set_mode, "DELETE": self._fixed},
            f"/compatibility{version}": {"POST": self._compatible},
            f"/compatibility{one}/versions": {"POST": self._compatible_all},
            "/contexts": {"GET": self._contexts},
            "/associations/resources/{namespace}/{topic}": {"GET": self._associations},
            "/v1/metadata/id": {"GET": self._cluster},
            "/v1/metadata/version": {"GET": self._version},
        }  # fmt: skip
        made: list[BaseRoute] = [
            Route(f"{PREFIX}{path}", self._answering(handlers), methods=_METHODS)
            for path, handlers in table.items()
        ]
        return [*made, Route(f"{PREFIX}/{{rest:path}}", self._answering({}), methods=_METHODS)]

    def _answering(self, handlers: Mapping[str, Handler]) -> Callable[[Request], Awaitable[Response]]:  # fmt: skip
        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            try:
                if not handlers:
                    raise Refused(404, 404, "HTTP 404 Not Found")
                if method not in handlers:
                    raise Refused(405, 405, "HTTP 405 Method Not Allowed")
                return _reply(request, await handlers[method](request))
            except Refused as error:
                return _json({"error_code": error.code, "message": str(error)}, error.status)

        return answer

    async def _root(self, _request: Request) -> Any:
        return {}

    async def _list(self, request: Request) -> Any:
        if _flag(request, "deleted_only"):
            return []
        prefix = request.query_params.get("subjectPrefix", "").removeprefix(":.:").removeprefix(":*:")  # fmt: skip
        return _slice(request, [one for one in self._subjects.listed() if one.startswith(prefix)])

    async def _all(self, request: Request) -> Any:
        found = list(self._subjects.all())
        prefix = request.query_params.get("subjectPrefix", "").removeprefix(":.:").removeprefix(":*:")  # fmt: skip
        if _flag(request, "latestOnly"):
            found = list({one.subject: one for one in found}.values())
        return _slice(request, [_whole(one) for one in found if one.subject.startswith(prefix)])

    async def _types(self, _request: Request) -> Any:
        return ["AVRO"]

    async def _contexts(self, _request: Request) -> Any:
        return ["."]

    async def _associations(self, request: Request) -> Any:
        topic = request.path_params["topic"]
        raise Refused(404, 40410, f"Association for '{topic}' not found.")

    async def _cluster(self, _request: Request) -> Any:
        return {"scope": {"path": [], "clusters": {"schema-registry-cluster": "alliance"}}, "id": ""}  # fmt: skip

    async def _version(self, _request: Request) -> Any:
        said = {"version": version_of("alliance-hub"), "commitId": ""}
        return said | ({"externalRegistry": self._external} if self._external else {})

    async def _versions(self, request: Request) -> Any:
        if _flag(request, "deletedOnly") or _flag(request, "deleted_only"):
            return []
        return _slice(request, [one.version for one in self._subject(request).versions])

    async def _get(self, request: Request) -> Any:
        return _whole(self._one(request))

    async def _text(self, request: Request) -> Any:
        return json.loads(self._one(request).text)

    async def _referenced(self, request: Request) -> Any:
        self._one(request)
        return []  # schemas are whole, none refers to another

    async def _of_id(self, request: Request) -> Any:
        found = self._id(request)
        most = {"maxId": max(self._subjects.known.by_id)} if _flag(request, "fetchMaxId") else {}
        return {"schema": found.text, "guid": found.guid, **most}

    async def _text_of_id(self, request: Request) -> Any:
        return json.loads(self._id(request).text)

    async def _subjects_of_id(self, request: Request) -> Any:
        return self._subjects.names_of(self._id(request).schema)

    async def _versions_of_id(self, request: Request) -> Any:
        found = self._id(request)
        return [
            {"subject": name, "version": found.version}
            for name in self._subjects.names_of(found.schema)
        ]

    async def _of_guid(self, request: Request) -> Any:
        return {"schema": self._guid(request).text, "guid": self._guid(request).guid}

    async def _ids_of_guid(self, request: Request) -> Any:
        return [{"context": ".", "id": self._guid(request).id}]

    async def _lookup(self, request: Request) -> Any:
        subject = self._subject(request)
        found = same_schema(subject.candidates(), await _schema_of(request))
        if found is None:
            raise Refused(404, 40403, "Schema not found")
        return _whole(found)

    async def _register(self, request: Request) -> Any:
        """A schema that is there gets its id, as in any registry; another one has no place here."""
        avro = await _schema_of(request)
        name = request.path_params["subject"]
        subject = self._subjects.find(name)
        found = same_schema(subject.candidates(), avro) if subject else None
        if found is None:
            raise Refused(422, 42205, f"Subject {name} is in read-only mode: {_ADVICE}")
        return _whole(found)

    async def _compatible(self, request: Request) -> Any:
        """Against one version, by the level of the registry and the rules Avro does not have."""
        avro = await _schema_of(request)
        one = self._one(request)
        return _verdict(request, await run_in_threadpool(_standing_against, avro, [one]))

    async def _compatible_all(self, request: Request) -> Any:
        avro = await _schema_of(request)
        subject = self._subjects.find(request.path_params["subject"])
        versions = subject.versions if subject else ()
        return _verdict(request, await run_in_threadpool(_standing_against, avro, versions))

    async def _config(self, _request: Request) -> Any:
        return {"compatibilityLevel": OURS.value}

    async def _config_of(self, request: Request) -> Any:
        if _flag(request, "defaultToGlobal"):
            return {"compatibilityLevel": OURS.value}
        name = request.path_params["subject"]
        raise Refused(404, 40408, f"Subject '{name}' does not have subject-level compatibility configured")  # fmt: skip

    async def _set_config(self, request: Request) -> Any:
        wanted = (await _body(request)).get("compatibility")
        if wanted not in tuple(Level):
            raise Refused(422, 42203, f"Invalid compatibility level. Valid values are {', '.join(Level)}")  # fmt: skip
        if wanted != OURS.value:
            raise Refused(422, 42205, f"The level is {OURS}: members upgrade in any order, so every version reads every other")  # fmt: skip
        return {"compatibility": wanted}

    async def _mode(self, _request: Request) -> Any:
        return {"mode": MODE}

    async def _mode_of(self, request: Request) -> Any:
        if _flag(request, "defaultToGlobal"):
            return {"mode": MODE}
        name = request.path_params["subject"]
        raise Refused(404, 40409, f"Subject '{name}' does not have subject-level mode configured")

    async def _set_mode(self, request: Request) -> Any:
        wanted = (await _body(request)).get("mode")
        if wanted not in _MODES:
            raise Refused(422, 42204, f"Invalid mode. Valid values are {', '.join(_MODES)}")
        if wanted != MODE:
            raise Refused(422, 42205, f"The mode is {MODE}: {_ADVICE}")
        return {"mode": wanted}

    async def _fixed(self, request: Request) -> Any:
        raise Refused(422, 42205, f"Nothing is deleted here; messages of every version stay readable: {_ADVICE}")  # fmt: skip

    def _subject(self, request: Request) -> Subject:
        name = request.path_params["subject"]
        found = self._subjects.find(name)
        if found is None:
            raise Refused(404, 40401, f"Subject '{name}' not found.")
        return found

    def _one(self, request: Request) -> Version:
        subject, asked = self._subject(request), request.path_params["version"]
        if asked not in ("latest", "-1") and not (asked.isascii() and asked.isdecimal() and len(asked) < 11 and 0 < int(asked) < 1 << 31):  # fmt: skip
            raise Refused(422, 42202, f"The specified version '{asked[:40]}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"")  # fmt: skip
        if not subject.versions:
            names = ", ".join(dict.fromkeys(one.schema.full_name for one in subject.several))
            raise Refused(404, 40402, f"Version {asked} not found. Its topic carries several types; their subjects are {names}")  # fmt: skip
        if asked in ("latest", "-1"):
            return subject.versions[-1]
        found = subject.version(int(asked))
        if found is None:
            raise Refused(404, 40402, f"Version {asked} not found.")
        return found

    def _id(self, request: Request) -> Version:
        asked = request.path_params["id"]
        found = self._subjects.of_id(int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 11 else None  # fmt: skip
        if found is None:
            raise Refused(404, 40403, f"Schema {asked[:40]} not found")
        return found

    def _guid(self, request: Request) -> Version:
        asked = request.path_params["guid"]
        found = self._subjects.of_guid(asked)
        if found is None:
            raise Refused(404, 40403, f"Schema {asked[:40]} not found")
        return found


def registry_routes(alliance: Alliance) -> list[BaseRoute]:
    """The registry of this installation's schemas for `alliance`."""
    external = os.environ.get("ALLIANCE_REGISTRY", "")
    return Registry(Subjects(catalogue(), tuple(alliance.members)), external).routes()


def _standing_against(avro: Any, versions: Iterable[Version]) -> list[Finding]:
    earlier = [(f"version {one.version}", one.schema.avro) for one in versions]
    found = against(avro, earlier)
    for _label, schema in earlier:
        found += [one for one in lint(schema, avro) if one.severe]
    return list(dict.fromkeys(found))


def _verdict(request: Request, found: list[Finding]) -> Any:
    told = {"messages": [str(one) for one in found]} if _flag(request, "verbose") else {}
    return {"is_compatible": not found, **told}


async def _body(request: Request) -> Mapping[str, Any]:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _MOST_BYTES:
            raise Refused(422, 42209, f"The request is above {_MOST_BYTES} bytes")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused(400, 400, f"Unable to process JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(422, 422, "wanted a JSON object")
    return body


async def _schema_of(request: Request) -> Any:
    """The schema in a request, as JSON values that are Avro. Raises `Refused` 42201."""
    body = await _body(request)
    kind = body.get("schemaType") or "AVRO"
    if kind != "AVRO":
        raise Refused(422, 42201, f"Invalid schema of type {str(kind)[:40]}: AVRO is wanted here")
    if body.get("references"):
        raise Refused(422, 42201, "Invalid schema: it refers to others; send it whole, as all are here")  # fmt: skip
    text = body.get("schema")
    try:
        if not isinstance(text, str):
            raise NotAvro("the field schema holds no text")
        avro = avro_of(text)
        parsed(avro)
    except NotAvro as error:
        raise Refused(422, 42201, f"Invalid schema: {error}") from None
    return avro


def _whole(one: Version) -> Any:
    return {
        "subject": one.subject,
        "version": one.version,
        "id": one.id,
        "guid": one.guid,
        "schemaType": "AVRO",
        "schema": one.text,
    }


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def _slice(request: Request, items: list[Any]) -> list[Any]:
    """`offset` and `limit` as Confluent has them; a negative limit means all."""
    try:
        offset = max(0, int(request.query_params.get("offset", "0")))
        limit = int(request.query_params.get("limit", "-1"))
    except ValueError:
        raise Refused(404, 404, "HTTP 404 Not Found") from None  # what Confluent's answers
    return items[offset:] if limit < 0 else items[offset : offset + limit]


def _reply(request: Request, body: Any) -> Response:
    """The body with its `ETag`, or 304 for whoever has it."""
    made = _json(body, 200)
    if request.method not in ("GET", "HEAD"):
        return made
    tag = f'"{hashlib.sha256(bytes(made.body)).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    asked = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]  # fmt: skip
    if tag in asked or "*" in asked:
        return Response(status_code=304, headers=headers)
    made.headers.update(headers)
    return made


def _json(body: Any, status: int) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status_code=status, media_type=MEDIA_TYPE)
