"""Converters: campuses' notations of days, times, numbers, truth and grades; nothing is guessed."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.mapping.converters import converter, in_zone
from connectors.sdk.mapping.file import FieldTable


def read(value, convert, **options):
    """The value as a field with these options reads it."""
    change = converter(FieldTable(path="x", convert=convert, **options))
    return value if change is None else change(value)


@pytest.mark.parametrize(
    ("value", "options", "found"),
    [
        ("2026-09-01 08:00:00", {}, "2026-09-01T00:00:00Z"),
        ("2026-09-01T08:00:00+02:00", {}, "2026-09-01T06:00:00Z"),
        ("2026-09-01", {}, "2026-08-31T16:00:00Z"),
        ("2026-09-01 08:00", {"zone": "Europe/Vienna"}, "2026-09-01T06:00:00Z"),
        ("01.12.2026 08:00", {"zone": "Europe/Vienna", "formats": ["%d.%m.%Y %H:%M"]}, "2026-12-01T07:00:00Z"),
        ("1.9.26 8:00", {"formats": ["%Y-%m-%d", "%d.%m.%y %H:%M"]}, "2026-09-01T00:00:00Z"),
        (1788220800, {}, "2026-09-01T00:00:00Z"),
        (1788220800000, {}, "2026-09-01T00:00:00Z"),  # milliseconds
        ("1990-07-01 08:00:00", {}, "1990-06-30T23:00:00Z"),  # China had summer time from 1986 to 1991
    ],
)  # fmt: skip
def test_times_become_moments(value, options, found):
    """A time without an offset is one of the campus's clock, in China unless the mapping names another zone."""
    assert read(value, "datetime", **options) == found


def test_an_hour_that_clocks_skip_or_repeat_is_named():
    """A timetable of a partner in Europe has both each year; guessing an hour moves a lesson."""
    vienna = {"zone": "Europe/Vienna"}
    with pytest.raises(ValueError, match=r"2026-03-29 02:30:00 does not exist in Europe/Vienna"):
        read("2026-03-29 02:30", "datetime", **vienna)
    with pytest.raises(ValueError, match=r"2026-10-25 02:30:00 happened twice in Europe/Vienna"):
        read("2026-10-25 02:30", "datetime", **vienna)
    first = read("2026-10-25 02:30", "datetime", **vienna, ambiguous="earlier")
    second = read("2026-10-25 02:30", "datetime", **vienna, ambiguous="later")
    assert (first, second) == ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
    assert read("2026-10-25T02:30:00+01:00", "datetime", **vienna) == second


