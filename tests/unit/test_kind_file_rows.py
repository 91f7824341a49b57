"""From bytes to rows: what is read, and what is refused with its line and byte. No message may hold a value."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.file_drop.options import DropOptions, Format
from connectors.file_drop.rows import BadFile, layout_of, rows

PERSON = "王小明"


def read(data: bytes, **form):
    """All rows of a file."""
    stream = io.BytesIO(data)
    layout = layout_of(stream, Format(**form))
    return list(rows(stream, layout, layout.start, layout.line))


def refused(data: bytes, **form) -> str:
    with pytest.raises(BadFile) as caught:
        read(data, **form)
    assert PERSON not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("gb18030", "𠮷野 㐂 王小明"),
        ("gbk", "王小明"),
        ("big5", "陳大文"),
        ("cp1252", "Jürgen Müller"),
        ("utf-8", "王小明 Ü"),
    ],
)
def test_names_survive_the_campus_s_encoding(encoding, name):
    """A person's name is what people look at first; rare characters need GB18030's four bytes."""
    (row,) = read(f"id;name\n1;{name}\n".encode(encoding), encoding=encoding, delimiter=";")
    assert row.data == {"id": "1", "name": name}


def test_a_wrong_encoding_is_told_by_line_and_byte():
    """Read as something else, names would be garbage in the ledger for good."""
    data = f"id,name\n1,Ann\n2,{PERSON}\n".encode("gb18030")
    said = refused(data, encoding="utf-8")
    assert "line 3, byte 16" in said
    assert "format.encoding" in said


def test_a_byte_order_mark_that_contradicts_is_told():
    """Otherwise the first column's name would begin with an invisible character and never be found."""
    assert "utf-8-sig" in refused("id\n1\n".encode("utf-8-sig"))
    assert "utf-16" in refused("id\n1\n".encode("utf-16"), encoding="gb18030")
    assert read("id\n1\n".encode("utf-8-sig"), encoding="utf-8-sig")[0].data == {"id": "1"}
    assert read("\ufeffid\n1\n".encode("gb18030"), encoding="gb18030")[0].data == {"id": "1"}


@pytest.mark.parametrize(
    ("data", "form", "words"),
    [
        (b"id,name\n1,Ann\n2", {}, "line 3"),
        (b"id,na", {}, "header"),
        (b"", {}, "empty"),
        ("id,name\n1,王".encode()[:-1], {}, "inside a character"),
        (b'id,name\n1,"Ann\n2,Bo\n', {}, "never closed"),
        (b'{"id": 1}\n{"id": ', {"type": "jsonl"}, "line 2"),
        (b"id,name\n1,Ann", {"final_newline": True}, "line 2"),
    ],
)
def test_a_half_written_file_is_recognized(data, form, words):
    """The exporter is still at it, or died: told as it is, the rest would be missing or withdrawn."""
    said = refused(data, **form)
    assert words in said
    assert "anew" in said or "half-written" in said


def test_a_last_line_without_line_end_counts_when_it_is_whole():
    """Many exporters write none; `final_newline` is for those that always do."""
    assert [row.data for row in read(b"id,name\n1,Ann")] == [{"id": "1", "name": "Ann"}]


def test_damage_is_named_where_it_is():
    """A person has to find it in a file of a hundred thousand lines."""
    assert "line 3, byte 6" in refused(b"id\n1\n2\0\n")
    assert "line 2 is longer than 64 bytes" in refused(b"id\n" + b"x" * 70 + b"\n", line_bytes=64)
    assert "field larger than field limit" in refused(b"id\n" + b"x" * 200_000 + b"\n")
    assert "column without name" in refused(b"id,\n1,2\n")
    assert "one twice" in refused(b"id,id\n1,2\n")
    assert "no name" in refused(b"id\n1\n", columns=("id", "name"))


def test_a_row_of_another_width_is_a_fault_of_that_row():
    """One stray delimiter in a free text must not cost the whole export, if the campus says so."""
    first, second, third = read(f"id,name\n1,Ann\n2,{PERSON},x\n3,Bo\n".encode())
    assert (first.fault, third.fault) == ("", "")
    assert second.fault.startswith("line 3 has 3 columns, wanted 2")
    assert PERSON not in second.fault


def test_json_lines_that_are_no_objects_are_faults_of_their_rows():
    """A number or a broken line has no fields to map."""
    found = read(b'{"id": 1}\n[1]\n{"id": NaN}\n{"id"\n\n{"id": 2}\n', type="jsonl")
    assert [bool(row.fault) for row in found] == [False, True, True, True, False]
    assert [row.line for row in found] == [1, 2, 3, 4, 6]


