"""Files of changes, one after the other: taken whole or not at all, told once, put away, and people hear why not."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from connectors.file_drop.conformance import inline
from connectors.file_drop.folder import LocalFolder
from connectors.file_drop.options import DropOptions
from connectors.sdk.contract import ConfigError, Context, NoPermission, Transient
from connectors.sdk.testing import FakeClock, Fuse
from tests.support.kind_file import Drop

HEAD = "id,name\n"


def drop(tmp_path, **options):
    return Drop(tmp_path, pattern="*.csv", mode="changes", batch=2, **options)


def ids(items):
    return [item.data["id"] for item in items]


def numbered(first: int, last: int) -> str:
    return HEAD + "".join(f"{n},n{n}\n" for n in range(first, last + 1))


def test_files_are_told_in_the_order_of_their_names_and_archived(tmp_path):
    """Versions count up from file to file; out of order the ledger would have to park."""
    it = drop(tmp_path)
    it.put("b.csv", numbered(4, 5))
    it.put("a.csv", numbered(1, 3))
    items = it.life()
    assert ids(items) == ["1", "2", "3", "4", "5"]
    assert [item.origin for item in items[2:4]] == ["file:a.csv#L4", "file:b.csv#L2"]
    assert it.names() == []
    assert (it.folder / "archive" / "2026-09-01" / "a.csv").read_text() == numbered(1, 3)
    assert it.life() == []


def test_the_order_may_be_that_of_the_times_of_change(tmp_path):
    """Names without date are no order."""
    it = drop(tmp_path, order="mtime")
    it.put("a.csv", numbered(2, 2), mtime=2_000)
    it.put("b.csv", numbered(1, 1), mtime=1_000)
    assert ids(it.life()) == ["1", "2"]


def test_a_missed_ack_is_made_up_for(tmp_path):
    """The process died after the commit and before the file was moved."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 2))
    assert ids(it.life(pages=1, acks=False)) == ["1", "2"]
    assert it.names() == ["a.csv"]
    assert it.life() == []
    assert it.archived() == ["a.csv"]


def test_a_restart_in_the_middle_of_a_file_goes_on_there(tmp_path):
    """Row by row the same, from the copy or, if that is lost, from the folder, under whatever name it is there now."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 6))
    assert ids(it.life(pages=1)) == ["1", "2"]
    assert ids(it.life(pages=1)) == ["3", "4"]
    shutil.rmtree(it.home / "spool-campus")
    (it.folder / "a.csv").rename(it.folder / "renamed.csv")
    assert ids(it.life()) == ["5", "6"]


def test_a_half_told_file_that_is_nowhere_stops_the_source(tmp_path):
    """To skip its rest in silence would lose changes."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 6))
    it.life(pages=1)
    shutil.rmtree(it.home / "spool-campus")
    (it.folder / "a.csv").unlink()
    with pytest.raises(ConfigError, match=r"half told and gone.*put the file"):
        it.life()


def test_a_file_that_is_replaced_while_it_is_told_counts_as_two(tmp_path):
    """The next night's export must not be archived unread in the name of the last."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 4))
    it.life(pages=1)
    it.put("a.csv", numbered(5, 9))
    assert ids(it.life()) == ["3", "4", "5", "6", "7", "8", "9"]
    assert it.archived() == ["a.csv"]


def test_a_file_that_changes_while_it_is_copied_is_looked_at_again(tmp_path):
    """The copy may hold half of the one and half of the other; or all of one that is already replaced."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 1))

    class Growing(Fuse):
        def point(self, name: str) -> None:
            if name == "after reading a.csv" and name not in self.passed:
                it.put("a.csv", numbered(1, 2))
            super().point(name)

    it.fuse = Growing()
    assert it.life() == []
    assert ids(it.life()) == ["1", "2"]


