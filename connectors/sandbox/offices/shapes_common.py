"""What several offices share: amounts in thousandths, texts in two languages, lists in `data/`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

_LANGUAGES = {"zh": "zh-CN", "en": "en-GB"}


def number(milli: int) -> int | float:
    """Thousandths as a JSON number: 2500 -> 2.5, 3000 -> 3."""
    return milli // 1000 if milli % 1000 == 0 else milli / 1000


def text(milli: int) -> str:
    """Thousandths as the ledger writes them: 2500 -> `2.5`, 3000 -> `3`."""
    return format(Decimal(milli).scaleb(-3).normalize(), "f")


def thousandths(amount: str) -> int:
    """A decimal of a received event: `2.500` -> 2500."""
    return int(Decimal(amount) * 1000)


def localized(zh: str, en: str) -> list[dict[str, str]]:
    return [{"language": "zh-CN", "value": zh}, {"language": "en-GB", "value": en}]


def localized_from(texts: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Texts of a received event in the campus's own form."""
    return [
        {"language": _LANGUAGES.get(said["lang"], said["lang"]), "value": said["value"]}
        for said in texts
    ]


@cache
def data(name: str) -> Mapping[str, Any]:
    """A TOML file of `connectors/sandbox/data`."""
    found = files("connectors.sandbox") / "data" / name
    return tomllib.loads(found.read_text(encoding="utf-8"))


def parts(total: int, weights: Sequence[int]) -> list[int]:
    """A whole amount divided by weights, nothing lost: the first takes what does not divide."""
    found = [total * weight // sum(weights) for weight in weights]
    found[0] += total - sum(found)
    return found
