"""Converters: a campus's notation of days, times, numbers, grades and truth to the alliance's.

Pure functions of one value, made from a field's options; each raises `ValueError` with value, what was wanted and the next
step. Where a notation can be read in two ways (1.234, a time without a zone), an option says which; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Protocol, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.sdk.mapping.codes import folded, shown

Name: TypeAlias = Literal[
    "bool", "date", "datetime", "decimal", "grade", "int", "lower", "milli", "split", "string", "term", "trim", "upper",
]  # fmt: skip
Number: TypeAlias = Literal["1234.5", "1,234.5", "1234,5", "1.234,5", "1 234,5", "1'234.5"]
Change: TypeAlias = Callable[[Any], Any]

CAMPUS_ZONE = "Asia/Shanghai"  # of times without a zone, unless the mapping names another


class Wishes(Protocol):
    """The options of a field that converters read; see `connectors.sdk.mapping.file.FieldTable`."""

    convert: Any
    formats: Any
    zone: Any
    ambiguous: Any
    number: Any
    yes: Any
    no: Any
    separator: Any
    scheme: Any
    normalize: Any


# Which converters read which option; an option that none of a field's converters reads is a mistake.
READERS: Mapping[str, Sequence[Name]] = {
    "formats": ("date", "datetime", "term"),
    "zone": ("date", "datetime", "term"),
    "ambiguous": ("datetime",),
    "number": ("decimal", "int", "milli", "grade"),
    "yes": ("bool",),
    "no": ("bool",),
    "separator": ("split",),
    "scheme": ("grade",),
}


def converter(wishes: Wishes) -> Change | None:
    """What a field does with its value, or None when it takes it as it is. Raises `ValueError` for an unknown zone."""
    steps: list[Change] = [_folded_text] if wishes.normalize else []
    steps += [_step(name, wishes) for name in wishes.convert]
    if len(steps) < 2:
        return steps[0] if steps else None

    def chain(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return chain


def _step(name: Name, wishes: Wishes) -> Change:
    match name:
        case "date" | "term":
            zone = zone_of(wishes.zone) if wishes.zone else None
            read = _day_reader(wishes.formats, zone)
            if name == "date":
                return lambda value: read(value).isoformat()
            return lambda value: term_of(read(value))
        case "datetime":
            return _time_reader(wishes.formats, zone_of(wishes.zone), wishes.ambiguous)
        case "decimal":
            return _decimal_reader(wishes.number)
        case "int" | "milli":
            return _whole_reader(wishes.number, 1000 if name == "milli" else 1)
        case "bool":
            return _truth_reader(wishes.yes, wishes.no)
        case "grade":
            return _grade_reader(wishes.scheme, wishes.number)
        case "split":
            return _splitter(wishes.separator)
        case "string":
            return _string
        case _:
            return {"trim": _trim, "upper": _upper, "lower": _lower}[name]


def zone_of(name: str | None) -> ZoneInfo:
    """A time zone by its IANA name, the campus's when none is named. Raises `ValueError`."""
    try:
        return ZoneInfo(name or CAMPUS_ZONE)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name or CAMPUS_ZONE!r} is no time zone known here; write one such as Europe/Vienna, and install tzdata "
            "if the system has no time zones"
        ) from None


# Texts


def _folded_text(value: Any) -> Any:
    return folded(value) if isinstance(value, str) else value


