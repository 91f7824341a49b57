"""Write what follows from the schema files: `ids.toml` (append-only) and `records.py` (typed records).

Run `python -m schemas build` after adding a schema; a test fails while the two files lag behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.catalogue import Avro, CatalogueError, Schema, read_ids, read_schemas

HERE = Path(__file__).parent

_SIMPLE = {
    "string": "str",
    "int": "int",
    "long": "int",
    "boolean": "bool",
    "bytes": "bytes",
    "double": "float",
}
_LOGICAL = {"decimal": "Decimal", "date": "date", "timestamp-millis": "datetime"}

_HEAD = '''"""Typed records of every schema. Written by `python -m schemas build`; edit the `.avsc` files instead.

Each class comes from and goes into a dictionary of Avro values: `from_avro` and `to_avro`. Decimals are `Decimal`, dates
`date`, times aware UTC `datetime`, arrays tuples. `schemas.codec` reads and writes their bytes without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias
'''


def next_ids(text: str, schemas: list[Schema]) -> str:
    """`ids.toml` with a row added for each schema that has none. Rows are never changed or taken away.

    Raises `CatalogueError` when a published schema was edited.
    """
    rows = read_ids(text)
    known = {(row["name"], row["version"]): row for row in rows}
    top = max((row["id"] for row in rows), default=0)
    added = ""
    for schema in schemas:
        row = known.get((schema.full_name, schema.version))
        if row is None:
            top += 1
            added += (
                f'\n[[schema]]\nid = {top}\nname = "{schema.full_name}"\nversion = {schema.version}\n'
                f'fingerprint = "{schema.fingerprint}"\n'
            )
        elif row["fingerprint"] != schema.fingerprint:
            raise CatalogueError(
                f"{schema.event} v{schema.version} was edited after it got id {row['id']}; "
                f"undo the edit and add v{schema.version + 1}.avsc"
            )
    return text + added


def records_source(schemas: list[Schema]) -> str:
    """The source text of `records.py` for the newest version of each schema."""
    newest = {schema.event: schema for schema in schemas}
    classes: dict[str, str] = {}
    for schema in newest.values():
        _class(schema.avro, classes, schema)
    table = "\n".join(
        f'    "{schema.full_name}": {schema.class_name},' for schema in newest.values()
    )
    return (
        _HEAD
        + "".join(classes.values())
        + "\n\nRecord: TypeAlias = (\n    "
        + "\n    | ".join(schema.class_name for schema in newest.values())
        + "\n)\n\nBY_NAME: Mapping[str, type[Record]] = {\n"
        + table
        + "\n}\n"
    )


def _class(avro: Avro, classes: dict[str, str], schema: Schema | None) -> None:
    name = avro["name"]
    if name in classes:
        return
    for field in avro["fields"]:
        for inner in _records_in(field["type"]):
            _class(inner, classes, None)
    lines = [
        f'\n\n@dataclass(frozen=True, slots=True)\nclass {name}:\n    """{avro.get("doc", name)}"""\n'
    ]
    if schema is not None:
        lines.append(f'    EVENT: ClassVar[str] = "{schema.event}"')
        lines.append(f'    FULL_NAME: ClassVar[str] = "{schema.full_name}"\n')
    lines += [f"    {field['name']}: {_annotation(field['type'])}" for field in avro["fields"]]
    reads = ", ".join(
        _read(field["type"], f'values["{field["name"]}"]') for field in avro["fields"]
    )
    writes = ", ".join(
        f'"{field["name"]}": {_write(field["type"], "self." + field["name"])}'
        for field in avro["fields"]
    )
    lines.append(
        f"\n    @classmethod\n    def from_avro(cls, values: Mapping[str, Any]) -> {name}:\n        return cls({reads})"
    )
    lines.append(f"\n    def to_avro(self) -> dict[str, Any]:\n        return {{{writes}}}\n")
    classes[name] = "\n".join(lines)


def _records_in(kind: Any) -> list[Avro]:
    if isinstance(kind, list):
        return [found for item in kind for found in _records_in(item)]
    if isinstance(kind, dict):
        if kind["type"] == "record":
            return [kind]
        return _records_in(kind.get("items", kind.get("values", "null")))
    return []


def _record_name(kind: Any) -> str | None:
    """The class of a record type, whether written out or named. Fixed types are bytes, not classes."""
    if isinstance(kind, dict) and kind["type"] == "record":
        return str(kind["name"])
    if isinstance(kind, str) and kind.startswith("alliance.") and not kind.endswith(".Hash"):
        return kind.rpartition(".")[2]
    return None


def _annotation(kind: Any) -> str:
    if isinstance(kind, list):
        rest = [item for item in kind if item != "null"]
        return f"{_annotation(rest[0])} | None"
    record = _record_name(kind)
    if record:
        return record
    if isinstance(kind, str):
        return _SIMPLE.get(kind, "bytes")
    if kind["type"] == "array":
        return f"tuple[{_annotation(kind['items'])}, ...]"
    if kind["type"] == "map":
        return f"Mapping[str, {_annotation(kind['values'])}]"
    if kind["type"] == "fixed":
        return "bytes"
    return _LOGICAL[kind["logicalType"]]


def _read(kind: Any, value: str) -> str:
    if isinstance(kind, list):
        rest = next(item for item in kind if item != "null")
        inner = _read(rest, value)
        return value if inner == value else f"None if {value} is None else {inner}"
    record = _record_name(kind)
    if record:
        return f"{record}.from_avro({value})"
    if isinstance(kind, dict) and kind["type"] == "array":
        inner = _read(kind["items"], "item")
        return f"tuple({value})" if inner == "item" else f"tuple({inner} for item in {value})"
    return value


def _write(kind: Any, value: str) -> str:
    if isinstance(kind, list):
        rest = next(item for item in kind if item != "null")
        inner = _write(rest, value)
        return value if inner == value else f"None if {value} is None else {inner}"
    if _record_name(kind):
        return f"{value}.to_avro()"
    if isinstance(kind, dict) and kind["type"] == "array":
        inner = _write(kind["items"], "item")
        return f"list({value})" if inner == "item" else f"[{inner} for item in {value}]"
    if isinstance(kind, dict) and kind["type"] == "map":
        return f"dict({value})"
    return value


def build() -> list[str]:
    """Write both files where they changed; return the names of those written."""
    schemas = read_schemas()
    written = []
    ids = HERE / "ids.toml"
    for path, text in (
        (ids, next_ids(ids.read_text(encoding="utf-8"), schemas)),
        (HERE / "records.py", formatted(records_source(schemas))),
    ):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            written.append(path.name)
    return written


def formatted(source: str) -> str:
    """The source as ruff formats it, so that the generated file passes the same check as the rest."""
    import subprocess  # a development command only
    import sys

    return subprocess.run(  # our own interpreter and text
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", "schemas/records.py", "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
