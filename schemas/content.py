"""The hash of what two sides agree on: of an agreement's conditions, of a learning plan.

An approval names the hash of what was looked at, so nobody approves a text that changed under their hands. It is taken
over Avro bytes, not over text: Erasmus Without Paper hashed XML and had to define its hash of agreements anew (`iias` 7),
because implementers brought the same conditions into different canonical forms. An Avro record has one form, given
that a list is one block without its size and an amount has the fewest bytes it fits, as every common library writes.

Owns the hash alone: admission refuses an event whose hash differs, the ledger compares hashes with each other.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from schemas.avro_plain import UNFIT, Write, misfit, named_types, writer
from schemas.catalogue import Avro, Schema, catalogue
from schemas.records import Record


def content_hash(record: Record) -> str:
    """SHA-256, hex, over the Avro bytes of the fields that the event's schema names in `hashed`, in that order.

    Bytes alone, without frame or envelope, so both sides and every version of a proposal compare like with like.
    Raises `ValueError` for an event that declares no hash, or when a field does not fit its schema.
    """
    schema, write = _hashed(record.EVENT)
    try:
        return hashlib.sha256(write(record)).hexdigest()
    except UNFIT as error:
        raise ValueError(misfit(schema, record, record.EVENT) or str(error)) from error


@cache
def _hashed(event: str) -> tuple[Avro, Write]:
    schema = hashed_schema(catalogue().newest[event])
    return schema, writer(schema)


def hashed_schema(schema: Schema) -> Avro:
    """A record schema of the hashed fields alone. Versions of one event agree in it, or old and new hashes would differ.

    Raises `ValueError` when the schema declares no hash.
    """
    if not schema.hashed:
        raise ValueError(
            f'{schema.event} declares no hash; name the fields in "hashed" of its schema, or ask for none'
        )
    names = named_types(schema.avro)
    by_name = {field["name"]: field for field in schema.avro["fields"]}
    placed: set[str] = set()
    fields = [_once(by_name[name], names, placed) for name in schema.hashed]
    return {"type": "record", "name": "Hashed", "namespace": "alliance.types", "fields": fields}


def _once(node: Any, names: dict[str, Avro], placed: set[str]) -> Any:
    """Each type written out where it comes first, by name afterwards: the fields left out may have defined it."""
    if isinstance(node, str) and node in names:
        return node if node in placed else _once(names[node], names, placed)
    if isinstance(node, list):
        return [_once(item, names, placed) for item in node]
    if not isinstance(node, dict):
        return node
    if "namespace" in node:
        name = f"{node['namespace']}.{node['name']}"
        if name in placed:
            return name
        placed.add(name)
    shape = ("type", "items", "values", "fields")
    return {key: _once(item, names, placed) if key in shape else item for key, item in node.items()}
