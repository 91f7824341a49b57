"""Whether JSON values have the shape of an Avro schema, before libraries read it that take more than the specification has.

https://avro.apache.org/docs/1.12.0/specification/#schema-declaration. What names mean, and whether defaults fit, is left to
Apache's library; here it is about where texts, lists and objects stand, so that every later walk may rely on it.
"""

from __future__ import annotations

from typing import Any

# Tuples: what stands where a type should may be unhashable.
NAMED = ("record", "enum", "fixed")
PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_TEXTS = ("name", "namespace", "doc", "logicalType")
_LISTS_OF_TEXTS = ("aliases", "symbols")
_NUMBERS = ("size", "precision", "scale")
_OWNERS = {
    "fields": "record",
    "symbols": "enum",
    "size": "fixed",
    "items": "array",
    "values": "map",
}
_DEEPEST = 64


class NotAvro(Exception):
    """A text is not an Avro schema; the message says why."""


def check_shape(kind: Any, depth: int = 0) -> None:
    """Raises `NotAvro` naming what stands where it cannot."""
    if depth > _DEEPEST:
        raise NotAvro(f"it is more than {_DEEPEST} types deep")
    if isinstance(kind, str):
        return
    if isinstance(kind, list):
        for item in kind:
            check_shape(item, depth + 1)
        return
    if not isinstance(kind, dict) or "type" not in kind:
        raise NotAvro("a type is a name, a list of types or an object with a type")
    _attributes(kind)
    if kind["type"] == "error":
        raise NotAvro("errors are of protocols; a message is a record")
    for name, owner in _OWNERS.items():
        if name in kind and kind["type"] != owner:
            raise NotAvro(f"{name} belongs to the type {owner}")
    if kind["type"] in NAMED and not kind.get("name"):
        raise NotAvro(f"a type {kind['type']} has no name")
    if kind["type"] == "record":
        _fields(kind.get("fields"), depth)
    for word, inner in (("array", "items"), ("map", "values")):
        if kind["type"] == word:
            check_shape(kind.get(inner), depth + 1)
    if not isinstance(kind["type"], str):
        check_shape(kind["type"], depth + 1)


def _fields(fields: Any, depth: int) -> None:
    if not isinstance(fields, list):
        raise NotAvro("the fields of a record are a list")
    for field in fields:
        if not isinstance(field, dict) or not field.get("name") or "type" not in field:
            raise NotAvro("a field is an object with a name and a type")
        _attributes(field)
        check_shape(field["type"], depth + 1)


def _attributes(node: dict[str, Any]) -> None:
    for name in _TEXTS:
        if name in node and not isinstance(node[name], str):
            raise NotAvro(f"{name} is a text")
    for name in _LISTS_OF_TEXTS:
        said = node.get(name, [])
        if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
            raise NotAvro(f"{name} is a list of texts")
    for name in _NUMBERS:
        if type(node.get(name, 0)) is not int:
            raise NotAvro(f"{name} is a whole number")
