"""Full exports held against what was published: what changed, what is gone, and when a person must be asked first."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.file_drop.conformance import csv_of
from connectors.sdk.contract import Seen
from connectors.sdk.memory import Comparison, Listed, Twice
from connectors.sdk.state.file import Mapped, State
from tests.support.kind_file import NAME, Drop


def drop(tmp_path, **options):
    return Drop(tmp_path, pattern="courses*.csv", mode="full_snapshot", **({"key": "id"} | options))


def export(rows: dict[str, str]) -> str:
    """Courses by id, with their seats."""
    return csv_of(
        [{"id": id, "seats": seats} for id, seats in rows.items()] or [{"id": "", "seats": ""}]
    )


def courses(count: int, **changed: str) -> dict[str, str]:
    return {f"c{n:03}": "30" for n in range(count)} | changed


def told(items):
    """What each change does: operation, key and version."""
    return [(i.data["_change"]["op"], i.data["id"], i.data["_change"]["version"]) for i in items]


def test_only_what_changed_since_the_last_export_is_told(tmp_path):
    """An export lists what is; the ledger wants what changed, with versions that count up."""
    it = drop(tmp_path, guard={"max_delete": 0.5})
    it.put("courses.csv", export({"a": "1", "b": "2", "c": "3"}))
    first = it.life()
    assert told(first) == [("upsert", "a", 1), ("upsert", "b", 1), ("upsert", "c", 1)]
    assert first[1].data["seats"] == "2"
    assert (first[1].origin, first[1].key) == ("file:courses.csv#L3", "b")
    it.put("courses.csv", export({"c": "3", "b": "20", "d": "4"}))
    assert told(it.life()) == [("upsert", "b", 2), ("upsert", "d", 1), ("delete", "a", 2)]
    it.put("courses.csv", export({"d": "4", "a": "1", "b": "20", "c": "3"}))
    assert told(it.life()) == [("upsert", "a", 3)]


def test_the_same_change_has_the_same_event_id_whoever_finds_it(tmp_path):
    """A crash before the commit finds it again, and the ledger must see one event; another source's is another."""
    ids = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        it = drop(tmp_path / str(number))
        it.put("courses.csv", export({"a": "1"}))
        ids.append(it.life()[0].data["_change"]["eventId"])
    assert ids[0] == ids[1]


def test_a_change_happened_when_the_file_was_written(tmp_path):
    """Not when we came to read it; a clock of the server that is ahead must not date events into the future."""
    it = drop(tmp_path)
    it.put("courses.csv", export({"a": "1"}), mtime=1_700_000_000)
    assert it.life()[0].data["_change"]["at"] == "2023-11-14T22:13:20.000Z"
    it.put("courses.csv", export({"a": "2"}), mtime=1_900_000_000)
    assert it.life()[0].data["_change"]["at"] == "2026-09-01T00:00:00.000Z"


def test_the_order_of_rows_and_columns_is_no_change(tmp_path):
    """Databases export in any order."""
    it = drop(tmp_path)
    it.put("courses.csv", "id,a,b\n1,x,y\n2,u,v\n")
    it.life()
    it.put("courses.csv", "b,id,a\nv,2,u\ny,1,x\n")
    assert it.life() == []
    assert it.archived()[0].startswith("courses")
    assert it.names() == []


def test_columns_that_change_every_night_may_be_left_out(tmp_path):
    """An export date in every row would make every course a change."""
    it = drop(tmp_path, compare_without=["exported"])
    it.put("courses.csv", "id,seats,exported\n1,2,mon\n")
    it.life()
    it.put("courses.csv", "id,seats,exported\n1,2,tue\n")
    assert it.life() == []
    it.put("courses.csv", "id,seats,exported\n1,3,wed\n")
    (item,) = it.life()
    assert item.data["exported"] == "wed"


@pytest.mark.parametrize(("left", "taken"), [(95, True), (94, False), (50, False), (0, False)])
def test_a_dump_with_too_many_rows_gone_is_held_back_whole(tmp_path, left, taken):
    """A truncated export must not withdraw three thousand students. Five in a hundred may go, six and half may not."""
    it = drop(tmp_path)
    it.put("courses.csv", export(courses(100)))
    assert len(it.life()) == 100
    rows = {id: seats for n, (id, seats) in enumerate(courses(100).items()) if n < left}
    it.put("courses.csv", export(rows | {"new": "1"}))
    items = it.life()
    if taken:
        assert told(items) == [("upsert", "new", 1)] + [
            ("delete", f"c{n:03}", 2) for n in range(95, 100)
        ]
        return
    assert items == []
    assert f"{100 - left} of 100 keys that were published are gone, at most 5.0% may" in it.said
    assert "c099" not in it.said
    assert it.names("rejected") == ["courses.csv", "courses.csv.why.txt"]


