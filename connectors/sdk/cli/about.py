"""What a kind is and takes: its options as the code has them, with the meaning that its README gives.

Owns reading the two side by side. Names, types and defaults come from the options model, so they cannot lag behind the
code; words stand in the README's tables alone, so they are written once.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from connectors.sdk.discovery import Kind, kinds

_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` is None where it must be written; else as TOML would write it, or `none`."""

    name: str
    type: str
    default: str | None
    meaning: str

    def to_json(self) -> dict[str, str | None]:
        return {
            "name": self.name,
            "type": self.type,
            "default": self.default,
            "meaning": self.meaning,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a README's table of options: one name, the text of its default, its meaning. `shared`: of several names."""

    name: str
    default: str
    meaning: str
    shared: bool = False


def folder_of(kind: Kind) -> Traversable:
    """The folder of a kind's module: README and templates lie there."""
    return files(kind.module.rpartition(".")[0] or kind.module)


def readme(kind: Kind) -> str:
    """The kind's README, or nothing."""
    path = folder_of(kind) / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def summary(kind: Kind) -> str:
    """The first sentence under the README's title."""
    text = readme(kind)
    paragraphs = [part for part in text.split("\n\n") if part and not part.startswith("#")]
    if not paragraphs:
        return "no README"
    words = _LINK.sub(r"\1", " ".join(paragraphs[0].split()))
    return re.split(r"(?<=[.!])\s", words, maxsplit=1)[0]


def directions(kind: Kind) -> str:
    """`source`, `sink` or both."""
    both = (("source", kind.source), ("sink", kind.sink))
    return " and ".join(name for name, one in both if one is not None)


def model_of(kind: Kind, direction: Literal["source", "sink"]) -> type[BaseModel] | None:
    """The options model of one direction."""
    found = kind.source if direction == "source" else kind.sink
    return None if found is None else found.options


def options_of(kind: Kind, direction: Literal["source", "sink"]) -> list[Option]:
    """The options of one direction; empty when the kind cannot go there."""
    model = model_of(kind, direction)
    return [] if model is None else list(_options(kind, model))


def _options(kind: Kind, model: type[BaseModel]) -> Iterator[Option]:
    own: dict[str, Row] = {}
    for row in table(readme(kind)):
        if row.name not in own or not own[row.name].meaning:
            own[row.name] = row
    for name, info in model.model_fields.items():
        key = info.alias or name
        parts = list(_parts(key, info.annotation, own, model, kind))
        yield _option(key, info, own.get(key) or _inherited(key, model, kind), bool(parts))
        yield from parts


def _parts(
    key: str, inner: Any, own: Mapping[str, Row], model: type[BaseModel], kind: Kind
) -> Iterator[Option]:
    """The keys of a table that README tells of one by one."""
    if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
        return
    for name, info in inner.model_fields.items():
        path = f"{key}.{name}"
        row = own.get(path) or _inherited(path, model, kind)
        if row is not None:
            yield _option(path, info, row)


def _option(key: str, info: FieldInfo, row: Row | None, has_parts: bool = False) -> Option:
    default = default_of(info)
    if default == "none" and row is not None and row.default:
        default = row.default.replace("`", "")  # what stands in for nothing, in words
    meaning = row.meaning if row is not None else ""
    return Option(key, type_name(info.annotation), default, meaning or ("see below" if has_parts else ""))  # fmt: skip


def _inherited(key: str, model: type[BaseModel], kind: Kind) -> Row | None:
    """The row of another kind's README for an option that both have from one base."""
    top = key.partition(".")[0]
    owner = next((base for base in reversed(model.__mro__) if _has(base, top)), model)
    if owner is model:
        return None
    for other in kinds().values():
        for direction in ("source", "sink"):
            theirs = model_of(other, direction)
            if other.name != kind.name and theirs is not None and issubclass(theirs, owner):
                for row in table(readme(other)):
                    if row.name == key and row.meaning:
                        return row
    return None


def _has(base: type, key: str) -> bool:
    return issubclass(base, BaseModel) and key in base.model_fields


def table(text: str) -> list[Row]:
    """The rows of a README's tables of options: those whose first column is headed `option`."""
    found: list[Row] = []
    within = False
    for line in text.splitlines():
        if not line.startswith("|"):
            within = False
            continue
        cells = [cell.strip() for cell in _CELL.split(line)[1:-1]]
        if cells and cells[0].startswith("option"):
            within = True
        elif within and len(cells) >= 3 and not set(cells[0]) <= set("-: "):
            found += _rows(cells)
    return found


def _rows(cells: Sequence[str]) -> Iterator[Row]:
    prefix = ""
    names = []
    for code in _CODE.findall(cells[0]):
        name = code.partition(" ")[0]
        if name.startswith("."):
            name = f"{prefix}{name}"
        prefix = name.rpartition(".")[0]
        names.append(name)
    nested = cells[0].startswith("…")
    for name in names:
        meaning = _LINK.sub(r"\1", cells[2])
        yield Row(f"….{name}" if nested else name, cells[1], meaning, shared=len(names) > 1)
        top = name.partition(".")[0]
        if top != name and ("=" in cells[0] or "<" in name):
            # `auth.type = "bearer"` tells of `auth`, `tables.<event>` of `tables`
            yield Row(top, "", meaning if "<" in name else "", shared=True)


def default_of(info: FieldInfo) -> str | None:
    """A default as TOML writes it; None when there is none, `none` when nothing stands there."""
    if info.is_required():
        return None
    value = info.get_default(call_default_factory=True, validated_data={})
    return "none" if value is PydanticUndefined else toml(value)


def toml(value: Any) -> str:
    """A value in TOML's notation. Of tables only what differs from nothing."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, SecretStr):
        return "a secret"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True, by_alias=True)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} = {toml(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "none"
    found = sorted(value) if isinstance(value, set | frozenset) else list(value)
    return f"[{', '.join(toml(one) for one in found)}]" if found else "none"


def type_name(annotation: Any) -> str:
    """A type in the words of people who write TOML."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(args[0])
    if origin is Literal:
        return " or ".join(toml(one) for one in args)
    if origin in (typing.Union, types.UnionType):
        names = [type_name(one) for one in args if one is not type(None)]
        return " or ".join(dict.fromkeys(names))
    if origin in (tuple, list, set, frozenset):
        return f"list of {type_name(args[0])}" if args else "list"
    if origin in (dict, Mapping) or annotation is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "secret"}  # fmt: skip
    return plain.get(annotation, getattr(annotation, "__name__", str(annotation)))


def described(kind: Kind) -> dict[str, Any]:
    """A kind as JSON: `name`, `summary`, `package`, and `source` and `sink` as lists of options or null."""
    return {
        "name": kind.name,
        "summary": summary(kind),
        "package": kind.module,
        "source": [o.to_json() for o in options_of(kind, "source")] if kind.source else None,
        "sink": [o.to_json() for o in options_of(kind, "sink")] if kind.sink else None,
    }


def markdown(kind: Kind) -> str:
    """A kind as a page of Markdown."""
    lines = [f"# {kind.name}", "", summary(kind), ""]
    for direction in ("source", "sink"):
        found = options_of(kind, direction)
        if found:
            lines += [f"## As {direction}", "", "| option | type | default | meaning |", "|---|---|---|---|"]  # fmt: skip
            for one in found:
                default = "" if one.default is None else f"`{one.default}`"
                if one.default == "none":
                    default = "none"
                lines.append(f"| `{one.name}` | {one.type} | {default} | {one.meaning} |")
            lines.append("")
        elif model_of(kind, direction) is not None:
            lines += [f"## As {direction}", "", "No options of its own.", ""]
    lines.append("Keys that every source and sink has are in connectors/README.md.")
    return "\n".join(lines)