def _string(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise ValueError(f"value {shown(value)} is no text; name a path inside it")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _trim(value: Any) -> str:
    return _string(value).strip()


def _upper(value: Any) -> str:
    return _string(value).upper()


def _lower(value: Any) -> str:
    return _string(value).lower()


def _splitter(separator: str | None) -> Change:
    cut = "," if separator is None else separator

    def split(value: Any) -> list[str]:
        return [part.strip() for part in _string(value).split(cut) if part.strip()]

    return split


# Days and times


def _day_reader(formats: Sequence[str], zone: ZoneInfo | None) -> Callable[[Any], date]:
    """A day from text: ISO 8601, with or without a time, or one of the given strptime formats.

    Of a time with an offset it is the day as written or, with `zone`, the day it is there.
    """

    def read(value: Any) -> date:
        if formats:
            return _by_formats(value, formats, "day").date()
        text = str(value)
        try:
            if zone is not None and len(text) > 10:
                moment = datetime.fromisoformat(text)
                return (moment.astimezone(zone) if moment.tzinfo else moment).date()
            return date.fromisoformat(text[:10])
        except ValueError:
            raise ValueError(
                f"value {shown(value)} is no day such as 2026-09-01; give formats = [...]"
            ) from None

    return read


def _by_formats(value: Any, formats: Sequence[str], what: str) -> datetime:
    for layout in formats:
        try:
            return datetime.strptime(str(value), layout)  # noqa: DTZ007, who calls knows the zone
        except ValueError:
            continue
    raise ValueError(
        f"value {shown(value)} is no {what} of format {' or '.join(formats)}; add its format"
    )


def _time_reader(
    formats: Sequence[str], zone: ZoneInfo, ambiguous: Literal["earlier", "later"] | None
) -> Change:
    """A time from text, or from seconds since 1970: in UTC, in ISO 8601. What has no offset is a time of `zone`."""

    def read(value: Any) -> str:
        return _moment(value).astimezone(UTC).isoformat().replace("+00:00", "Z")

    def _moment(value: Any) -> datetime:
        if formats:
            moment = _by_formats(value, formats, "time")
        elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            return _since_1970(value)
        else:
            try:
                moment = datetime.fromisoformat(str(value).strip())
            except ValueError:
                raise ValueError(
                    f"value {shown(value)} is no time such as 2026-09-01T08:00:00+08:00; give formats = [...]"
                ) from None
        return moment if moment.tzinfo else in_zone(moment, zone, ambiguous)

    return read


def _since_1970(value: float | Decimal) -> datetime:
    """Seconds; from the year 5138 on they would be milliseconds, which Java and JavaScript count."""
    seconds = Decimal(str(value))
    if not seconds.is_finite() or abs(seconds) >= 10**14:
        raise ValueError(f"value {shown(value)} is no time since 1970; correct the record")
    if abs(seconds) >= 10**11:
        seconds /= 1000
    whole = datetime(1970, 1, 1, tzinfo=UTC)
    return whole + timedelta(microseconds=int(seconds * 1_000_000))


def in_zone(
    moment: datetime, zone: ZoneInfo, ambiguous: Literal["earlier", "later"] | None = None
) -> datetime:
    """A clock's reading as a moment, in UTC.

    When clocks go forward an hour does not exist, when they go back one happens twice. The second needs `ambiguous`;
    both raise `ValueError` otherwise. Source: PEP 495.
    """
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if back != moment:
        raise ValueError(
            f"value {moment} does not exist in {zone.key}, clocks went forward then; correct the record, or send times "
            "with their offset"
        )
    if ambiguous is None:
        raise ValueError(
            f"value {moment} happened twice in {zone.key}, clocks went back then; send times with their offset, or "
            'write ambiguous = "earlier" or "later"'
        )
    return (first if ambiguous == "earlier" else second).astimezone(UTC)


def term_of(day: date) -> dict[str, Any]:
    """The term a course starting that day belongs to, by the calendar of Chinese universities.

    Autumn (September to January) is term 1 of 2, spring (February to August) term 2 of the same academic year.
    """
    autumn = day.month >= 9 or day.month == 1
    first_year = day.year if day.month >= 9 else day.year - 1
    return {
        "academic_year": f"{first_year}-{first_year + 1}",
        "term_number": 1 if autumn else 2,
        "total_terms": 2,
    }


# Numbers

_LONGEST_NUMBER = (
    30  # digits before or after the point; written out, 1E999999999 would fill the memory
)
_DIGITS = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,9})?")


def separators(number: Number) -> tuple[str, str]:
    """What stands between groups of three digits (empty: nothing), and what before the decimals."""
    return number[1] if len(number) == 7 else "", number[-2]