@pytest.mark.parametrize("name", ["a.csv", "again.csv"])
def test_a_file_delivered_again_has_no_effect_under_any_name(tmp_path, name):
    """Somebody drops yesterday's file once more; its contents tell what it is."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 3))
    it.life()
    it.put("b.csv", numbered(4, 4))
    it.life()
    it.put(name, numbered(1, 3))
    assert it.life() == []
    assert it.names() == []
    assert len(it.archived()) == 3


def test_a_file_moved_back_as_accepted_is_told_again(tmp_path):
    """That is how a person repeats a file: its events keep their ids, so the ledger answers duplicate."""
    it = drop(tmp_path)
    it.put("a.csv", numbered(1, 3))
    it.life()
    it.put("a.csv.accept", numbered(1, 3))
    items = it.life()
    assert ids(items) == ["1", "2", "3"]
    assert items[0].origin == "file:a.csv#L2"
    assert it.names() == []
    assert len(it.archived()) == 2


BAD = {
    "half-written": numbered(1, 2).encode() + b"3",
    "cut inside a character": (HEAD + "1,王").encode()[:-1],
    "wrong encoding": (HEAD + "1,王小明\n").encode("gb18030"),
    "mark of another encoding": (HEAD + "1,x\n").encode("utf-8-sig"),
    "NUL": b"id,name\n1,\0\n",
    "too many columns": (HEAD + "1,x\n2,王小明,x\n").encode(),
    "empty": b"",
    "huge field": (HEAD + "1," + "x" * 200_000 + "\n").encode(),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_rejected_whole_and_people_hear_why(tmp_path, fault):
    """Half an export is worse than none. Nothing of it was told, so the corrected one can simply come."""
    it = drop(tmp_path)
    it.put("b.csv", BAD[fault])
    it.put("c.csv", numbered(7, 8))
    assert ids(it.life()) == ["7", "8"]
    assert it.names() == []
    assert it.names("rejected") == ["b.csv", "b.csv.why.txt"]
    why = (it.folder / "rejected" / "b.csv.why.txt").read_text("utf-8")
    assert "b.csv.accept" in why
    assert "b.csv" in it.said
    assert "王小明" not in it.said + why
    it.life()
    assert "1 files were rejected: b.csv: " in it.said, "it must show until somebody acts"
    (it.folder / "rejected" / "b.csv").unlink()
    it.put("b.csv", numbered(1, 2))
    assert ids(it.life()) == ["1", "2"]
    assert it.said == ""


def test_a_second_bad_file_of_the_same_name_keeps_the_first(tmp_path):
    """The first may be the evidence of what went wrong at the exporter."""
    it = drop(tmp_path)
    for number in (1, 2):
        it.put("a.csv", f"id,name\n{number}")
        it.life()
    rejected = it.names("rejected")
    assert len(rejected) == 4
    assert sum(name.endswith(".why.txt") for name in rejected) == 2
    assert "2 files were rejected" in it.said


def test_few_bad_rows_may_be_parked_alone(tmp_path):
    """Where the campus allows a share of them, each is kept with its file and line and the others flow."""
    it = drop(tmp_path, max_bad_rows=0.25)
    it.put("a.csv", numbered(1, 2) + "3\n" + "4,n4\n")
    items = it.life()
    assert [item.origin for item in items] == [f"file:a.csv#L{n}" for n in (2, 3, 4, 5)]
    assert items[2].data == {"cells": ["3"]}
    assert str(items[2].fault) == "line 4 has 1 columns, wanted 2; correct the row"
    it.put("b.csv", numbered(5, 6) + "7\n")
    assert it.life() == []
    assert "1 of 3 rows cannot be read, at most 25.0% may; the first: line 4" in it.said


@pytest.mark.parametrize(
    "options", [{}, {"on_done": "delete"}, {"ready": {"type": "marker"}}], ids=str
)
def test_a_kill_between_any_two_effects_loses_and_doubles_nothing(tmp_path, options):
    """Commits, moves and the files about rejected ones: whatever was done last, the next life finishes it."""
    moment = 0
    while True:
        moment += 1
        (tmp_path / str(moment)).mkdir()
        it = drop(tmp_path / str(moment), **options)
        files = {"a.csv": numbered(1, 3), "b.csv": HEAD + "x", "c.csv": numbered(4, 4)}
        for name, text in files.items():
            it.put(name, text)
            it.put(f"{name}.done", "")
        it.fuse.burns_at = moment
        items = it.life()
        burnt, it.fuse = it.fuse.burnt, Fuse()
        items += it.life()
        assert ids(items) == ["1", "2", "3", "4"], it.fuse.passed
        assert it.names("rejected") == ["b.csv", "b.csv.why.txt"]
        assert it.archived() == ([] if "on_done" in options else ["a.csv", "c.csv"])
        assert [name for name in it.names() if name.endswith(".csv")] == []
        assert "b.csv: line 2" in it.said
        if "ready" in options:
            assert it.names() == []
        if not burnt:
            break
    assert moment > 10


def test_a_stable_file_is_one_that_did_not_change_for_so_long(tmp_path):
    """An upload in progress looks like a file; each change begins the wait anew."""

    async def story():
        it = drop(tmp_path, ready={"type": "stable", "for_s": 30})
        it.put("a.csv", HEAD)
        source = it.open(None)
        source._look = False  # a reading that counts, without a state file
        try:
            assert (await source.page(None)).items == []
            it.clock._elapsed_s = 29
            it.put("a.csv", numbered(1, 1))
            assert (await source.page(None)).items == []
            it.clock._elapsed_s = 58
            assert (await source.page(None)).items == []
            it.clock._elapsed_s = 59
            assert ids((await source.page(None)).items) == ["1"]
        finally:
            await source.close()

    asyncio.run(story())


def test_a_marker_says_that_a_file_is_complete_and_goes_with_it(tmp_path):
    """Exporters that write `x.csv.done` last."""
    it = drop(tmp_path, ready={"type": "marker"})
    it.options["pattern"] = "*"
    it.put("a.csv", numbered(1, 1))
    assert it.life() == []
    it.put("a.csv.done", "")
    assert ids(it.life()) == ["1"]
    assert it.names() == []
    assert it.archived() == ["a.csv"]


def test_no_file_overtakes_one_that_is_not_complete(tmp_path):
    """The first of two may just be the larger one; but if it never ends, somebody must hear of it."""
    it = drop(tmp_path, ready={"type": "marker"})
    it.put("a.csv", numbered(1, 1))
    it.put("b.csv", numbered(2, 2))
    it.put("b.csv.done", "")
    assert it.life() == []
    assert it.said.startswith("a.csv is not complete, and 1 complete files wait behind it")
    it.put("a.csv.done", "")
    assert ids(it.life()) == ["1", "2"]


@pytest.mark.parametrize("done", ["delete", "keep"])
def test_a_file_that_was_told_may_be_deleted_or_stay(tmp_path, done):
    """On a share that others read, too, we may neither move nor delete."""
    it = drop(tmp_path, on_done=done, on_error="keep")
    it.put("a.csv", numbered(1, 2))
    it.put("b.csv", "id,name\n1")
    assert ids(it.life()) == ["1", "2"]
    assert it.names() == (["b.csv"] if done == "delete" else ["a.csv", "b.csv"])
    assert "1 files were rejected: b.csv: line 2" in it.said
    assert it.life() == []
    it.put("b.csv", numbered(3, 3))
    assert ids(it.life()) == ["3"]
    assert it.said == ""


def test_a_look_leaves_nothing_behind(tmp_path):
    """A dry run shows what would be told, and the campus's folder and ours stay as they are."""

    async def story():
        it = drop(tmp_path, ready={"type": "stable", "for_s": 30})
        it.put("a.csv", numbered(1, 3))
        it.put("b.csv", numbered(4, 4))
        source = it.open(None)
        items, cursor, more = [], None, True
        try:
            await source.check()
            while more:
                page = await source.page(cursor)
                items, cursor, more = [*items, *page.items], page.cursor, page.more
            it.put("c.csv", "id,name\n5")
            with pytest.raises(ConfigError, match=r"c\.csv: would be rejected: line 2"):
                await source.page(cursor)
        finally:
            await source.close()
        assert ids(items) == ["1", "2", "3", "4"]
        assert it.names() == ["a.csv", "b.csv", "c.csv"]
        assert list(it.home.iterdir()) == []

    asyncio.run(story())