def test_null_texts_are_null_and_columns_may_come_from_the_options():
    """Databases export NULL as a word; old exports have no header."""
    (row,) = read(
        b"1;NULL;\n", header=False, columns=("id", "a", "b"), null=("NULL", ""), delimiter=";"
    )
    assert row.data == {"id": "1", "a": None, "b": None}


def test_rows_know_their_lines_through_quoted_line_feeds_and_blank_lines():
    """Origins name the line that an editor shows."""
    found = read(b'id,text\r\n\r\n1,"a\r\nb"\r\n2,c\r\n')
    assert [(row.line, row.last) for row in found] == [(3, 4), (5, 5)]
    assert found[0].data == {"id": "1", "text": "a\r\nb"}


CELLS = st.text(
    st.characters(codec="gb18030", exclude_characters="\0", exclude_categories=["Cs"]), max_size=8
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.integers(0, 11))
def test_reading_on_from_any_row_gives_the_same_rows(table, cut):
    """A page begins where the last one ended; a wrong byte there would shift a whole export."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b"), *table])
    data = out.getvalue().encode("gb18030")
    stream = io.BytesIO(data)
    layout = layout_of(stream, Format(encoding="gb18030"))
    whole = list(rows(stream, layout, layout.start, layout.line))
    assert [tuple(row.cells) for row in whole] == table
    last = whole[min(cut, len(whole) - 1)]
    rest = list(rows(stream, layout, last.end, last.last))
    assert rest == [row for row in whole if row.line > last.line]
    assert data[whole[0].start : whole[-1].end] == data[layout.start :]


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_the_hash_of_a_row_is_of_its_contents_and_not_of_the_column_order(table):
    """An exporter that reorders its columns must not make every course look changed."""

    def hashes(columns):
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(columns)
        for a, b in table:
            writer.writerow([{"a": a, "b": b, "when": "x"}[column] for column in columns])
        stream = io.BytesIO(out.getvalue().encode())
        layout = layout_of(stream, Format(), ("a",), ("when",))
        return [layout.hash_of(row) for row in rows(stream, layout, layout.start, layout.line)]

    assert hashes(["a", "b", "when"]) == hashes(["b", "when", "a"])
    assert len(set(hashes(["a", "b", "when"]))) == len({(a, b) for a, b in table})


def test_a_key_of_several_columns_comes_back_as_its_columns():
    """Of a record that is gone only the key is known, and the mapping needs its parts."""
    stream = io.BytesIO(b'a,b,c\n"1/2",3,x\n1,"2/3",y\n,2,z\n')
    layout = layout_of(stream, Format(), ("a", "b"))
    keys = [layout.key_of(row) for row in rows(stream, layout, layout.start, layout.line)]
    assert len(set(keys)) == 3
    assert layout.of_key(keys[0]) == {"a": "1/2", "b": "3"}
    assert keys[2] is None
    assert json.loads(keys[1]) == ["1", "2/3"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": {"encoding": "utf-16"}}, "cannot be told apart"),
        ({"format": {"encoding": "hz"}}, "cannot be told apart"),
        ({"format": {"encoding": "klingon"}}, "wanted an encoding"),
        ({"format": {"header": False}}, "list the columns"),
        ({"mode": "full_snapshot"}, "key is missing"),
        ({"mode": "append", "on_done": "delete"}, "where files stay"),
        ({"on_error": "delete"}, "would lose the file"),
        ({"on_done": "../elsewhere"}, "inside location"),
        ({"on_done": "archive/{week}"}, "only {date}"),
        ({"pattern": "a/*.csv"}, "pattern of names"),
        ({"location": "sftp://hub:secret@files.example/x"}, "use a key"),
        ({"location": "sftp://-oProxyCommand=x/x"}, "would not take"),
        ({"location": "ftp://files.example/x"}, "wanted a folder or sftp://"),
        ({"compare_without": ["x"]}, "full_snapshot"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_the_fix(options, words):
    """Found at lint, not on the night of the first export."""
    with pytest.raises(ValidationError) as caught:
        DropOptions.model_validate(
            {"location": "in", "pattern": "*.csv", "mode": "changes"} | options
        )
    said = str(caught.value.errors()[0]["ctx"]["error"])
    assert words in said
    assert "secret" not in said
