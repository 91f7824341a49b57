"""The scanner for personal data: finds what has a form, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.flow.personal import suspected
from schemas import records as r
from schemas.catalogue import catalogue, example
from schemas.codec import encode, from_json
from tests.support.ledger import Ledger


def found(text: str) -> str | None:
    """What is suspected of an offering whose title says `text`."""
    record = Ledger().record("offering.changed", titles=(r.LangText("zh", text),))
    return suspected(record, encode(record))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("联系人 13812345678", "a mobile phone number"),
        ("+86 13812345678", "a mobile phone number"),
        ("电话：139-1234-5678，邮箱 zhang@scu.edu.cn", "an e-mail address"),
        ("<zhang.san@stu.cqu.edu.cn>", "an e-mail address"),
        ("身份证11010519491231002X", "an identity number"),
        ("11010519491231002x", "an identity number"),
        ("440524188001010014", "an identity number"),
    ],
)
def test_what_has_the_form_of_personal_data_is_named_by_field_and_kind(
    text: str, kind: str
) -> None:
    """The refusal tells where to look and does not repeat what must not be written anywhere."""
    said = found(text)
    assert said == f"titles[0].value: {kind}"
    assert text not in said


@pytest.mark.parametrize(
    "text",
    [
        "高等数学（下）",
        "11010519491231002Y",  # no check digit
        "110105194912310021",  # the wrong check digit
        "110105194913310020",  # no month
        "12812345678",  # no mobile prefix
        "2138123456789",  # longer than a phone number
        "urn:alliance:student:10610:13812345678abcdef012",  # a pseudonym
        "CN202810123456.7",
        "https://orcid.org/0000-0002-1825-0097",
        "M@8 号楼",
        "10611-2026-1-MATH1021-02-0417",
    ],
)
def test_numbers_of_other_kinds_are_let_be(text: str) -> None:
    """A scanner that cries wolf is switched off."""
    assert found(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("学号：2023010417", "a student number"),
        ("学生 2023010417 申请", "a student number"),
        ("Student number 202301041", "a student number"),
        ("姓名：王小明", "a personal name"),
        ("联系人 欧阳修", "a personal name"),
    ],
)
def test_who_gives_himself_away_in_free_text_is_found(text: str, kind: str) -> None:
    """Student numbers and names have hardly a form; a word before them or a year of entry is one."""
    assert found(text) == f"titles[0].value: {kind}"


@pytest.mark.parametrize(
    "text",
    [
        "王小明", "高等数学", "马克思主义基本原理", "唐诗", "20260901", "2026-2027", "10611-2026-1-000417", "CN202810123456",
        "联系人：教务处", "姓名学概论", "联系人:黄河水利学院", "GB 11643-1999", "2026年秋季", "Advanced Mathematics", "GX2026123456789012",
    ],
)  # fmt: skip
def test_words_that_could_be_names_are_let_be_in_text(text: str) -> None:
    """Titles are words, and many begin with a surname: 高等数学 does."""
    assert found(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("王小明", "a personal name"), ("欧阳娜娜", "a personal name"), ("Wang Xiaoming", "a personal name"),
        ("2023010417", "a student number"), ("20230104", "a student number"), ("T0017", None),
        ("urn:alliance:staff:10610:0a1b2c", None), ("https://orcid.org/0000-0002-1825-0097", None), ("academic-affairs", None),
        ("教务处", None), ("academic office", None),
    ],
)  # fmt: skip
def test_a_field_for_a_pseudonym_holds_no_person_outright(text: str, kind: str | None) -> None:
    """There a name, or a bare number, can be nothing else."""
    record = Ledger().record("offering.changed")
    by_teacher = replace(record, teachers=(text,))
    said = f"teachers[0]: {kind}" if kind else None
    assert suspected(by_teacher, encode(by_teacher)) == said
    by_actor = replace(record, envelope=replace(record.envelope, actor_ref=text))
    said = f"envelope.actor_ref: {kind}" if kind else None
    assert suspected(by_actor, encode(by_actor)) == said


@pytest.mark.parametrize("schema", catalogue().events(), ids=lambda schema: schema.event)
def test_no_example_of_the_catalogue_is_suspected(schema: object) -> None:
    """They have registry numbers, ORCIDs, grant numbers and document numbers."""
    event = from_json(schema.event, example(schema))  # type: ignore[attr-defined]
    assert suspected(event, encode(event)) is None


@given(st.text(alphabet="0123456789abcdef", min_size=16, max_size=40))
def test_no_hexadecimal_pseudonym_is_suspected(opaque: str) -> None:
    """Home connectors make them by a keyed hash; some are digits for long."""
    if not opaque.isdigit():
        assert found(f"urn:alliance:student:10610:{opaque}") is None


def test_every_field_is_looked_at() -> None:
    """However deep: a contact in a list of records is in the log for ever, too."""
    record = Ledger().record("project.changed")
    deep = replace(record.organizations[0], role="x-13812345678 ")
    record = replace(record, organizations=(*record.organizations, deep))
    place = len(record.organizations) - 1
    assert (
        suspected(record, encode(record)) == f"organizations[{place}].role: a mobile phone number"
    )


@pytest.mark.parametrize(
    "text", ["x" * 250_000, "x@" * 125_000, "1" * 250_000, "a@b" * 80_000, "." * 250_000]
)
def test_a_long_text_is_looked_through_to_its_end(text: str) -> None:
    """A member could hold admission up with one event: a pattern that tried every start took minutes for a text of letters."""
    assert found(f"@a 138123456789012 {text}") is None
    assert found(f"{text} 13812345678") == "titles[0].value: a mobile phone number"
    assert found(f"{text} a@b.cn") == "titles[0].value: an e-mail address"