def test_a_person_accepts_by_bringing_the_file_back(tmp_path):
    """Terms end, and then most courses do go."""
    it = drop(tmp_path)
    it.put("courses.csv", export(courses(100)))
    it.life()
    it.put("courses.csv", export(courses(50)))
    assert it.life() == []
    (it.folder / "rejected" / "courses.csv").rename(it.folder / "courses.csv.accept")
    items = it.life()
    assert len(items) == 50
    assert {op for op, _, _ in told(items)} == {"delete"}
    assert it.said == ""
    assert it.names("rejected") == it.names() == []


def test_a_later_whole_export_goes_on_without_the_one_that_was_held_back(tmp_path):
    """Tonight's broken dump must not stop tomorrow's good one."""
    it = drop(tmp_path)
    it.put("courses_1.csv", export(courses(100)))
    it.life()
    it.put("courses_2.csv", export(courses(50)))
    it.put("courses_3.csv", export(courses(100, c007="31")))
    assert told(it.life()) == [("upsert", "c007", 2)]
    assert "courses_2.csv" in it.said


def test_too_few_rows_are_held_back_even_at_first(tmp_path):
    """There is nothing yet to compare the first export with."""
    it = drop(tmp_path, guard={"min_rows": 100})
    it.put("courses.csv", export(courses(99)))
    assert it.life() == []
    assert "99 rows, wanted at least 100 (guard.min_rows)" in it.said


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path):
    """Which of the two holds? Nobody can know, and the next export may order them otherwise."""
    it = drop(tmp_path)
    it.put("courses.csv", "id,seats\nx,1\ny,2\nx,3\n")
    assert it.life() == []
    assert "lines 2 and 4 have the same key" in it.said


def test_an_older_export_is_not_taken_for_news(tmp_path):
    """Delivered late or once more, it would undo what came since. The newest once more is no news at all."""
    it = drop(tmp_path)
    for night, seats in enumerate(("1", "2", "3")):
        it.put(f"courses_{night}.csv", export({"a": seats}))
        it.life()
    it.put("courses_9.csv", export({"a": "3"}))
    assert it.life() == []
    assert it.said == ""
    it.put("courses_99.csv", export({"a": "1"}))
    assert it.life() == []
    assert "it holds what courses_0.csv held" in it.said
    it.put("courses_1a.csv", export({"a": "7"}))
    it.life()
    assert "its name stands before" in it.said
    (it.folder / "rejected" / "courses_99.csv").rename(it.folder / "courses_99.csv.accept")
    assert told(it.life()) == [("upsert", "a", 4)]


def test_with_a_row_that_cannot_be_read_nothing_is_called_gone(tmp_path):
    """The unreadable row may be the very one that is missing."""
    it = drop(tmp_path, max_bad_rows=0.5)
    it.put("courses.csv", "id,seats\na,1\nb,2\n")
    it.life()
    it.put("courses.csv", "id,seats\na,9\nb,2,oops\n,3\n")
    assert it.life() == []
    assert "2 of 3 rows cannot be read" in it.said
    it.put("courses_x.csv", "id,seats\na,9\nb,2,oops\n")
    items = it.life()
    assert [str(item.fault or "")[:6] for item in items] == ["line 3", ""]
    assert told(items[1:]) == [("upsert", "a", 2)]


def test_deletions_may_stay_untold(tmp_path):
    """Where a course that left the export is only over, not withdrawn; then no share of them is too many."""
    it = drop(tmp_path, deletes="ignore")
    it.put("courses.csv", export(courses(10)))
    it.life()
    it.put("courses.csv", export(courses(2, c001="5")))
    assert told(it.life()) == [("upsert", "c001", 2)]


def test_a_key_may_be_several_columns(tmp_path):
    """A course runs in a term; a deletion tells both."""
    it = drop(tmp_path, key=["id", "term"], guard={"max_delete": 1})
    it.put("courses.csv", "id,term,seats\na,1,5\na,2,6\n")
    assert len(it.life()) == 2
    it.put("courses.csv", "id,term,seats\na,2,6\n")
    (item,) = it.life()
    assert (item.data["id"], item.data["term"], item.data["_change"]["op"]) == ("a", "1", "delete")
    assert item.origin == "file:courses.csv#gone"


