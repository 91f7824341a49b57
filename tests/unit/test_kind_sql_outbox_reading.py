"""The outbox kind reads: no order loses a row, marks come after the store, and check says what is missing. On SQLite files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.contract import ConfigError, Countable, NoPermission, Transient
from connectors.sql_outbox.conformance import OUTBOX
from tests.support.outbox import GAP, MARK, Outbox, positions

# Reading ------------------------------------------------------------------------------------------------------------


def test_rows_are_marked_when_they_are_stored_and_not_before(tmp_path: Path) -> None:
    """A mark before the commit here would be a row lost with the next power cut."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK, batch=2)
        outbox.write(1, 2, 3)
        page = await outbox.source.page(None)
        assert positions(page) == [1, 2]
        assert page.more
        assert outbox.left() == [1, 2, 3]
        assert positions(await outbox.source.page(None)) == [1, 2]
        await outbox.source.ack(page.cursor)
        await outbox.source.ack(page.cursor)
        assert outbox.left() == [3]

    asyncio.run(story())


def test_a_crash_before_the_marks_gives_the_same_events_again(tmp_path: Path) -> None:
    """They were published once already: the ledger knows them by their ids."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK)
        outbox.write(1, 2)
        first = await outbox.source.page(None)
        again = await outbox.opened().page(first.cursor)
        assert [item.data for item in again.items] == [item.data for item in first.items]

    asyncio.run(story())


def test_who_only_looks_sees_each_row_once_and_marks_none(tmp_path: Path) -> None:
    """A dry run asks for one page after another and stores nothing."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK, batch=2)
        outbox.write(1, 2, 3)
        first = await outbox.source.page(None)
        assert positions(await outbox.source.page(first.cursor)) == [3]
        assert outbox.left() == [1, 2, 3]

    asyncio.run(story())


def test_marks_that_failed_are_made_before_more_is_read(tmp_path: Path) -> None:
    """Else a right that was taken away would let rows pile up unmarked, to be read all over after a restart."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK, batch=1)
        outbox.write(1, 2)
        page = await outbox.source.page(None)
        outbox.campus.fault("401", 2)
        with pytest.raises(NoPermission):
            await outbox.source.ack(page.cursor)
        with pytest.raises(NoPermission):
            await outbox.source.page(page.cursor)
        assert positions(await outbox.source.page(page.cursor)) == [2]
        assert outbox.left() == [2]

    asyncio.run(story())


def test_a_late_row_with_a_small_number_is_read_by_marks(tmp_path: Path) -> None:
    """Its transaction committed after rows with larger numbers were read."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK)
        outbox.write(1, 3)
        page = await outbox.source.page(None)
        await outbox.source.ack(page.cursor)
        outbox.write(2)
        assert positions(await outbox.source.page(page.cursor)) == [2]

    asyncio.run(story())