ZONES = [ZoneInfo(name) for name in ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai")]  # fmt: skip


@given(
    at=st.datetimes(datetime(1980, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 (readings of a clock)
    zone=st.sampled_from(ZONES),
    later=st.booleans(),
)
def test_a_clock_s_reading_comes_back_from_its_moment(at, zone, later):
    """Whatever is taken shows the same reading there; what is refused has none, or two."""
    moments = {
        there.astimezone(UTC)
        for fold in (0, 1)
        if (there := at.replace(tzinfo=zone, fold=fold)).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == at
    }  # fmt: skip
    try:
        found = in_zone(at, zone, "later" if later else "earlier")
    except ValueError:
        assert not moments
        return
    assert found == (max if later else min)(moments)
    assert (moments == {found}) or abs(max(moments) - min(moments)) <= timedelta(hours=2)


@pytest.mark.parametrize(
    ("value", "options", "found"),
    [
        ("2026-09-07", {}, "2026-09-07"),
        ("2026-09-06T16:00:00Z", {}, "2026-09-06"),  # as written
        ("2026-09-06T16:00:00Z", {"zone": "Asia/Shanghai"}, "2026-09-07"),
        ("2026-09-06T16:00:00", {"zone": "Asia/Shanghai"}, "2026-09-06"),
        ("07.09.2026", {"formats": ["%d.%m.%Y"]}, "2026-09-07"),
        ("２０２６年９月７日", {"formats": ["%Y年%m月%d日"], "normalize": True}, "2026-09-07"),
        (20260907, {"formats": ["%Y%m%d"]}, "2026-09-07"),
    ],
)
def test_days_are_read_as_written_or_in_a_zone(value, options, found):
    """Midnight in China, written in UTC as JavaScript does, is the day before: the mapping says which is meant."""
    assert read(value, "date", **options) == found


@pytest.mark.parametrize(
    ("value", "number", "found"),
    [
        ("1.234,5", "1.234,5", "1234.5"),
        ("1.234.567", "1.234,5", "1234567"),
        ("12,5", "1.234,5", "12.5"),
        ("12,5", "1234,5", "12.5"),
        ("1,234.5", "1,234.5", "1234.5"),
        ("1 234,5", "1 234,5", "1234.5"),
        ("1\u202f234,5", "1 234,5", "1234.5"),
        ("-1'234.5", "1'234.5", "-1234.5"),
        ("2.5", None, "2.5"),
        (" 2.50 ", None, "2.50"),
        (2.5, "1.234,5", "2.5"),  # a JSON number has no notation
        (1e-05, None, "0.00001"),
    ],
)
def test_numbers_are_read_in_the_notation_the_mapping_shows(value, number, found):
    """An example of the notation says more than the name of a country."""
    assert read(value, "decimal", number=number) == found


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1.5", "1.234,5"),  # fifteen, or one and a half?
        ("1,5", None),
        ("1.23,5", "1.234,5"),
        ("1,234", "1234.5"),
        ("1_000", None),
        ("", None),
        ("NaN", None),
        ("1E999999999", None),
        (True, None),
        ("2,5,1", "1234,5"),
    ],
)
def test_a_number_in_another_notation_is_refused(value, number):
    """Read in the wrong notation, 1.500 credits are one and a half or fifteen hundred."""
    with pytest.raises(ValueError, match="is no number"):
        read(value, "decimal", number=number)


@given(st.decimals(-10**9, 10**9, places=3), st.sampled_from(["1,234.5", "1.234,5", "1 234,5", "1'234.5"]))  # fmt: skip
def test_a_number_comes_back_from_its_notation(amount, number):
    """All four notations hold the same numbers."""
    text = format(amount, ",f").translate(str.maketrans({",": number[1], ".": number[-2]}))
    assert Decimal(read(text, "decimal", number=number)) == amount


def test_amounts_may_become_whole_thousandths_but_are_never_rounded():
    """The ledger counts in thousandths; what does not fit them is somebody's mistake."""
    assert read("2,5", "milli", number="1234,5") == 2500
    assert read(0.125, "milli") == 125
    with pytest.raises(ValueError, match="at most three decimals"):
        read("2.5678", "milli")
    with pytest.raises(ValueError, match="is no whole number"):
        read("2.5", "int")


def test_truth_has_words_of_its_own_at_each_campus():
    """Only the words given count then: J must not mean no because nobody thought of it."""
    words = {"yes": ["J", "ja"], "no": ["N"]}
    assert read("ja", "bool", **words) is True
    assert read("n ", "bool", **words) is False
    assert read(True, "bool", **words) is True
    assert read("是", "bool") is True
    for value, options in (("yes", words), ("vielleicht", {})):
        with pytest.raises(ValueError, match="neither true nor false"):
            read(value, "bool", **options)


@pytest.mark.parametrize(
    ("value", "options", "found"),
    [
        ("86", {}, ("percent_100", "86", "86")),
        (86.5, {}, ("percent_100", "86.5", "86.5")),
        ("86,5", {"number": "1234,5"}, ("percent_100", "86,5", "86.5")),
        ("良好", {}, ("five_level", "良好", None)),
        ("合格", {}, ("pass_fail", "合格", None)),
        ("Passed", {}, ("pass_fail", "Passed", None)),
        ("F", {"scheme": "letter"}, ("letter", "F", None)),
        ("F", {"scheme": "pass_fail"}, ("pass_fail", "F", None)),
        ("A-", {"scheme": "letter"}, ("letter", "A-", None)),
        ("7,3", {"scheme": "x-1-10"}, ("x-1-10", "7,3", None)),
    ],
)
def test_grades_are_read_with_their_scheme(value, options, found):
    """The label stays as printed; schemes and labels are those of the rules of recognition."""
    scheme, label, numeric = found
    assert read(value, "grade", **options) == {"scheme": scheme, "label": label, "numeric": numeric}


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("F", {}),
        ("101", {}),
        ("-1", {"scheme": "percent_100"}),
        ("优", {"scheme": "five_level"}),
        ("E", {"scheme": "letter"}),
        ("5,0 (Täuschung)", {}),
        ("3", {"scheme": "gpa"}),
        ("", {"scheme": "x-1-10"}),
    ],
)
def test_a_grade_outside_its_scheme_is_refused(value, options):
    """A letter F is a failure in one scheme and no letter at all in another: the mapping must say which."""
    with pytest.raises(ValueError, match="is no "):
        read(value, "grade", **options)


def test_converters_follow_each_other():
    """Campuses' texts need small steps, each of them simple."""
    assert read(" Ab ", ["trim", "upper"]) == "AB"
    assert read("Ａ１ ", "lower", normalize=True) == "a1"
    assert read("张三; 李四;", "split", separator=";") == ["张三", "李四"]
    assert read("7", ["int"]) == 7
    assert read(7, "string") == "7"
    assert read(True, "string") == json.dumps(True)
    with pytest.raises(ValueError, match="is no text"):
        read({"a": 1}, ["trim"])


@pytest.mark.parametrize("value", [{}, [], None, "x" * 50, 10**40, float("inf"), "۵", b"1"])
@pytest.mark.parametrize("convert", ["date", "datetime", "term", "decimal", "int", "milli", "bool", "grade"])  # fmt: skip
def test_nonsense_is_refused_in_one_way(value, convert):
    """A converter that raises anything else would park the record without naming its field."""
    with contextlib.suppress(ValueError):
        assert read(value, convert) is not None
