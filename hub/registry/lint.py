"""What Avro reads without a word and people read wrongly: units, scales, time units, namespaces, defaults, meanings.

Avro resolves by the physical type. A decimal of scale 3 read as scale 2, milliseconds read as microseconds and a field
that now counts hours all pass its checks, and a reader that trusts its own schema is off by a factor. These rules compare
two versions field by field; each finding has a path, a sentence and a fix. `severe` ones stop a release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.registry.compare import Finding, Seen, Spaces, named_types, opened
from hub.registry.shape import NAMED
from hub.registry.subjects import full_name

# Units as our names end with them (`lag_messages`, `timeout_s`, `credit_milli`) and as docs say them.
_UNIT_ENDINGS = (
    "ns", "us", "ms", "s", "min", "h", "hours", "minutes", "seconds", "days", "weeks", "months", "years",
    "milli", "micro", "percent", "permille", "bytes", "kb", "mb", "m", "km", "kg",
    "credits", "ects", "cny", "rmb", "fen", "yuan", "eur", "cents", "usd", "messages", "events", "entries", "seats", "places",
)  # fmt: skip
_UNIT_WORDS = re.compile(
    r"\b(nanoseconds?|microseconds?|milliseconds?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|per ?mille|percent|"
    r"basis points?|thousandths?|hundredths?|cents?|fen|yuan|rmb|cny|eur|usd|ects|bytes?|kilobytes?|met(?:er|re)s?|kilomet(?:er|re)s?)\b",
    re.IGNORECASE,
)
# What our own attributes promise; a message is keyed, signed and hashed by them.
_PROMISES = {
    "event": "it is another event",
    "key": "messages would be ordered by something else",
    "subject": "it would be about another thing",
    "hash": "the agreed content would be hashed elsewhere",
    "hashed": "members of two versions would hash the same content differently",
}


def lint(old: Any, new: Any) -> list[Finding]:
    """What changed in meaning from `old` to `new`, whole schemas as JSON values."""
    walk = _Pair(named_types(old), named_types(new))
    return list(dict.fromkeys(walk.compare(old, new, "", ("", ""))))


def lint_alone(avro: Any) -> list[Finding]:
    """What makes a schema hard to change later."""
    return list(dict.fromkeys(_alone(avro, "")))


@dataclass(frozen=True)
class _Pair:
    """One walk over two versions, with the types each names. `spaces` are the namespaces they stand in, `seen` the pairs of
    records above."""

    of_old: Mapping[str, Any]
    of_new: Mapping[str, Any]

    def compare(
        self, old: Any, new: Any, path: str, spaces: Spaces, seen: Seen = frozenset()
    ) -> Iterator[Finding]:
        old = _sole(opened(old, self.of_old, spaces[0]))
        new = _sole(opened(new, self.of_new, spaces[1]))
        if isinstance(old, list) or isinstance(new, list):
            yield from self._unions(old, new, path, spaces, seen)
            return
        yield from _logical(old, new, path)
        if not isinstance(old, dict) or not isinstance(new, dict):
            return
        if old["type"] in NAMED and new["type"] in NAMED:
            yield from self._named(old, new, path, seen)
        for key, sign in (("items", "[]"), ("values", "{}")):
            if key in old and key in new:
                yield from self.compare(old[key], new[key], path + sign, spaces, seen)

    def _unions(
        self, old: Any, new: Any, path: str, spaces: Spaces, seen: Seen
    ) -> Iterator[Finding]:
        """Branches of one physical type belong together."""
        olds = [opened(one, self.of_old, spaces[0]) for one in _branches(old)]
        news = [opened(one, self.of_new, spaces[1]) for one in _branches(new)]
        for branch in news:
            earlier = next((one for one in olds if _physical(one) == _physical(branch)), None)
            if earlier is not None:
                yield from self.compare(earlier, branch, path, spaces, seen)

    def _named(self, old: Any, new: Any, path: str, seen: Seen) -> Iterator[Finding]:
        names = full_name(old, ""), full_name(new, "")
        if names in seen:
            return
        if names[0] != names[1] and names[0] not in new.get("aliases", ()):
            yield Finding(
                "NAMESPACE",
                path,
                f"the type {names[0]} became {names[1]}; Avro compares the last part alone",
                "keep the full name; codecs, subjects and metrics go by it",
            )
        if "default" in old and old["default"] != new.get("default"):
            yield Finding(
                "ENUM_DEFAULT",
                path,
                f"an unknown value was read as {old['default']}, now as {new.get('default', 'an error')}",
                "keep the default of the enumeration",
            )
        for attribute, why in _PROMISES.items():
            if not path and old.get(attribute, "") != new.get(attribute, ""):
                yield Finding(
                    "PROMISE",
                    "",
                    f"{attribute} was {old.get(attribute, '')!r}, now {new.get(attribute, '')!r}: {why}",
                    "make it a new event",
                )
        if "fields" in old and "fields" in new:
            spaces = names[0].rpartition(".")[0], names[1].rpartition(".")[0]
            yield from self._fields(old, new, path, spaces, seen | {names})

    def _fields(
        self, old: Any, new: Any, path: str, spaces: Spaces, seen: Seen
    ) -> Iterator[Finding]:
        before = {field["name"]: field for field in old["fields"]}
        after = {field["name"]: field for field in new["fields"]}
        hashed = set(old.get("hashed", ()))
        for field in new["fields"]:
            at = _joined(path, field["name"])
            names = (field["name"], *field.get("aliases", ()))
            earlier = next((before[name] for name in names if name in before), None)
            if earlier is None:
                yield from _other_unit(field, before, after, at)
                continue
            yield from _renamed(earlier["name"], field["name"], at)
            yield from _field(earlier, field, at)
            if earlier["name"] in hashed and not self._equal(
                earlier["type"], field["type"], spaces, set()
            ):
                yield Finding(
                    "HASHED",
                    at,
                    "its type changed and it is part of the agreed content's hash",
                    "make it a new event",
                )
            yield from self.compare(earlier["type"], field["type"], at, spaces, seen)

    def _equal(self, old: Any, new: Any, spaces: Spaces, met: set[tuple[str, str]]) -> bool:
        """Whether two types are the same to the last word, wherever each is written out. Each pair is looked at once."""
        old = opened(old, self.of_old, spaces[0])
        new = opened(new, self.of_new, spaces[1])
        if isinstance(old, list) and isinstance(new, list):
            return len(old) == len(new) and all(
                self._equal(one, other, spaces, met) for one, other in zip(old, new, strict=True)
            )
        if not isinstance(old, dict) or not isinstance(new, dict):
            return bool(old == new)
        if old["type"] in NAMED:
            names = full_name(old, ""), full_name(new, "")
            if names in met:
                return True
            met.add(names)
            spaces = names[0].rpartition(".")[0], names[1].rpartition(".")[0]
        inner = ("items", "values", "fields")
        if any(old.get(key) != new.get(key) for key in {*old, *new}.difference(inner, ["doc"])):
            return False
        pairs = [(old[key], new.get(key)) for key in inner[:2] if key in old]
        fields = old.get("fields", []), new.get("fields", [])
        if [one["name"] for one in fields[0]] != [one["name"] for one in fields[1]]:
            return False
        pairs += [
            (one["type"], other["type"]) for one, other in zip(fields[0], fields[1], strict=True)
        ]
        return all(self._equal(one, other, spaces, met) for one, other in pairs)


def _field(old: Any, new: Any, path: str) -> Iterator[Finding]:
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield Finding(
            "DEFAULT",
            path,
            f"a message without it meant {old['default']!r}, now {new['default']!r}",
            "keep the default; messages written before are read by it",
        )
    docs = str(old.get("doc", "")), str(new.get("doc", ""))
    units = tuple(sorted({word.lower().rstrip("s") for word in _UNIT_WORDS.findall(one)}) for one in docs)  # fmt: skip
    if not set(units[0]) <= set(units[1]):
        yield Finding(
            "DOC_UNIT",
            path,
            f"its doc spoke of {', '.join(units[0])}, now of {', '.join(units[1]) or 'no unit'}",
            "keep the unit; another unit is a new field",
        )
    elif docs[0] and docs[0] != docs[1]:
        yield Finding(
            "DOC",
            path,
            "its doc changed",
            "see that it means what it meant; another meaning is a new field",
            severe=False,
        )


def _logical(old: Any, new: Any, path: str) -> Iterator[Finding]:
    kinds = tuple(one.get("logicalType") if isinstance(one, dict) else None for one in (old, new))
    if kinds[0] != kinds[1]:
        if _physical(old) == _physical(new) and any(kinds):
            times = all(kind and kind.startswith(("timestamp", "local", "time")) for kind in kinds)
            yield Finding(
                "TIME_UNIT" if times else "LOGICAL_TYPE",
                path,
                f"the same bytes meant {kinds[0] or 'a plain number or text'}, now {kinds[1] or 'a plain number or text'}",
                "keep the logical type; another one is a new field",
            )
    elif kinds[0] == "decimal":
        for word in ("scale", "precision"):
            found = old.get(word, 0), new.get(word, 0)
            if found[0] != found[1]:
                yield Finding(
                    f"DECIMAL_{word.upper()}",
                    path,
                    f"decimals had {word} {found[0]}, now {found[1]}; a reader of the other version would read another amount",
                    f"keep {word} {found[0]}; another one is a new field",
                )


def _renamed(old: str, new: str, path: str) -> Iterator[Finding]:
    """An alias carries the number over, and the unit in the name lies."""
    if old != new and _unit(old) != _unit(new):
        yield Finding(
            "NAME_UNIT",
            path,
            f"numbers written as {old} are read as {new}: another unit",
            "take the alias away; another unit is a new field",
        )


def _other_unit(
    field: Any, before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> Iterator[Finding]:
    """`timeout_s` went and `timeout_ms` came: readers of the old one get its default and nobody tells them."""
    stem, unit = field["name"].rpartition("_")[0], _unit(field["name"])
    for name in before:
        if unit and name not in after and _unit(name) and name.rpartition("_")[0] == stem:
            yield Finding(
                "NAME_UNIT",
                path,
                f"{name} went and {field['name']} came: the same in another unit",
                f"keep {name} beside it until no member reads it",
            )


def _alone(avro: Any, path: str) -> Iterator[Finding]:
    if isinstance(avro, list):
        for item in avro:
            yield from _alone(item, path)
    if not isinstance(avro, dict):
        return
    if avro.get("type") in NAMED:
        for alias in avro.get("aliases", ()):
            if "." not in alias:
                yield Finding(
                    "ALIAS_SHORT",
                    path,
                    f"the alias {alias} has no namespace; libraries differ in what they take it for",
                    f"write {full_name({'name': alias}, str(avro.get('namespace', '<namespace>')))}",
                )
    if avro.get("type") == "enum" and "default" not in avro:
        yield Finding(
            "ENUM_WITHOUT_DEFAULT",
            path,
            "no value can ever be added: older readers refuse one they do not know",
            "add a default, or use a string with the known values in its doc",
        )
    if avro.get("logicalType") == "decimal" and "scale" not in avro:
        yield Finding(
            "DECIMAL_SCALE", path, "a decimal without scale is whole", "say how many decimals"
        )
    for key, sign in (("items", "[]"), ("values", "{}"), ("type", "")):
        if isinstance(avro.get(key), (dict, list)):
            yield from _alone(avro[key], path + sign)
    for field in avro.get("fields", ()):
        yield from _alone(field["type"], _joined(path, field["name"]))


def _unit(name: str) -> str:
    ending = name.rpartition("_")[2]
    return ending if "_" in name and ending in _UNIT_ENDINGS else ""


def _sole(kind: Any) -> Any:
    """`{"type": {...}}` and `["x"]` are what is in them."""
    while True:
        if isinstance(kind, dict) and isinstance(kind.get("type"), (dict, list)):
            kind = kind["type"]
        elif isinstance(kind, list) and len(kind) == 1:
            kind = kind[0]
        else:
            return kind


def _branches(kind: Any) -> list[Any]:
    return kind if isinstance(kind, list) else [kind]


def _physical(kind: Any) -> str:
    kind = _sole(kind)
    if isinstance(kind, dict):
        named = kind.get("type") in NAMED
        return str(kind["name"]).rpartition(".")[2] if named else str(kind["type"])
    return "union" if isinstance(kind, list) else str(kind).rpartition(".")[2]


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
