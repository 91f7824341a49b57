"""JMESPath, compiled once. Plain paths are walked by hand: several times faster, and a dotted path can tell a missing
field from one that is null."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import jmespath
import jmespath.exceptions

_PLAIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_INDEXED = re.compile(r"[A-Za-z_]\w*(\[-?\d+\])*(\.[A-Za-z_]\w*(\[-?\d+\])*)*")
_STEP = re.compile(r"([A-Za-z_]\w*)|\[(-?\d+)\]")


class Missing:
    """There is no such path in the record (as against a path that holds null)."""

    def __repr__(self) -> str:
        return "missing"


class WrongShape(ValueError):
    """An expression met a value of a kind that it cannot work on."""


MISSING: Final = Missing()
Getter: TypeAlias = Callable[[Any], Any]
Names: TypeAlias = tuple[str, ...]


def compile_path(expression: str) -> Getter:
    """A function from a record to the value at that path, or `MISSING`.

    Anything beyond a dotted path follows JMESPath, where missing and null are both null: such a null counts as
    missing. Raises `ValueError` when it is no JMESPath; the function raises `WrongShape`.
    """
    if expression == "@":
        return lambda data: data
    if _PLAIN.fullmatch(expression):
        return _walk(tuple(expression.split(".")))
    alternatives = [part.strip() for part in expression.split("||")]
    if all(_INDEXED.fullmatch(part) for part in alternatives):
        return _first_of([_indexed(part) for part in alternatives])
    try:
        search = jmespath.compile(expression).search
    except jmespath.exceptions.JMESPathError as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"{expression!r} is no JMESPath: {said}; see jmespath.org") from error

    def find(data: Any) -> Any:
        try:
            found = search(data)
        except jmespath.exceptions.JMESPathError as error:
            raise WrongShape(str(error).splitlines()[0]) from error
        return MISSING if found is None else found

    return find


def never_raises(expression: str) -> bool:
    """Whether the function of this expression gives a value or `MISSING` whatever it meets: true of plain paths."""
    parts = [part.strip() for part in expression.split("||")]
    return expression == "@" or all(_INDEXED.fullmatch(part) for part in parts)


def _walk(names: Names) -> Getter:
    """Three depths written out: most paths of a mapping are that short, and a loop costs twice as much."""
    first, *rest = names

    def one(data: Any) -> Any:
        try:
            return data[first]
        except (KeyError, TypeError):
            return MISSING

    def two(data: Any) -> Any:
        try:
            return data[first][second]
        except (KeyError, TypeError):
            return MISSING

    def three(data: Any) -> Any:
        try:
            return data[first][second][third]
        except (KeyError, TypeError):
            return MISSING

    def more(data: Any) -> Any:
        try:
            for name in names:
                data = data[name]
        except (KeyError, TypeError):
            return MISSING
        return data

    if not rest:
        return one
    second, *rest = rest
    if not rest:
        return two
    third, *rest = rest
    return more if rest else three


def _indexed(expression: str) -> Getter:
    """A path with places in lists (`a.b[0].c`)."""
    steps: list[Any] = [
        match[1] if match[2] is None else int(match[2]) for match in _STEP.finditer(expression)
    ]

    def find(data: Any) -> Any:
        for step in steps:
            if not isinstance(data, dict if isinstance(step, str) else list):
                return None
            try:
                data = data[step]
            except (KeyError, IndexError):
                return None
        return data

    return find


def _first_of(getters: list[Getter]) -> Getter:
    """The first that JMESPath takes for true, else the last: null, false, empty texts, lists and objects are not."""
    *before, last = getters

    def find(data: Any) -> Any:
        for get in before:
            found = get(data)
            if found or (found == 0 and found is not False):
                return found
        found = last(data)
        return MISSING if found is None else found

    return find


def paths_of(expression: str) -> frozenset[Names]:
    """The paths of a record that an expression reads, without places in lists: what is below one is read as well.

    The empty path is the whole record. Raises `ValueError` when it is no JMESPath.
    """
    if _PLAIN.fullmatch(expression):
        return frozenset({tuple(expression.split("."))})
    try:
        tree = jmespath.compile(expression).parsed
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    read: set[Names] = set()
    ends = set(_ends(tree, {()}, read))
    return frozenset(read | ends)


_CHAINS = ("subexpression", "index_expression", "projection", "value_projection", "flatten", "pipe")


def _ends(node: Any, bases: set[Names], read: set[Names]) -> Iterator[Names]:
    """Where a part of an expression ends, starting from `bases`. What it reads beside its way goes into `read`."""
    kind = node["type"]
    children = [child for child in node["children"] if isinstance(child, dict)]
    if kind == "field":
        yield from ((*base, node["value"]) for base in bases)
    elif kind in _CHAINS:
        for child in children:
            bases = set(_ends(child, bases, read))
        yield from bases
    elif kind == "filter_projection":
        items, then, condition = children
        bases = set(_ends(items, bases, read))
        read.update(_ends(condition, bases, read))
        yield from _ends(then, bases, read)
    elif not children:
        if kind != "literal":
            yield from bases
    else:
        ends = {end for child in children for end in _ends(child, bases, read)}
        if kind == "function_expression":  # it may look at anything inside
            read.update(ends)
        yield from ends
