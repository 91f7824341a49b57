"""What one member promises about its outbox, as a data contract of the Open Data Contract Standard, made from the schemas.

ODCS 3.1.0 (https://bitol-io.github.io/open-data-contract-standard/v3.1.0/). One object for each event; units and scales go
along as custom properties, for the standard has no field for them.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hub.registry.subjects import Subjects, full_name
from schemas import topics
from schemas.catalogue import Schema
from schemas.members import Alliance

_LOGICAL = {
    "decimal": "number",
    "date": "date",
    "timestamp-millis": "timestamp",
    "timestamp-micros": "timestamp",
    "time-millis": "time",
}
_PLAIN = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "enum": "string",
    "record": "object",
    "map": "object",
    "array": "array",
}


def contract(
    subjects: Subjects, alliance: Alliance, member: str, bootstrap: str, registry: str
) -> dict[str, Any]:
    """The contract of `member` (a code of `alliance`). `bootstrap` is `host:port[,...]`, `registry` the registry's URL.

    Its id follows from the ledger's origin and the member, its version from the newest schema id: the same input makes the
    same text.
    """
    who, topic = alliance.members[member], topics.outbox(member)
    known = subjects.known
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": str(uuid5(NAMESPACE_URL, f"{alliance.origin}/{topic}")),
        "name": f"{who.name_en} ({who.name_zh}): events",
        "version": f"1.0.{max(known.by_id)}",
        "status": "active",
        "tenant": member,
        "domain": alliance.name,
        "description": {
            "purpose": "Facts about students, courses, credits and joint work that other members rely on.",
            "usage": "Read the ledger's order from the inbox or the topics by domain; the outbox is what was said.",
            "limitations": "Nothing personal in the clear: students are pseudonyms, private parts are encrypted.",
        },
        "servers": [
            {"server": "broker", "type": "kafka", "host": bootstrap, "format": "avro"},
        ],
        "schema": [_object(one, topic, registry) for one in known.events()],
    }


def _object(schema: Schema, topic: str, registry: str) -> dict[str, Any]:
    url = f"{registry.rstrip('/')}/subjects/{schema.full_name}/versions/{schema.version}"
    seen: dict[str, Any] = {}
    return {
        "name": schema.class_name,
        "businessName": schema.event,
        "logicalType": "object",
        "physicalType": "topic",
        "physicalName": topic,
        "description": schema.doc,
        "authoritativeDefinitions": [{"url": url, "type": "schema"}],
        "customProperties": [
            {"property": "schemaVersion", "value": schema.version},
            {"property": "messageKey", "value": schema.key},
            {"property": "writer", "value": list(schema.writer)},
        ],
        "properties": [
            _property(field, schema.avro["namespace"], seen) for field in schema.avro["fields"]
        ],
    }


def _property(field: Any, inside: str, seen: dict[str, Any]) -> dict[str, Any]:
    kind, optional = _sole(field["type"], inside, seen)
    made = {"name": field["name"], **_typed(kind, inside, seen), "required": not optional}
    if field["name"] == "event_id":
        made["unique"] = True
    if field.get("doc"):
        made["description"] = field["doc"]
    return made


def _typed(kind: Any, inside: str, seen: dict[str, Any]) -> dict[str, Any]:
    """Logical and physical type, with what is inside a record or array. Named types are followed."""
    if not isinstance(kind, dict):
        return {"logicalType": _PLAIN.get(kind, "string"), "physicalType": str(kind)}
    logical, physical = kind.get("logicalType"), str(kind["type"])
    made: dict[str, Any] = {
        "logicalType": _LOGICAL.get(logical or "", _PLAIN.get(physical, "string")),
        "physicalType": f"{physical} ({logical})" if logical else physical,
    }
    if logical == "decimal":
        made["customProperties"] = [
            {"property": "precision", "value": kind["precision"]},
            {"property": "scale", "value": kind.get("scale", 0)},
        ]
    if physical == "record":
        space = full_name(kind, inside).rpartition(".")[0]
        made["properties"] = [_property(field, space, seen) for field in kind["fields"]]
    elif physical == "array":
        made["items"] = _typed(_sole(kind["items"], inside, seen)[0], inside, seen)
    return made


def _sole(kind: Any, inside: str, seen: dict[str, Any]) -> tuple[Any, bool]:
    """A type without `null`, and whether null was there; a name of a type seen before is that type."""
    optional = isinstance(kind, list) and "null" in kind
    if isinstance(kind, list):
        kind = next(item for item in kind if item != "null")
    if isinstance(kind, str):
        return seen.get(kind, seen.get(f"{inside}.{kind}", kind)), optional
    if "name" in kind:
        seen[full_name(kind, inside)] = kind
    return kind, optional
