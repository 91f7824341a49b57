"""Avro records to bytes and back with the standard library alone: one function for each schema, made once.

The functions read straight into the classes of `schemas.records`, with no dictionary in between, and check on the way
what Avro leaves open: 32 bits of an int, digits of an amount, the end of the record. fastavro is what they are tested
against (`tests/property/test_codec_plain.py`); it is not needed to run. Hub, campus and stand-alone verifier read by the
same code, so no two of them can differ over a damaged message. It is the faster one, too: on one core with Python 3.11 an
entry of 1.1 kB is read in 13 us and written in 10, where fastavro with the same checks takes 25 and 23; an award of 0.6 kB
in 16 and 12 where it takes 40 and 41.

Reading takes numbers in more bytes than they need and lists in several blocks, as Avro allows; writing gives one form.
Two things that fastavro takes are refused: a number beyond 64 bits and a negative branch of a union.
Source of the encoding: Avro 1.11 specification, binary encoding and schema resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import cache
from typing import Any, NoReturn, TypeAlias

Kind: TypeAlias = Any  # a type as a schema names it: text, list or object
Read: TypeAlias = Callable[[bytes, int, int], Any]  # bytes, first, end -> the value in them
Write: TypeAlias = Callable[[Any], bytes]

# What reading raises over bytes that do not follow the schema, and writing over values that do not.
BROKEN = (ValueError, IndexError, OverflowError)
UNFIT = (ValueError, TypeError, AttributeError, ArithmeticError)


class CannotResolve(Exception):
    """A schema version is not readable as the newest; the message says where."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_DAY = _EPOCH.toordinal()
_EXACT = Context(prec=40, traps=[InvalidOperation, Inexact])  # whatever the caller's context is

# One byte is by far the most common length of a number: looked up, not computed.
_NUMBERS = tuple((n >> 1) ^ -(n & 1) if n < 128 else None for n in range(256))
_SKIPS = tuple((n >> 1) + 1 if n < 128 and not n & 1 else 0 for n in range(256))
_COUNTS = tuple(n >> 1 if n < 128 and not n & 1 else None for n in range(256))
_SHORT = tuple(bytes([n << 1 if n < 64 else 255 - (n << 1) & 127]) for n in range(128))
# Lengths of texts in one byte or two; what is longer is rare.
_LENGTHS = tuple(
    bytes([n << 1]) if n < 64 else bytes([n << 1 & 127 | 128, n >> 6]) for n in range(8192)
)


# Reading: `b` are the bytes, `p` the position.


def _long(b: bytes, p: int) -> tuple[int, int]:
    """A number whose first byte stands before `p`, and the position after it."""
    n, shift = b[p - 1] & 127, 7
    while True:
        byte = b[p]
        p += 1
        n |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
    if n >> 64:
        raise ValueError("a number of more than 64 bits")
    return (n >> 1) ^ -(n & 1), p


def _int(b: bytes, p: int) -> tuple[int, int]:
    n, p = _long(b, p)
    if not -(2**31) <= n < 2**31:
        raise ValueError(f"{n} does not fit the 32 bits of an int")
    return n, p


def _skip(b: bytes, p: int) -> tuple[int, int]:
    """The end of a text whose length stands at `p`, and the position before its first byte."""
    first, second = b[p], b[p + 1]
    if first > 127 > second and not first & 1:  # a length in two bytes
        return p + 2 + (first >> 1 & 63 | second << 6), p + 1
    n, start = _long(b, p + 1) if b[p] > 127 else (_NUMBERS[b[p]] or 0, p + 1)
    if n < 0:
        raise ValueError(f"a length of {n} bytes")
    return start + n, start - 1


def _branch(b: bytes, p: int) -> tuple[int, int]:
    """The branch of a union with null, as 0 or 2, whose first byte stands before `p`."""
    n, p = _long(b, p) if b[p - 1] > 127 else (_NUMBERS[b[p - 1]] or 0, p)
    if n not in (0, 1):
        raise ValueError(f"branch {n} of a union of two")
    return n << 1, p


def _count(b: bytes, p: int) -> tuple[int, int]:
    """Items in the block at `p`; a negative number stands before the block's size in bytes, which nobody needs."""
    n, p = _long(b, p + 1) if b[p] > 127 else (_NUMBERS[b[p]] or 0, p + 1)
    if n < 0:
        _, p = _long(b, p + 1) if b[p] > 127 else (0, p + 1)
    return abs(n), p


