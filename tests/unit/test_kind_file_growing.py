"""Files that grow: each row once, through rotation, renaming and copies, and nothing before it is whole."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sdk.contract import ConfigError
from tests.support.kind_file import Drop


def drop(tmp_path, **options):
    form = {"format": {"type": "jsonl"}}
    return Drop(tmp_path, pattern="log*", mode="append", batch=2, **(form | options))


def line(number: int, width: int = 10) -> str:
    return json.dumps({"id": number, "pad": "x" * width}) + "\n"


def grow(it: Drop, text: str, name: str = "log") -> None:
    with (it.folder / name).open("a", encoding="utf-8") as file:
        file.write(text)


def ids(items):
    return [item.data["id"] for item in items]


def test_only_what_was_appended_is_read(tmp_path):
    """A log of years is read once."""
    it = drop(tmp_path)
    grow(it, line(1) + line(2) + line(3))
    assert ids(it.life()) == [1, 2, 3]
    assert it.life() == []
    grow(it, line(4))
    items = it.life()
    assert ids(items) == [4]
    assert items[0].origin == "file:log#L4"
    assert it.names() == ["log"], "a log is its owner's: it is never moved"


def test_a_line_counts_when_its_line_end_is_there(tmp_path):
    """Between two writes of the campus there is half a line."""
    it = drop(tmp_path)
    whole = line(2)
    grow(it, line(1) + whole[:9])
    assert ids(it.life()) == [1]
    assert it.life() == []
    grow(it, whole[9:])
    assert ids(it.life()) == [2]


def test_an_open_quote_waits_for_the_rest_of_its_row(tmp_path):
    """A free text with line feeds may be written in pieces."""
    it = drop(tmp_path, format={"type": "csv"})
    grow(it, 'id,text\n1,a\n2,"one\n')
    assert ids(it.life()) == ["1"]
    grow(it, 'two"\n')
    (item,) = it.life()
    assert item.data == {"id": "2", "text": "one\ntwo"}
    assert item.origin == "file:log#L3"


def test_a_rotated_log_goes_on_where_it_stood(tmp_path):
    """Renamed and begun anew between two looks: its rest first, then the new one from its start."""
    it = drop(tmp_path)
    grow(it, line(1) + line(2))
    assert ids(it.life()) == [1, 2]
    grow(it, line(3))
    (it.folder / "log").rename(it.folder / "log.1")
    grow(it, line(4))
    assert ids(it.life()) == [3, 4]
    (it.folder / "log.1").rename(it.folder / "log.2")
    grow(it, line(5))
    (it.folder / "log").rename(it.folder / "log.1")
    grow(it, line(6))
    assert ids(it.life()) == [5, 6]
    assert it.life() == []


def test_a_rotated_csv_has_its_header_again(tmp_path):
    """Two logs with one header are two logs."""
    it = drop(tmp_path, format={"type": "csv"})
    grow(it, "id\n1\n")
    it.life()
    (it.folder / "log").rename(it.folder / "log.1")
    grow(it, "id\n2\n")
    assert ids(it.life()) == ["2"]


def test_a_log_that_is_copied_and_emptied_is_told_once(tmp_path):
    """The other way to rotate (copytruncate): for a moment two files hold the same."""
    it = drop(tmp_path)
    grow(it, line(1) + line(2))
    it.life()
    grow(it, line(3))
    (it.folder / "log.1").write_bytes((it.folder / "log").read_bytes())
    assert ids(it.life()) == [3]
    assert it.pages == 2, "a copy must not take the other's place in turn"
    (it.folder / "log").write_bytes(b"")
    assert it.life() == []
    grow(it, line(4))
    assert ids(it.life()) == [4]


def test_an_older_cursor_reads_again_from_there(tmp_path):
    """A person sets it back, and what was looked at before must not hide the rows."""
    it = drop(tmp_path)
    grow(it, line(1) + line(2) + line(3))

    async def story():
        source = it.open(None)
        try:
            first = await source.page(None)
            second = await source.page(first.cursor)
            assert (await source.page(second.cursor)).items == []
            assert await source.page(None) == first
            assert await source.page(first.cursor) == second
        finally:
            await source.close()

    asyncio.run(story())


def test_a_log_that_was_cut_stops_the_source(tmp_path):
    """Read on from the old place, it would skip what is written next."""
    it = drop(tmp_path)
    grow(it, "".join(line(n, 1_000) for n in range(6)))
    it.life()
    data = (it.folder / "log").read_bytes()
    (it.folder / "log").write_bytes(data[:5_000])
    with pytest.raises(ConfigError, match="somebody cut it"):
        it.life()


def test_a_row_that_cannot_be_read_is_parked_and_one_that_does_not_decode_stops_the_source(
    tmp_path,
):
    """A bad row is one person's matter; a wrong encoding is the matter of every row to come."""
    it = drop(tmp_path)
    grow(it, line(1) + "oops\n" + line(2))
    items = it.life()
    assert str(items[1].fault) == "line 2 is no JSON; correct the row"
    with (it.folder / "log").open("ab") as file:
        file.write('{"id": "王"}\n'.encode("gb18030"))
    with pytest.raises(ConfigError, match="line 4, byte 7"):
        it.life()


def test_a_cursor_of_another_mode_is_refused_with_the_way_out(tmp_path):
    """A campus that changes the mode has the old cursor in its state file."""
    it = drop(tmp_path)
    grow(it, line(1))
    it.life()
    it.options |= {"mode": "changes"}
    with pytest.raises(ConfigError, match="reset it"):
        it.life()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["row", "half", "rotate", "look", "crash"]), max_size=30))
def test_each_row_is_told_once_and_in_order_whatever_happens_to_the_log(tmp_path_factory, steps):
    """Writes, half writes, rotations, looks, and looks of a process that dies before its commit."""
    it = drop(tmp_path_factory.mktemp("grow"))
    (it.folder / "log").touch()
    number, rotated, rest, found = 0, 0, "", []
    for step in [*steps, "row", "look"]:
        if step in ("row", "half"):
            number += 1
            grow(it, rest + (line(number) if step == "row" else line(number)[:5]))
            rest = line(number)[5:] if step == "half" else ""
        elif step == "rotate" and not rest:
            rotated += 1
            (it.folder / "log").rename(it.folder / f"log.{rotated:03}")
            (it.folder / "log").touch()
        elif step == "crash":
            it.lost()
        else:
            found += ids(it.life())
    assert found == list(range(1, number + 1))
