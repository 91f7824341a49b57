"""Records to JSON values and back: one function for each record type, made once from its schema.

Owns the quick way only. It takes what fits and raises anything at all over what does not; `schemas.codec` then goes field
by field and says what is wrong, so messages have one author. What the quick way takes, the slow way takes as the same
record (`tests/property/test_codec_json.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from schemas.avro_plain import maker, named_types

Kind: TypeAlias = Any  # a type as a schema names it: text, list or object
FromJson: TypeAlias = Callable[[Any], Any]
ToJson: TypeAlias = Callable[[Any], dict[str, Any]]

# What the quick way raises over values that do not fit, or that only the slow way knows.
UNFIT = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


def decimal_of(value: Any, bound: Decimal, step: Decimal) -> Decimal:
    """The amount, exactly: more decimals than the schema has are refused, not rounded away."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise TypeError(type(value).__name__)
    number = Decimal(repr(value) if isinstance(value, float) else value)
    exact = number.quantize(step)
    if exact != number or abs(exact) >= bound:
        raise ValueError(str(number))
    return exact


def moment_of(text: str) -> datetime:
    """UTC, cut to the milliseconds that the schemas keep. Raises `ValueError` for a time without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        moment = moment.astimezone(UTC)
    extra = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - extra) if extra else moment


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC, with `Z`."""
    shown = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return shown.isoformat().replace("+00:00", "Z")


def _fixed(text: str, size: int) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != size:
        raise ValueError(len(raw))
    return raw


def json_reader(schema: Kind, classes: Mapping[str, type]) -> FromJson:
    """A function from JSON values to the class of a record schema. `classes` by the record types' short names."""
    lines = _Reading(named_types(schema), classes)
    made: FromJson = lines.function(lines.record(schema), f"reads JSON of {schema['name']}")
    return made


def json_writer(schema: Kind) -> ToJson:
    """A function from records of a schema to JSON values."""
    lines = _Writing(named_types(schema))
    made: ToJson = lines.function(lines.record(schema), f"writes JSON of {schema['name']}")
    return made


class _Lines:
    """Functions that are being written, one for each record type."""

    def __init__(self, names: Mapping[str, Kind]) -> None:
        self.names = names
        self.functions: dict[str, str] = {}  # by record type
        self.tools: dict[str, Any] = {}

    def whole(self, kind: Kind) -> Kind:
        """The type itself where it is called by name."""
        return self.names.get(kind, kind) if isinstance(kind, str) else kind

    def tool(self, what: Any) -> str:
        """The name under which the functions find a constant or a helper."""
        for name, held in self.tools.items():
            if held is what:
                return name
        name = f"t{len(self.tools)}"
        self.tools[name] = what
        return name

    def function(self, name: str, shown: str) -> Any:
        space = dict(self.tools)
        source = "\n".join(self.functions.values())
        exec(compile(source, f"<json {shown}>", "exec"), space)  # noqa: S102 (made from our own schemas alone, as schemas.avro_plain does)
        return space[name]


def _type_of(kind: Kind) -> str:
    if isinstance(kind, list):
        return "union"
    return kind if isinstance(kind, str) else str(kind.get("logicalType", kind["type"]))