def _moment(b: bytes, p: int) -> tuple[datetime, int]:
    if len(b) - p > 5:
        b0, b1, b2, b3, b4, b5 = b[p : p + 6]
        if b5 < 128 <= b4 and b3 > 127 and b2 > 127 and b1 > 127 and b0 > 127:
            # Six bytes, as all times from July 1970 to 2039.
            n = (b0 & 127 | (b1 & 127) << 7 | (b2 & 127) << 14 | (b3 & 127) << 21) | (
                b4 & 127 | b5 << 7
            ) << 28
            return _EPOCH + ((n >> 1) ^ -(n & 1)) * _MILLISECOND, p + 6
    millis, p = _long(b, p + 1) if b[p] > 127 else (_NUMBERS[b[p]] or 0, p + 1)
    return _EPOCH + millis * _MILLISECOND, p


def _decimal(data: bytes, bound: int, digits: int, scale: int) -> Decimal:
    unscaled = int.from_bytes(data, "big", signed=True)
    if not -bound < unscaled < bound:
        raise ValueError(f"decimal of {len(data)} bytes has more than {digits} digits")
    return Decimal(unscaled).scaleb(scale, _EXACT)


def _early(p: int, end: int) -> NoReturn:
    """The position is not where the bytes end."""
    if p < end:
        raise ValueError(f"{end - p} bytes are left after the record; send one record a message")
    raise ValueError(f"the bytes end {p - end} too early")


# Writing: the pieces of a value.


def _number(n: int) -> bytes:
    """Zigzag, seven bits a byte, lowest first."""
    if not -(2**63) <= n < 2**63:
        raise ValueError(f"{n} does not fit the 64 bits of a long")
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _number_32(n: int) -> bytes:
    if not -(2**31) <= n < 2**31:
        raise ValueError(f"{n} does not fit the 32 bits of an int")
    return _number(n)


def _moment_bytes(moment: datetime) -> bytes:
    """Whole milliseconds since 1970; a time without a zone would be taken for the local one."""
    try:
        millis = (moment - _EPOCH) // _MILLISECOND
    except TypeError as error:
        raise ValueError(f"{moment!r} is not a time with a zone; use datetime.now(UTC)") from error
    n = millis << 1
    if 0x800000000 <= n < 0x40000000000:  # as in _moment
        six = (
            n & 0x7F
            | (n & 0x3F80) << 1
            | (n & 0x1FC000) << 2
            | (n & 0xFE00000) << 3
            | (n & 0x7F0000000) << 4
            | (n & 0x3F800000000) << 5
            | 0x008080808080
        )
        return six.to_bytes(6, "little")
    return _number(millis)


def _date_bytes(day: date) -> bytes:
    return _number_32(day.toordinal() - _FIRST_DAY)


def _decimal_bytes(amount: Decimal, bound: int, digits: int, scale: int) -> bytes:
    """Length and two's complement, with room for a sign even before the largest negative of a byte, as fastavro has it."""
    scaled = amount.scaleb(scale, _EXACT)
    if not -bound < scaled < bound:
        raise ValueError(f"{amount} has more than {digits - scale} digits before the point")
    unscaled = int(scaled)
    if unscaled != scaled:
        raise ValueError(f"{amount} has more than {scale} decimals")
    size = (unscaled.bit_length() + 8) >> 3
    return _number(size) + unscaled.to_bytes(size, "big", signed=True)


