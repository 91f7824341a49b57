"""From a delivery to a campus's own fields: the way back of a mapping, for the body of a request or the columns of a row.

Owns the meaning of such a file. Paths are in the delivery's JSON (`Delivery.to_json`), code tables are read from the
alliance's side, and what does not fit stops this one delivery with a `MappingError`, as on the way in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.sdk.contract import ConfigError, Delivery
from connectors.sdk.mapping.expressions import compile_path
from connectors.sdk.mapping.fields import Compiler, Plan, Use, with_inner
from connectors.sdk.mapping.file import LocalFile, read_mapping_file
from connectors.sdk.mapping.writers import writer
from schemas.avro_plain import named_types
from schemas.catalogue import Avro, catalogue

_ENVELOPE_DAY = "record.envelope.occurred_at"


@dataclass(frozen=True, slots=True)
class LocalMapping:
    """A compiled file. `names` are the fields it fills, in the file's order; dotted ones are nested in `body`."""

    file: str
    event: str
    names: tuple[str, ...]
    fields: Plan
    uses: tuple[Use, ...]

    def body(self, delivery: Delivery | Mapping[str, Any]) -> dict[str, Any]:
        """The campus's fields, dotted names as nested objects; what is absent is left out. Raises `MappingError`."""
        data = delivery.to_json() if isinstance(delivery, Delivery) else delivery
        return self.fields.values(data, data)

    def row(self, delivery: Delivery | Mapping[str, Any]) -> dict[str, Any]:
        """The campus's columns by their names as written, every one of them: what is absent is None.

        Raises `MappingError`.
        """
        body = self.body(delivery)
        return {name: _inside(body, name) for name in self.names}


def _inside(body: Any, name: str) -> Any:
    for part in name.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body


def load_local_mapping(path: Path, codes: Path, *, member: str) -> LocalMapping:
    """Read and compile a file; code tables are `<codes>/<name>.csv`. Raises `ConfigError` with one line for each fault."""
    table, lines = read_mapping_file(path, LocalFile)
    compiler = Compiler(
        path,
        codes,
        member,
        lines,
        unknown=table.policy.unknown_code,
        day=compile_path(_ENVELOPE_DAY),
        back=True,
        changes=writer,
    )
    fields = compiler.plan(table.fields, ("fields",))
    event = "" if table.event is None else table.event.type
    schema = catalogue().newest.get(event)
    if schema is not None:
        names = named_types(schema.avro)
        for use in with_inner(compiler.uses):
            for said in _unknown(use.expression, event, schema.avro, names):
                compiler.fault(use.at, said)
    elif event:
        known = ", ".join(item.event for item in catalogue().events())
        compiler.fault(("event", "type"), f"found {event!r}; write one of {known}")
    if compiler.faults:
        raise ConfigError("\n".join(dict.fromkeys(compiler.faults)))
    return LocalMapping(compiler.file, event, tuple(table.fields), fields, tuple(compiler.uses))


def _unknown(expression: str, event: str, avro: Avro, names: Mapping[str, Avro]) -> Iterator[str]:
    """A plain path into the record that its schema does not have."""
    head, _, rest = expression.partition(".")
    if head != "record" or not rest.replace(".", "").replace("_", "").isalnum():
        return
    kind: Any = avro
    for name in rest.split("."):
        if isinstance(kind, list):
            kind = next(item for item in kind if item != "null")
        kind = names.get(kind, kind) if isinstance(kind, str) else kind
        if not isinstance(kind, dict) or kind["type"] != "record":
            yield f"path {expression}: {event} holds no object there; correct the path"
            return
        found = [field["type"] for field in kind["fields"] if field["name"] == name]
        if not found:
            known = ", ".join(field["name"] for field in kind["fields"])
            yield f"path {expression}: {event} has no {name}; write one of {known}"
            return
        kind = found[0]
