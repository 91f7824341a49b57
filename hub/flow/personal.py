"""A scanner for personal data in the public part of events. What is in the ledger cannot be taken out again.

Looks for what has a form: identity numbers of the mainland (GB 11643, with check digit), mobile phone numbers and e-mail
addresses. A name has no form and is not found. Pseudonyms are hexadecimal and no match, because a number counts only
where no letter or digit touches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

_CANDIDATE = re.compile(rb"[1-9]\d{16}[\dXx]|1[3-9]\d{9}|[\w.+-]@[\w-]")
_IDENTITY = re.compile(
    r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}(?:0\d|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])"
)
_MOBILE = re.compile(r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d{9}(?![0-9A-Za-z])")
# One sign before the @ is enough: a pattern that begins with the whole name tries every letter of a long text.
_MAIL = re.compile(r"[\w.+-]@[\w-]+\.[\w-]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECKS = "10X98765432"


def suspected(event: Any, value: bytes) -> str | None:
    """What looks like personal data, as `field: kind`, never quoting it; None when nothing does.

    `value` are the event's bytes: most events are cleared by one look at them, without walking the record.
    """
    if _CANDIDATE.search(value) is None:
        return None
    return next(
        (f"{path}: {kind}" for path, text in _texts(event, "") if (kind := _kind(text))), None
    )


def _kind(text: str) -> str | None:
    if _MAIL.search(text):
        return "an e-mail address"
    if _MOBILE.search(text):
        return "a mobile phone number"
    return "an identity number" if any(map(_is_identity, _IDENTITY.findall(text))) else None


def _is_identity(number: str) -> bool:
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return _CHECKS[total % 11] == number[17].upper()


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text of a record with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif is_dataclass(value):
        for item in fields(value):
            yield from _texts(getattr(value, item.name), f"{path}.{item.name}".lstrip("."))
