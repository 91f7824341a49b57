"""A scanner for personal data in the public part of events. What is in the ledger cannot be taken out again.

Looks everywhere for what has a form of its own: identity numbers of the mainland (GB 11643, with check digit), mobile phone
numbers and e-mail addresses. Student numbers and names have hardly one, so they are looked for where they give themselves away:

- in fields that hold a pseudonym or a public identifier of a person (`PERSON_FIELDS`): a bare number of 8 to 13 digits, two
  to four Han characters that begin with a common surname, or two capitalized Latin words;
- in free text (`LangText` and `FREE_TEXT`): a number of 9 to 13 digits that begins with a year of entry, and what
  follows the words student number, name or contact.

Titles, names of members, units and places are words and never taken for a person. A scanner that cries wolf is switched
off, so it rather misses: a rare surname, a name in running text, a student number that begins otherwise pass. Private
parts (`schemas.private`) are the place for all of that. Pseudonyms are hexadecimal and no match, because a number counts
only where no letter or digit touches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from schemas.records import BY_NAME, LangText

PERSON_FIELDS = frozenset(
    {
        "actor_ref", "host_student_ref", "operator_id", "person_id", "requester_id", "staff_id", "student_id", "students",
        "supervisors", "teachers",
    }
)  # fmt: skip
FREE_TEXT = frozenset({"ground", "location", "outages", "position", "waive_reason"})

# Before a number or a name in running text.
_NUMBER_WORDS = r"学号|[Ss]tudent (?:no\.?|number|id)"
_NAME_WORDS = r"学生姓名|姓名|联系人"
# One look at an event's bytes clears most events. A length byte of Avro can be any sign, so nothing is asked of what
# stands before. Nine digits in a row: the fewest that any of the numbers below has without a word before it.
_DIGITS = re.compile(rb"[1-9]\d{8}")
_AT = re.compile(
    rb"[\w.+-]@[\w-]+\.[\w-]"
)  # with its dot: @ is also the length byte of a text of 32 signs
_WORDS = tuple(word.encode() for word in ("学号", "姓名", "联系人", "tudent n", "tudent i"))
_IDENTITY = re.compile(
    r"(?<![0-9A-Za-z])[1-9]\d{5}(?:18|19|20)\d{2}(?:0\d|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])"
)
_MOBILE = re.compile(r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d{9}(?![0-9A-Za-z])")
# One sign before the @ is enough: a pattern that begins with the whole name tries every letter of a long text.
_MAIL = re.compile(r"[\w.+-]@[\w-]+\.[\w-]")
_YEARS = r"(?:199\d|20[0-3]\d)"  # in which a student of today may have entered
_STUDENT_IN_TEXT = re.compile(
    rf"(?<![0-9A-Za-z.-]){_YEARS}\d{{5,9}}(?![0-9A-Za-z-])|(?:{_NUMBER_WORDS})[:： ]{{0,3}}[A-Za-z]?\d{{6,13}}(?!\d)"
)
_STUDENT_ALONE = re.compile(r"\d{8,13}")
# Frequent surnames of the mainland, most frequent first as the Ministry of Public Security's yearly reports on names have
# them, and further ones. Not all: a name with another surname is not found.
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗高梁郑谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖"
    "石金贾韦夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖文樊兰殷施洪翟安颜倪牛温芦季俞"
    "章鲁葛伍申尤毕聂柴焦盛翁柳邢岳齐梅庄辛管祝左涂谷祁耿牟卜路詹关苗凌费纪靳童欧甄项曲成游阳裴席卫查屈鲍位霍隋植甘景薄单包司"
    "柏宁柯阮桂闵解车房边辜吉饶刁瞿戚丘古米池滕佟晏蒲苟冉蔺艾尚宫褚娄窦岑党胥帅符逯敖粟幸奚储巫容邝郎仇练银臧卞鄢邬蔚农庞乌麦"
    "庹晋冼尧匡华缪邸代宗鹿宿占扈衣糜应"
)
_COMPOUND = "欧阳|上官|司马|诸葛|东方|皇甫|尉迟|公孙|慕容|令狐|长孙|宇文|司徒|夏侯|端木|南宫|西门|独孤|呼延|轩辕"
_NAME = rf"(?:{_COMPOUND}|[{_SURNAMES}])[\u4e00-\u9fff]{{1,2}}"
_HAN_NAME = re.compile(_NAME)
_LATIN_NAME = re.compile(r"[A-Z][a-z]+(?:[ -][A-Z][a-z]+){1,2}")
_NAME_IN_TEXT = re.compile(rf"(?:{_NAME_WORDS})[:： ]{{0,3}}{_NAME}(?![\u4e00-\u9fff])")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECKS = "10X98765432"


def suspected(event: Any, value: bytes) -> str | None:
    """What looks like personal data, as `field: kind`, never quoting it; None when nothing does.

    `value` are the event's bytes: most events are cleared by one look at them and at the fields that name people, without
    walking the record.
    """
    for path, text in _people(event):
        if (kind := _person(text)) is not None:
            return f"{path}: {kind}"
    if not _is_candidate(value):
        return None
    return next(
        (
            f"{path}: {kind}"
            for path, text, free in _texts(event, "", free=False)
            if (kind := _kind(text) or (_in_text(text) if free else None))
        ),
        None,
    )


def _is_candidate(value: bytes) -> bool:
    return (
        _DIGITS.search(value) is not None
        or (b"@" in value and _AT.search(value) is not None)
        or any(word in value for word in _WORDS)
    )


def _kind(text: str) -> str | None:
    if _MAIL.search(text):
        return "an e-mail address"
    if _MOBILE.search(text):
        return "a mobile phone number"
    return "an identity number" if any(map(_is_identity, _IDENTITY.findall(text))) else None


def _person(text: str) -> str | None:
    """A person named outright where a pseudonym or a public identifier belongs."""
    if _STUDENT_ALONE.fullmatch(text):
        return (
            None if _MOBILE.fullmatch(text) else "a student number"
        )  # the other look says what it is
    named = _HAN_NAME.fullmatch(text) or _LATIN_NAME.fullmatch(text)
    return "a personal name" if named else None


def _in_text(text: str) -> str | None:
    if _STUDENT_IN_TEXT.search(text):
        return "a student number"
    return "a personal name" if _NAME_IN_TEXT.search(text) else None


def _is_identity(number: str) -> bool:
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return _CHECKS[total % 11] == number[17].upper()


def _texts(value: Any, path: str, *, free: bool) -> Iterator[tuple[str, str, bool]]:
    """Every text of a record with its path, and whether people write there what they like."""
    if isinstance(value, str):
        yield path, value, free
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]", free=free)
    elif is_dataclass(value):
        for item in fields(value):
            inner = getattr(value, item.name)
            yield from _texts(
                inner, f"{path}.{item.name}".lstrip("."), free=free or _is_free(value, item.name)
            )


def _is_free(record: Any, name: str) -> bool:
    return name in FREE_TEXT or (isinstance(record, LangText) and name == "value")


def _people(event: Any) -> Iterator[tuple[str, str]]:
    """The texts of the fields that name people, with their paths."""
    about = getattr(event, "envelope", None)
    if about is not None and about.actor_ref is not None:
        yield "envelope.actor_ref", about.actor_ref
    for name in _person_fields(event.FULL_NAME):
        found = getattr(event, name)
        if isinstance(found, str):
            yield name, found
        elif found is not None:
            yield from ((path, text) for path, text, _ in _texts(found, name, free=False))


@cache
def _person_fields(full_name: str) -> tuple[str, ...]:
    return tuple(item.name for item in fields(BY_NAME[full_name]) if item.name in PERSON_FIELDS)