def _fixed_bytes(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes, wanted {size}")
    return data


def _boolean_bytes(value: object) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise TypeError(f"{value!r} is neither True nor False")


# What the functions that are made call, by the names they use.
_READS: Mapping[str, Any] = {
    "NUMBERS": _NUMBERS, "SKIPS": _SKIPS, "FIRST_DAY": _FIRST_DAY, "date": date, "long": _long, "int": _int,
    "skip": _skip, "branch": _branch, "COUNTS": _COUNTS, "count": _count, "moment": _moment, "decimal": _decimal, "early": _early,
}  # fmt: skip
_WRITES: Mapping[str, Any] = {
    "SHORT": _SHORT, "LENGTHS": _LENGTHS, "join": b"".join, "number": _number, "number_32": _number_32, "moment_bytes": _moment_bytes,
    "date_bytes": _date_bytes, "decimal_bytes": _decimal_bytes, "fixed_bytes": _fixed_bytes,
    "boolean_bytes": _boolean_bytes,
}  # fmt: skip


def named_types(schema: Kind) -> dict[str, Kind]:
    """The named types that a schema defines, by full name."""
    found: dict[str, Kind] = {}
    _collect(schema, found)
    return found


def _collect(node: Kind, found: dict[str, Kind]) -> None:
    if isinstance(node, list):
        for item in node:
            _collect(item, found)
    elif isinstance(node, dict):
        if "name" in node and "namespace" in node:
            found[f"{node['namespace']}.{node['name']}"] = node
        for key in ("type", "items", "values", "fields"):
            if key in node:
                _collect(node[key], found)


class _Source:
    """Lines of a function that is being written."""

    def __init__(self, names: Mapping[str, Kind]) -> None:
        self.names = names
        self.lines: list[str] = []
        self.depth = 1
        self.made = 0

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self.depth + line for line in lines]

    def new(self) -> str:
        self.made += 1
        return f"v{self.made}"

    def whole(self, kind: Kind, names: Mapping[str, Kind]) -> Kind:
        """The type itself where it is called by name."""
        return names.get(kind, kind) if isinstance(kind, str) else kind

    def function(self, head: str, tools: Mapping[str, Any], shown: str) -> Any:
        """The function of these lines. Its tools are its defaults: local names are the fastest there are."""
        given = ", ".join(f"{name}={name}" for name in tools)
        source = "\n".join([f"def made({head}, {given}):", *self.lines])
        space = dict(tools)
        exec(compile(source, f"<avro {shown}>", "exec"), space)  # noqa: S102 (made from our own schemas alone, as dataclasses does)
        return space["made"]


def _type_of(kind: Kind) -> str:
    """What the kind is in one word: a primitive, a logical type, union, record, array, map or fixed."""
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null":
            raise CannotResolve(f"a union of {kind}, wanted null and one other type")
        return "union"
    if isinstance(kind, str):
        return kind
    return str(kind.get("logicalType", kind["type"]))


class _Reading(_Source):
    """Writes the reading of one version (`kind`, `names`) into the classes of the newest (`newest`, `newest_names`)."""

    def __init__(self, names: Mapping[str, Kind], newest_names: Mapping[str, Kind]) -> None:
        super().__init__(names)
        self.newest_names = newest_names
        self.classes: set[str] = set()

    def read(self, kind: Kind, newest: Kind, into: str) -> None:
        kind, newest = self.whole(kind, self.names), self.whole(newest, self.newest_names)
        found, wanted = _type_of(kind), _type_of(newest)
        if found != wanted:
            raise CannotResolve(f"{found} cannot be read as {wanted}")
        match found:
            case "union":
                self.add(f"{into} = b[p]", "p += 1")
                self.add(f"if {into} and {into} != 2: {into}, p = branch(b, p)", f"if {into}:")
                self.depth += 1
                self.read(kind[1], newest[1], into)
                self.depth -= 1
                self.add("else:", f"    {into} = None")
            case "record":
                self.record(kind, newest, into)
            case "array" | "map":
                self.items(kind, newest, into)
            case "int" | "long" | "date":
                wide = "long" if found == "long" else "int"
                self.add(f"{into} = NUMBERS[b[p]]", "p += 1")
                self.add(f"if {into} is None: {into}, p = {wide}(b, p)")
                if found == "date":
                    self.add(f"{into} = date.fromordinal({into} + FIRST_DAY)")
            case "timestamp-millis":
                self.add(f"{into}, p = moment(b, p)")
            case "boolean":
                self.add(f"{into} = b[p] != 0", "p += 1")
            case "fixed":
                self.add(f"{into} = b[p:p + {kind['size']}]", f"p += {kind['size']}")
                if kind["size"] != newest["size"]:
                    raise CannotResolve(f"{kind['size']} bytes cannot be read as {newest['size']}")
            case "string" | "bytes" | "decimal":
                self.add("q = p + SKIPS[b[p]]", "if q == p: q, p = skip(b, p)")
                self.add(f"{into} = {self.text(found, kind, newest)}", "p = q")
            case _:
                raise CannotResolve(
                    f"{found} is a type that no schema of ours has had; add it here"
                )

    def text(self, found: str, kind: Kind, newest: Kind) -> str:
        if found == "string":
            return "b[p + 1:q].decode()"
        if found == "bytes":
            return "b[p + 1:q]"
        digits, scale = kind["precision"], kind["scale"]
        if (digits, scale) != (newest["precision"], newest["scale"]):
            raise CannotResolve(f"decimal({digits}, {scale}) cannot be read with other digits")
        return f"decimal(b[p + 1:q], {10**digits}, {digits}, {-scale})"

    def record(self, kind: Kind, newest: Kind, into: str) -> None:
        """Fields in the order they were written; those that are new get their default, those that are gone are passed."""
        targets = {field["name"]: field for field in newest["fields"]}
        held: dict[str, str] = {}
        for field in kind["fields"]:
            target = targets.get(field["name"])
            name = self.new()
            try:
                self.read(field["type"], target["type"] if target else field["type"], name)
            except CannotResolve as error:
                raise CannotResolve(f"{field['name']}: {error}") from error
            held[field["name"]] = name
        for name, target in targets.items():
            if name not in held:
                held[name] = _default(target)
        self.classes.add(newest["name"])
        self.add(f"{into} = new_{newest['name']}({', '.join(held[name] for name in targets)})")

    def items(self, kind: Kind, newest: Kind, into: str) -> None:
        """Blocks of items. Past the end nothing is collected, or a count alone could fill the memory."""
        item, key, count = self.new(), self.new(), self.new()
        array = kind["type"] == "array"
        inner = "items" if array else "values"
        self.add("if b[p] == 0:", f"    {into} = {'()' if array else '{}'}", "    p += 1", "else:")
        self.depth += 1
        self.add(f"{into} = {'[]' if array else '{}'}")
        self.count(count)
        self.add(f"while {count}:")
        self.depth += 1
        self.add(f"for _ in range({count}):")
        self.depth += 1
        if not array:
            self.read("string", "string", key)
        self.read(kind[inner], newest[inner], item)
        self.add("if p > e: early(p, e)")
        self.add(f"{into}.append({item})" if array else f"{into}[{key}] = {item}")
        self.depth -= 1
        self.count(count)
        self.depth -= 1
        if array:
            self.add(f"{into} = tuple({into})")
        self.depth -= 1

    def count(self, into: str) -> None:
        """How many items a block has; 0 ends the list."""
        self.add(f"{into} = COUNTS[b[p]]", f"if {into} is None: {into}, p = count(b, p)")
        self.add("else: p += 1")