class _Reading(_Lines):
    def __init__(self, names: Mapping[str, Kind], classes: Mapping[str, type]) -> None:
        super().__init__(names)
        self.classes = classes

    def record(self, kind: Kind) -> str:
        name = f"read_{kind['name']}"
        if name in self.functions:
            return name
        self.functions[name] = ""  # keeps its place behind the types it needs
        body, held = ["if type(v) is not dict: raise TypeError"], []
        for number, field in enumerate(kind["fields"]):
            into = f"f{number}"
            held.append(into)
            if "default" in field:
                default = self.tool(field["default"]) if field["default"] is not None else "None"
                body.append(f"{into} = v.get({field['name']!r}, {default})")
            else:
                body.append(f"{into} = v[{field['name']!r}]")
            body += self.value(field["type"], into, 0)
        new = self.tool(maker(self.classes[kind["name"]]))
        body.append(f"return {new}({', '.join(held)})")
        del self.functions[name]
        self.functions[name] = "\n    ".join([f"def {name}(v):", *body])
        return name

    def value(self, kind: Kind, at: str, depth: int) -> list[str]:
        """Lines that put the Avro value in the place of the JSON value named `at`."""
        kind = self.whole(kind)
        found = _type_of(kind)
        match found:
            case "union":
                inner = self.value(next(item for item in kind if item != "null"), at, depth)
                return [f"if {at} is not None:", *(f"    {line}" for line in inner)]
            case "record":
                return [f"{at} = {self.record(kind)}({at})"]
            case "array" | "map":
                return self.items(kind, at, depth)
            case "string":
                return [f"if type({at}) is not str: raise TypeError"]
            case "boolean":
                return [f"if {at} is not True and {at} is not False: raise TypeError"]
            case "int" | "long":
                bound = 2 ** (31 if found == "int" else 63)
                return [
                    f"if type({at}) is not int or not {-bound} <= {at} < {bound}: raise TypeError"
                ]
            case "bytes":
                return [f"{at} = {self.tool(bytes.fromhex)}({at})"]
            case "decimal":
                step = Decimal(1).scaleb(-kind["scale"])
                bound_of = Decimal(1).scaleb(kind["precision"] - kind["scale"])
                return [
                    f"{at} = {self.tool(decimal_of)}({at}, {self.tool(bound_of)}, {self.tool(step)})"
                ]
            case "date":
                return [f"{at} = {self.tool(date.fromisoformat)}({at})"]
            case "timestamp-millis":
                return [f"{at} = {self.tool(moment_of)}({at})"]
            case "fixed":
                return [f"{at} = {self.tool(_fixed)}({at}, {kind['size']})"]
            case _:
                return ["raise TypeError"]  # the slow way knows, or says what it does not know

    def items(self, kind: Kind, at: str, depth: int) -> list[str]:
        array = kind["type"] == "array"
        item, made = f"i{depth}", f"m{depth}"
        inner = self.value(kind["items" if array else "values"], item, depth + 1)
        if array:
            head = [f"if type({at}) is not list and type({at}) is not tuple: raise TypeError"]
            if len(inner) == 1 and inner[0].startswith(f"{item} = "):
                call = inner[0].removeprefix(f"{item} = ")
                return [*head, f"{at} = tuple([{call} for {item} in {at}])"]
            loop = [f"{made} = []", f"for {item} in {at}:"]
            last = [f"    {made}.append({item})", f"{at} = tuple({made})"]
        else:
            head = [f"if type({at}) is not dict: raise TypeError"]
            loop = [f"{made} = {{}}", f"for k{depth}, {item} in {at}.items():"]
            last = [f"    {made}[k{depth}] = {item}", f"{at} = {made}"]
        return [*head, *loop, *(f"    {line}" for line in inner), *last]


class _Writing(_Lines):
    def record(self, kind: Kind) -> str:
        name = f"write_{kind['name']}"
        if name in self.functions:
            return name
        self.functions[name] = ""
        pairs = ", ".join(
            f"{field['name']!r}: {self.value(field['type'], 'r.' + field['name'], 0)}"
            for field in kind["fields"]
        )
        del self.functions[name]
        self.functions[name] = f"def {name}(r):\n    return {{{pairs}}}"
        return name

    def value(self, kind: Kind, at: str, depth: int) -> str:
        """The JSON value as source."""
        kind = self.whole(kind)
        match _type_of(kind):
            case "union":
                inner = self.value(next(item for item in kind if item != "null"), at, depth)
                return at if inner == at else f"(None if {at} is None else {inner})"
            case "record":
                return f"{self.record(kind)}({at})"
            case "array":
                item = f"i{depth}"
                inner = self.value(kind["items"], item, depth + 1)
                return f"list({at})" if inner == item else f"[{inner} for {item} in {at}]"
            case "map":
                key, item = f"k{depth}", f"i{depth}"
                inner = self.value(kind["values"], item, depth + 1)
                return f"{{{key}: {inner} for {key}, {item} in {at}.items()}}"
            case "decimal":
                return f'{self.tool(format)}({at}, "f")'
            case "date":
                return f"{at}.isoformat()"
            case "timestamp-millis":
                return f"{self.tool(moment_text)}({at})"
            case "bytes" | "fixed":
                return f"{at}.hex()"
            case _:
                return at