def test_names_that_begin_with_a_dot_and_links_are_not_files_of_ours(tmp_path):
    """Uploads in progress hide so; a link could lead to any file of this machine."""
    it = drop(tmp_path)
    it.put(".a.csv", numbered(1, 1))
    (it.folder / "b.csv").symlink_to(it.home / "state.db")
    assert it.life() == []


def test_a_cursor_of_another_kind_is_refused_with_the_way_out(tmp_path):
    """A campus that changes from one kind to another has the old cursor in its state file."""
    it = drop(tmp_path)

    async def story():
        source = it.open(None)
        try:
            with pytest.raises(ConfigError, match="reset it"):
                await source.page("17")
        finally:
            await source.close()

    asyncio.run(story())


def test_settings_that_no_longer_fit_a_half_told_file_stop_the_source(tmp_path):
    """Told on with another delimiter, the rest of the file would be garbage."""
    it = drop(tmp_path)
    it.put("a.csv", "id,name\n1,a\n2,b\n3,ü\n")
    it.life(pages=1)
    it.options["format"] = {"encoding": "ascii"}
    with pytest.raises(ConfigError, match="half of it is told"):
        it.life()


def fault_of(folder, call):
    async def story():
        try:
            await call(LocalFolder(folder, inline))
        except (ConfigError, Transient) as error:
            return error
        return None

    return asyncio.run(story())