def _default(field: Mapping[str, Any]) -> str:
    """The default of a field as Python source. Source: Avro 1.11, schema resolution."""
    if "default" not in field:
        raise CannotResolve(f"{field['name']} is new and has no default; give it one")
    value = field["default"]
    if value == []:
        return "()"
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    raise CannotResolve(
        f"{field['name']} has the default {value!r}, wanted null, [] or a primitive"
    )


def reader(schema: Kind, newest: Kind, classes: Mapping[str, type]) -> Read:
    """A function that reads records written with `schema` into the classes of `newest`.

    It raises one of `BROKEN` when the bytes do not follow the schema or do not end with the record. Raises
    `CannotResolve` when the versions do not fit each other.
    """
    lines = _Reading(named_types(schema), named_types(newest))
    lines.read(schema, newest, "value")
    lines.add("if p != e: early(p, e)", "return value")
    tools = {**_READS} | {f"new_{name}": maker(classes[name]) for name in sorted(lines.classes)}
    made: Read = lines.function("b, p, e", tools, f"reads {newest['name']}")
    return made


@cache
def maker(record: type) -> Callable[..., Any]:
    """Makes a record as its class does, all its fields given. A frozen class sets each field by a call, which takes a third of all reading.

    So the fields are set in an object of a class with the same slots that is not frozen, which then becomes one of the
    record's class. Python allows that between classes of one layout and raises `TypeError` for others.
    """
    names = [field.name for field in fields(record)]
    lines = [
        f"    def __init__(self, {', '.join(names)}):",
        *(f"        self.{name} = {name}" for name in names),
        "        self.__class__ = record",
    ]
    space: dict[str, Any] = {"record": record}
    source = "\n".join(["class made:", f"    __slots__ = {tuple(names)!r}", *lines])
    exec(compile(source, f"<avro makes {record.__name__}>", "exec"), space)  # noqa: S102 (as above)
    made: Callable[..., Any] = space["made"]
    return made