def _decimal_reader(number: Number | None) -> Callable[[Any], str]:
    if number is None:
        return _decimal
    group, point = separators(number)
    body = rf"\d{{1,3}}({re.escape(group)}\d{{3}})+|\d+" if group else r"\d+"
    form = re.compile(rf"[+-]?({body})({re.escape(point)}\d+)?")

    def read(value: Any) -> str:
        if not isinstance(value, str):
            return _decimal(value)
        # Excel and Word write thousands with spaces that do not break.
        text = value.strip().replace("\xa0", " ").replace("\u202f", " ")
        if not form.fullmatch(text):
            raise ValueError(
                f"value {shown(value)} is no number such as {number}; correct the record or number"
            )
        plain = text.replace(group, "") if group else text
        return _decimal(plain.replace(point, "."))

    return read


def _decimal(value: Any) -> str:
    if type(value) is float and 1e-4 <= abs(value) < 1e16:  # Python writes these without exponent
        return repr(value)
    if isinstance(value, bool):
        raise ValueError(f"value {shown(value)} is no number")
    text = str(value).strip()
    try:
        if isinstance(value, str) and not _DIGITS.fullmatch(text):
            raise InvalidOperation
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(
            f"value {shown(value)} is no number such as 2.5; correct the record, or say how it is written with number"
        ) from None
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError(f"value {shown(value)} is no number of this world; correct the record")
    return format(number, "f")


def _whole_reader(number: Number | None, factor: int) -> Change:
    """A whole number; with factor 1000 a number of at most three decimals as thousandths."""
    read = _decimal_reader(number)

    def whole(value: Any) -> int:
        if type(value) is int:
            return value * factor
        found = Decimal(read(value)) * factor
        if found != found.to_integral_value():
            said = "whole number" if factor == 1 else "number of at most three decimals"
            raise ValueError(f"value {shown(value)} is no {said}; correct the record")
        return int(found)

    return whole


# Truth

_TRUTH = {"true": True, "1": True, "yes": True, "y": True, "是": True}
_TRUTH |= {"false": False, "0": False, "no": False, "n": False, "否": False}


def _truth_reader(yes: Sequence[str], no: Sequence[str]) -> Change:
    """By the words given or, where there are none, by those that most systems write."""
    own = dict.fromkeys((word.lower() for word in yes), True)
    own |= dict.fromkeys((word.lower() for word in no), False)
    words = own or _TRUTH

    def read(value: Any) -> bool:
        found = words.get(str(value).strip().lower())
        if found is None and isinstance(value, bool):
            return value
        if found is None:
            raise ValueError(
                f"value {shown(value)} is neither true nor false; add it to yes or no of the mapping"
            )
        return found

    return read


# Grades: names of schemes and labels as in the schema's Grade and the rules of recognition.

FIVE_LEVELS = ("优秀", "良好", "中等", "及格", "不及格")
_PASSES = ("合格", "通过", "pass", "passed", "p")
_FAILS = ("不合格", "不通过", "未通过", "fail", "failed", "f")
_LETTER = re.compile(r"[A-DF][+-]?")


def _grade_reader(scheme: str | None, number: Number | None) -> Change:
    """A grade as the schema wants it: scheme, the label as printed, and a number where the scheme has numbers."""
    read = _decimal_reader(number)

    def grade(value: Any) -> dict[str, Any]:
        label = _trim(value)
        found = scheme or _scheme_of(label, read)
        numeric = read(value) if found == "percent_100" else None
        if not _belongs(label, found, numeric):
            raise ValueError(
                f"value {shown(value)} is no grade of {found or 'percent_100, five_level or pass_fail'}; "
                "correct the record, or name its scheme"
            )
        return {"scheme": found, "label": label, "numeric": numeric}

    return grade


def _scheme_of(label: str, read: Callable[[Any], str]) -> str:
    if label in FIVE_LEVELS:
        return "five_level"
    # One F is a letter grade here and a failure there, so letters need a scheme; so do P and F.
    if label.lower() in (*_PASSES, *_FAILS) and len(label) > 1:
        return "pass_fail"
    try:
        read(label)
    except ValueError:
        return ""
    return "percent_100"


def _belongs(label: str, scheme: str, numeric: str | None) -> bool:
    if numeric is not None:
        return 0 <= Decimal(numeric) <= 100
    if scheme == "five_level":
        return label in FIVE_LEVELS
    if scheme == "pass_fail":
        return label.lower() in (*_PASSES, *_FAILS)
    if scheme == "letter":
        return _LETTER.fullmatch(label) is not None
    return scheme.startswith("x-") and bool(label)