def test_json_lines_are_compared_by_value(tmp_path):
    """The order of a line's fields is none of its contents."""
    it = drop(tmp_path, format={"type": "jsonl"})
    it.put("courses.csv", '{"id": 1, "seats": 2}\n{"id": 2, "seats": 2}\n')
    assert len(it.life()) == 2
    it.put("courses.csv", '{"seats": 2, "id": 1}\n{"seats": 3, "id": 2}\n')
    assert told(it.life()) == [("upsert", 2, 2)]


@pytest.mark.parametrize("lost", [False, True], ids=["copy kept", "copy lost"])
def test_a_restart_in_the_middle_of_an_export_goes_on_and_repeats_nothing(tmp_path, lost):
    """The comparison is made anew: what was committed is equal by then, and the guard was asked before."""
    it = drop(tmp_path, batch=3, guard={"max_delete": 0.5})
    it.put("courses.csv", export(courses(10)))
    it.life()
    it.put("courses.csv", export(courses(5, c000="1", c001="1", c002="1", c003="1")))
    items = []
    while new := it.life(pages=1):
        items += new
        if lost:
            shutil.rmtree(it.home / "spool-campus", ignore_errors=True)
    assert told(items) == [("upsert", f"c{n:03}", 2) for n in range(4)] + [
        ("delete", f"c{n:03}", 2) for n in range(5, 10)
    ]
    it.life()
    assert it.names() == []


def test_what_did_not_pass_is_found_again_in_the_next_export(tmp_path):
    """A parked record is not remembered as published, so its newest contents come with every export until it passes."""
    it = drop(tmp_path)
    it.put("courses.csv", export({"a": "1", "b": "2"}))
    it.life(skip=["b"])
    it.put("courses.csv", export({"a": "1", "b": "3"}))
    assert told(it.life()) == [("upsert", "b", 1)]


def test_a_change_is_numbered_at_the_moment_it_is_told(tmp_path):
    """While an export is half told, a parked record may pass: two events of one version would be a conflict."""

    async def story():
        it = drop(tmp_path, batch=1)
        it.put("courses.csv", export({"a": "1", "b": "2", "c": "3"}))
        state = State(it.home / "state.db")
        source = it.open(state)
        look = it.open(None)
        try:
            first = await source.page(None)
            cursor, same = None, {}
            for _ in range(3):
                shown = await look.page(cursor)
                cursor, same = shown.cursor, same | {i.key: i.seen for i in shown.items}
            passed = [Seen("b", b"other", 4), same["c"]]
            state.commit_page(NAME, first.cursor, Mapped(seen=passed), 0)
            second = await source.page(first.cursor)
            assert told(second.items) == [("upsert", "b", 5)]
            assert (await source.page(second.cursor)).items == [], "c has passed as it is now"
        finally:
            await look.close()
            await source.close()
            state.close()

    asyncio.run(story())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("12"), min_size=1),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 3),
)
def test_replaying_the_changes_gives_the_newest_export(tmp_path_factory, exports, batch):
    """Whatever came and went, partners who apply the changes in order hold what the campus holds; versions have no gap."""
    it = drop(tmp_path_factory.mktemp("replay"), batch=batch, guard={"max_delete": 1})
    held, versions = {}, {}
    for night, rows in enumerate(exports):
        it.put(f"courses_{night}.csv", export(rows) + "\n" * night)
        for op, id, version in whole(it, held):
            assert version == versions.get(id, 0) + 1
            versions[id] = version
            if op == "delete":
                held.pop(id)
        assert held == rows


def whole(it, held):
    """All of an export, each page in a life of its own."""
    changes = []
    while True:
        items = it.life(pages=1)
        held.update(
            {i.data["id"]: i.data["seats"] for i in items if i.data["_change"]["op"] == "upsert"}
        )
        changes += told(items)
        if not items and not it.names():
            return changes


def test_two_listings_of_one_key_are_told_apart_across_batches():
    """The rows come in batches; the first of the two may stand in an earlier one."""
    comparison = Comparison()
    comparison.add([Listed("a", b"1", 2, 0, 1), Listed("b", b"1", 3, 1, 2)])
    with pytest.raises(Twice, match="lines 3 and 9"):
        comparison.add([Listed("c", b"1", 8, 2, 3), Listed("b", b"2", 9, 3, 4)])
    comparison.close()