def test_marked_rows_can_be_read_again_on_purpose(tmp_path: Path) -> None:
    """A backfill, by a cursor that says so; it marks nothing and its end can be counted."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK, batch=2)
        outbox.write(1, 2, 3)
        live = outbox.source
        cursor = None
        for _ in range(2):
            page = await live.page(cursor)
            cursor = page.cursor
            await live.ack(cursor)
        again = outbox.opened()
        assert isinstance(again, Countable)
        assert await again.count('{"again": 0}', cursor) == 3
        page = await again.page('{"again": 0}')
        assert positions(page) == [1, 2]
        page = await again.page(page.cursor)
        assert positions(page) == [3]
        assert await again.count(page.cursor, cursor) == 0

    asyncio.run(story())


def test_deleting_takes_away_what_was_stored_and_nothing_else(tmp_path: Path) -> None:
    """A row that came meanwhile stays."""

    async def story() -> None:
        outbox = Outbox(tmp_path, GAP, after="delete")
        outbox.write(1, 2)
        page = await outbox.source.page(None)
        outbox.write(3)
        await outbox.source.ack(page.cursor)
        assert outbox.left() == [3]

    asyncio.run(story())


def test_a_missing_number_is_waited_for(tmp_path: Path) -> None:
    """It may be of a transaction that is about to commit."""

    async def story() -> None:
        outbox = Outbox(tmp_path, GAP)
        outbox.write(1, 3)
        page = await outbox.source.page(None)
        assert positions(page) == [1]
        assert not page.more
        outbox.write(2)
        assert positions(await outbox.source.page(page.cursor)) == [2, 3]

    asyncio.run(story())


def test_a_number_that_was_given_up_is_taken_should_it_still_come(tmp_path: Path) -> None:
    """`max_s` is a guess about the longest transaction; a wrong guess costs order, not rows."""

    async def story() -> None:
        outbox = Outbox(tmp_path, GAP)
        outbox.write(1, 5)
        page = await outbox.source.page(None)
        await outbox.later(3)
        page = await outbox.source.page(page.cursor)
        assert positions(page) == [5]
        assert json.loads(page.cursor) == {"position": 5, "gaps": [[2, 4]]}
        outbox.write(3)
        page = await outbox.opened().page(page.cursor)
        assert positions(page) == [3]
        assert json.loads(page.cursor)["gaps"] == [[2, 2], [4, 4]]

    asyncio.run(story())


def test_a_table_full_of_old_gaps_costs_one_pause(tmp_path: Path) -> None:
    """Rolled-back numbers leave thousands of gaps; a first start must not wait for each."""

    async def story() -> None:
        outbox = Outbox(tmp_path, GAP)
        outbox.write(*range(2, 60, 2))
        assert positions(await outbox.source.page(None)) == []
        await outbox.later(3)
        assert len((await outbox.source.page(None)).items) == 29

    asyncio.run(story())


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("order", [MARK, GAP], ids=["mark", "gap_wait"])
def test_rows_that_become_visible_in_any_order_are_all_read(order: dict[str, Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:  # fmt: skip
    """Commit order, restarts, missed marks and pauses are drawn; every row is read, and twice only after a restart."""
    total = 12
    arrivals = data.draw(st.permutations(range(1, total + 1)))

    async def story() -> None:
        outbox = Outbox(tmp_path_factory.getbasetemp(), order, batch=3)
        source, cursor, restarted = outbox.source, None, False
        read: list[int] = []
        left = list(arrivals)
        for _ in range(400):
            step = (
                data.draw(st.sampled_from(["write", "read", "wait", "restart"])) if left else "read"
            )
            if step == "write":
                outbox.write(left.pop(0))
            elif step == "wait":
                await outbox.later(2)
            elif step == "restart":
                source, restarted = outbox.opened(), True
            else:
                if not left:
                    await outbox.later(4)
                page = await source.page(cursor)
                cursor = page.cursor
                read += positions(page)
                if left and data.draw(st.booleans()):
                    source, restarted = outbox.opened(), True  # killed before the marks
                else:
                    await source.ack(cursor)
                if not left and not page.items and not page.more:
                    break
        assert set(read) == set(range(1, total + 1))
        if not restarted:
            assert len(read) == total

    asyncio.run(story())


def test_a_cursor_of_another_order_is_refused(tmp_path: Path) -> None:
    """Whoever changes the order in mid-term should not read the term again unawares, nor lose half of it."""

    async def story() -> None:
        outbox = Outbox(tmp_path, GAP)
        for cursor in ("17", '{"xid": 3}', "null"):
            with pytest.raises(ConfigError, match="is not one of this order of reading"):
                await outbox.source.page(cursor)

    asyncio.run(story())


# check --------------------------------------------------------------------------------------------------------------


def checked(outbox: Outbox) -> str:
    return asyncio.run(outbox.source.check())


def test_check_says_what_waits_and_which_index_is_missing(tmp_path: Path) -> None:
    """The connector asks each second; without an index the campus's database would notice."""
    outbox = Outbox(tmp_path, MARK)
    outbox.write(1, 2)
    assert checked(outbox) == "hub_outbox: 2 rows wait"
    outbox.campus.execute("DROP TABLE hub_outbox")
    bare = OUTBOX.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER")
    outbox.campus.execute(bare)
    assert "no index begins with position" in checked(outbox)
    assert "CREATE INDEX" in checked(outbox)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE hub_outbox", "there is no table hub_outbox"),
        ("ALTER TABLE hub_outbox DROP COLUMN taken_at", "hub_outbox has no taken_at"),
        ("ALTER TABLE hub_outbox RENAME COLUMN position TO n", "hub_outbox has no position"),
    ],
)
def test_check_names_what_is_missing(change: str, said: str, tmp_path: Path) -> None:
    """Two people of a campus, one of whom owns the database: the message is what one sends the other."""
    outbox = Outbox(tmp_path, MARK)
    outbox.campus.execute(change)
    with pytest.raises(ConfigError, match=said):
        checked(outbox)


def test_check_refuses_an_order_by_something_that_does_not_count(tmp_path: Path) -> None:
    """A UUID sorts, but not by time."""
    outbox = Outbox(tmp_path, MARK, columns={"position": "id"})
    with pytest.raises(ConfigError, match="wanted a whole number that counts up"):
        checked(outbox)


def test_check_changes_nothing(tmp_path: Path) -> None:
    """It tries the right to mark on no row."""
    outbox = Outbox(tmp_path, MARK)
    outbox.write(1)
    checked(outbox)
    assert outbox.left() == [1]
    assert any(statement.startswith("UPDATE") for statement in outbox.campus.statements)


def test_a_right_to_read_only_is_named_with_the_grant(tmp_path: Path) -> None:
    """The DBA gets the statement, not a riddle."""
    outbox = Outbox(tmp_path, MARK)

    def connected(db: Any) -> None:
        db.execute("PRAGMA query_only = ON")

    outbox.campus.connected = connected
    with pytest.raises(NoPermission, match=r"run: GRANT UPDATE \(taken_at\) ON hub_outbox"):
        checked(outbox)


def test_a_locked_file_is_asked_again(tmp_path: Path) -> None:
    """A backup holds the file for a minute; nothing is lost by waiting."""

    async def story() -> None:
        outbox = Outbox(tmp_path, MARK)
        outbox.write(1)
        outbox.campus.fault("locked", 1)
        with pytest.raises(Transient, match="SQLITE_BUSY"):
            await outbox.source.page(None)
        assert positions(await outbox.source.page(None)) == [1]

    asyncio.run(story())