class _Writing(_Source):
    """Writes the writing of a value. Each part answers with the pieces that it is made of, as source."""

    def write(self, kind: Kind, value: str) -> list[str]:
        kind = self.whole(kind, self.names)
        found = _type_of(kind)
        match found:
            case "union":
                into = self.new()
                self.add(
                    f"{into} = {value}", f"if {into} is None:", f"    {into} = b'\\0'", "else:"
                )
                self.depth += 1
                pieces = self.write(kind[1], into)
                self.add(f"{into} = join((b'\\2', {', '.join(pieces)}))")
                self.depth -= 1
                return [into]
            case "record":
                return self.record(kind, value)
            case "array" | "map":
                return self.items(kind, value)
            case "int" | "long":
                into = self.new()
                self.add(f"{into} = {value}")
                number = "number" if found == "long" else "number_32"
                return [f"SHORT[{into}] if -64 <= {into} < 64 else {number}({into})"]
            case "string":
                return self.text(f"{value}.encode()")
            case "bytes":
                return self.text(value)
            case "decimal":
                digits, scale = kind["precision"], kind["scale"]
                return [f"decimal_bytes({value}, {10**digits}, {digits}, {scale})"]
            case "fixed":
                return [f"fixed_bytes({value}, {kind['size']})"]
            case "date":
                return [f"date_bytes({value})"]
            case "timestamp-millis":
                return [f"moment_bytes({value})"]
            case "boolean":
                return [f"boolean_bytes({value})"]
        raise CannotResolve(f"{found} is a type that no schema of ours has had; add it here")

    def text(self, value: str) -> list[str]:
        into, size = self.new(), self.new()
        self.add(f"{into} = {value}", f"{size} = len({into})")
        return [f"LENGTHS[{size}] if {size} < 8192 else number({size})", into]

    def record(self, kind: Kind, value: str) -> list[str]:
        if not value.isidentifier():
            into = self.new()
            self.add(f"{into} = {value}")
            value = into
        return [
            piece
            for field in kind["fields"]
            for piece in self.write(field["type"], f"{value}.{field['name']}")
        ]

    def items(self, kind: Kind, value: str) -> list[str]:
        """One block without its size, or none: the only form that is written, so equal lists are equal bytes."""
        into, item, key, found = self.new(), self.new(), self.new(), self.new()
        self.add(f"{found} = {value}", f"if len({found}):")
        self.depth += 1
        self.add(f"{into} = [number(len({found}))]")
        array = kind["type"] == "array"
        self.add(f"for {item} in {found}:" if array else f"for {key}, {item} in {found}.items():")
        self.depth += 1
        pieces = [] if array else self.write("string", key)
        pieces += self.write(kind["items" if array else "values"], item)
        self.add(f"{into} += ({', '.join(pieces)},)")
        self.depth -= 1
        self.add(f"{into}.append(b'\\0')", f"{into} = join({into})")
        self.depth -= 1
        self.add("else:", f"    {into} = b'\\0'")
        return [into]


def writer(schema: Kind, prefix: bytes = b"", names: Mapping[str, Kind] | None = None) -> Write:
    """A function that writes `prefix` and the value, a record of `schemas.records` or a part of one.

    It raises one of `UNFIT` when a value does not fit. `names` are the types that `schema` calls by name without
    defining them.
    """
    lines = _Writing({**(names or {}), **named_types(schema)})
    pieces = lines.write(schema, "r")
    lines.add(f"return join(({prefix!r}, {', '.join(pieces)}))")
    made: Write = lines.function("r", _WRITES, "writes")
    return made


def misfit(schema: Kind, value: Any, at: str, names: Mapping[str, Kind] | None = None) -> str:
    """Where in a value something does not fit its schema, as a path, and what; empty when all fits."""
    names = names or named_types(schema)
    kind = names.get(schema, schema) if isinstance(schema, str) else schema
    parts: list[tuple[Kind, Any, str]] = []
    if isinstance(kind, list) and value is not None:
        return misfit(kind[1], value, at, names)
    if isinstance(kind, dict) and kind["type"] == "record":
        absent = [field["name"] for field in kind["fields"] if not hasattr(value, field["name"])]
        if absent:
            return f"{at}: {type(value).__name__} has no {absent[0]}"
        parts = [
            (f["type"], getattr(value, f["name"]), f"{at}.{f['name']}") for f in kind["fields"]
        ]
    elif isinstance(kind, dict) and kind["type"] == "array" and isinstance(value, (list, tuple)):
        parts = [(kind["items"], item, f"{at}[{index}]") for index, item in enumerate(value)]
    for part, inner, place in parts:
        if found := misfit(part, inner, place, names):
            return found
    if parts:
        return ""
    try:
        writer(kind, b"", names)(value)
    except UNFIT as error:
        return f"{at}: {error}"
    return ""