def test_faults_of_a_folder_say_what_to_do(tmp_path, monkeypatch):
    """No such folder is for a person at once; a full disk may pass; a missing right names who must give it."""
    gone = fault_of(tmp_path / "gone", lambda folder: folder.entries())
    assert type(gone) is ConfigError
    assert "no such folder; correct location" in str(gone)
    vanished = fault_of(tmp_path, lambda folder: folder.fetch("x", tmp_path / "y"))
    assert type(vanished) is Transient
    assert fault_of(tmp_path, lambda folder: folder.move("x", "archive/x")) is None
    assert fault_of(tmp_path, lambda folder: folder.remove("x")) is None

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.scandir", denied)
    assert type(fault_of(tmp_path, lambda folder: folder.entries())) is NoPermission
    monkeypatch.setattr("os.scandir", full)
    assert "No space left" in str(fault_of(tmp_path, lambda folder: folder.entries()))


def test_check_says_how_many_files_there_are_and_leaves_nothing(tmp_path):
    """The first thing a person runs; a spool folder in a folder of configuration would surprise them."""
    it = drop(tmp_path)
    it.put("a.csv", HEAD)

    async def story():
        source = it.open(None)
        said = await source.check()
        await source.close()
        return said

    assert "1 files" in asyncio.run(story())
    assert list(it.home.iterdir()) == []


def test_the_kind_opens_a_folder_relative_to_the_configuration(tmp_path):
    """Paths in connector.toml are relative to its folder."""
    from connectors.file_drop.kind import SOURCE

    (tmp_path / "in").mkdir()
    options = DropOptions(location="in", pattern="*", mode="changes")
    source = SOURCE.open(options, Context(tmp_path, "10611", "campus", FakeClock()))

    async def story():
        try:
            return await source.check()
        finally:
            await source.close()

    assert asyncio.run(story()) == f"{tmp_path / 'in'}: 0 files"
