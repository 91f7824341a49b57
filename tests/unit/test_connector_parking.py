"""Parking keeps order: what could not pass holds its key, later ones wait behind it, everything else flows."""

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from connectors.sdk.contract import Applied, Item, Permanent, place
from connectors.sdk.runtime import intake
from connectors.sdk.runtime.breaker import new_keys, opens
from connectors.sdk.runtime.deliverer import _BATCH_BYTES, _bounded, _pause_ms
from connectors.sdk.runtime.kafka import Incoming
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.runtime.publisher import PUBLISH_BYTES
from connectors.sdk.runtime.publisher import _bounded as _publishable
from connectors.sdk.state.file import Mapped, Outgoing, State
from connectors.sdk.state.parking import Choice, Parked, Parking
from connectors.sdk.testing import START, US, Fuse, offering_row
from tests.support.connector_parking import ParkingRig


@pytest.fixture
def rig(tmp_path):
    return ParkingRig(tmp_path)


def numbers(rows):
    return [row.number for row in rows]


# Records of the campus ------------------------------------------------------------------------------------------------


def test_later_changes_of_a_parked_key_wait_behind_it_and_others_flow(rig):
    """An enrollment's second version before its first would have to be undone at the host."""

    async def story():
        for key, mode in (("a", "ok"), ("a", "odd"), ("b", "ok"), ("a", "ok"), ("b", "ok"), ("a", "ok")):  # fmt: skip
            rig.campus.happen(key, mode)
        assert await rig.settle()
        assert (len(rig.published("a")), len(rig.published("b"))) == (1, 2)
        head, *behind = rig.parked()
        assert head.key == "a"
        assert "odd" in head.reason
        assert [row.code for row in behind] == ["BLOCKED", "BLOCKED"]
        assert [row.payload["origin"] for row in (head, *behind)] == ["change 2", "change 4", "change 6"]  # fmt: skip

    asyncio.run(story())


def test_changes_that_come_in_a_later_life_wait_behind_what_an_earlier_parked(rig):
    """Which keys are held is read from the state file at the start."""

    async def story():
        rig.campus.happen("a", "odd")
        assert await rig.settle()
        rig.campus.happen("a")
        rig.campus.happen("b")
        assert await rig.settle()
        assert (rig.published("a"), len(rig.published("b"))) == ([], 1)
        assert [row.code for row in rig.parked()][1:] == ["BLOCKED"]

    asyncio.run(story())


def test_a_corrected_code_table_lets_the_whole_key_pass_in_order(rig):
    """The start tries everything again, head first."""

    async def story():
        ids = [rig.campus.happen("a", mode) for mode in ("odd", "ok", "strange", "ok")]
        assert await rig.settle()
        rig.mend("odd")
        rig.reload()
        assert await rig.settle()
        assert rig.published("a") == ids[:2]
        assert [row.payload["origin"] for row in rig.parked()] == ["change 3", "change 4"]
        assert rig.parked()[0].code != "BLOCKED"
        rig.mend("strange")
        rig.reload()
        assert await rig.settle()
        assert rig.published("a") == ids
        assert rig.parked() == []

    asyncio.run(story())


def test_a_change_without_key_parks_alone(rig):
    """Nothing is known of what it belongs to, so it holds up nothing."""

    async def story():
        for mode in ("odd", "ok", "strange"):
            rig.campus.happen("a", mode)
        rig.campus.items[:] = [replace(item, key=None) for item in rig.campus.items]
        assert await rig.settle()
        assert len(rig.hub.applied) == 1
        assert [row.key for row in rig.parked()] == [None, None]

    asyncio.run(story())


def test_of_a_record_that_is_compared_the_newest_contents_take_the_place_of_parked_ones(rig):
    """Only what the course is now counts; an old version would be news of yesterday."""

    async def story():
        rig.campus.state_like("1", 1, "odd")
        assert await rig.settle()
        rig.campus.state_like("1", 1, "strange")
        assert await rig.settle()
        (row,) = rig.parked()
        assert row.payload["data"]["mode"] == "strange"
        assert row.attempts > 1
        rig.campus.state_like("1", 1, "ok")
        assert await rig.settle()
        assert rig.parked() == []
        assert [record.mode for record in rig.hub.published] == ["online"]

    asyncio.run(story())


def test_a_record_is_remembered_only_when_it_passed(rig):
    """Else the campus's next look would find no change, and the record would be lost."""

    async def story():
        rig.campus.state_like("1", 1, "odd")
        assert await rig.settle()
        with closing(rig.state()) as state:
            assert state.seen("campus", "1") is None
        rig.mend("odd")
        rig.reload()
        assert await rig.settle()
        with closing(rig.state()) as state:
            assert state.seen("campus", "1").version == 1

    asyncio.run(story())


def test_a_number_is_not_skipped_over_contents_that_were_never_published(rig):
    """The kind counted on the parked one; the ledger would wait for it for ever."""

    async def story():
        rig.campus.state_like("1", 1, "odd")
        rig.campus.state_like("1", 2, "ok")  # of one page: the kind thinks that 1 has gone
        mapper = Mapper(rig.config.sources[0], rig.config.signer, None)
        items = [Item({**item.data, "version": None}, item.origin, item.key, item.seen) for item in rig.campus.items]  # fmt: skip
        seen = [change.seen.version for change in items]
        assert seen == [1, 2]
        page = mapper.page(rig.campus.items, START)
        assert [one.version for one in page.seen] == [1]
        assert page.parked == []

    asyncio.run(story())


def test_contents_that_nobody_wants_are_remembered_and_use_up_no_number(rig):
    """Else a deletion that is ignored comes back with each look, and the next version leaves a gap in the ledger."""
    rig.campus.state_like("1", 1)
    rig.campus.state_like("1", 2, "unwanted")
    rig.campus.state_like("1", 2)
    source = rig.config.sources[0]
    table = source.table.model_copy(update={"select": "mode", "ignore": ("unwanted",)})
    mapping = source.mappings[""]
    mapper = Mapper(replace(source, table=table, mappings={"ok": mapping}), rig.config.signer, None)
    page = mapper.page(rig.campus.items[:2], START)
    assert [(one.key, one.version) for one in page.seen] == [("1", 1), ("1", 1)]
    assert page.seen[1].hash == rig.campus.items[1].seen.hash
    assert len(page.events) == 1
    assert page.parked == []


def test_what_cannot_be_read_is_parked_with_its_own_words_whenever_it_is_tried(rig):
    """The campus's file says what is wrong; that no mapping fits it would say nothing."""

    async def story():
        fault = Permanent("a.csv: line 3 has 1 columns, wanted 2", "a row", code="READ")
        rig.campus.items.append(Item({"cells": ["3"]}, "a.csv#L3", fault=fault))
        for _ in range(2):  # the second life tries again
            assert await rig.settle()
            (row,) = rig.parked()
            assert (row.code, row.reason) == ("READ", "a.csv: line 3 has 1 columns, wanted 2")

    asyncio.run(story())


def test_input_that_nobody_reads_is_told_once_where_the_mapping_asks_for_it(rig):
    """A campus's system was upgraded and has a new field: people should know, and not a thousand times."""
    source = rig.config.sources[0]
    path = rig.config.folder / "mapping" / "offering.toml"
    path.write_text(path.read_text("utf-8") + '[policy]\nextra_input = "report"\n', "utf-8")
    rig.reload()
    mapper = Mapper(rig.config.sources[0], rig.config.signer, None)
    rows = [{**offering_row(number, mode="ok"), "newField": number} for number in (1, 2)]
    mapper.page([Item(row, "x") for row in rows], START)
    first = mapper.unread()
    assert [words for words in first if "newField" in words]
    mapper.page([Item(rows[0], "y")], START)
    assert mapper.unread() == []
    silent = Mapper(source, rig.config.signer, None)
    silent.page([Item(rows[0], "x")], START)
    assert silent.unread() == []


def test_a_cursor_is_shown_without_the_notes_of_its_kind():
    """Notes name records; they stay at the campus."""
    assert place('2026-09-01T08:00:00Z {"taken":["a"]}') == "2026-09-01T08:00:00Z"
    assert place("17") == "17"
    assert len(place("x" * 500)) == 121


def test_what_erasing_takes_out_of_a_queue_does_not_hold_up_the_rest(rig):
    """The head is gone for good; the next of its key is tried at once."""

    async def story():
        rig.campus.happen("a", "odd")
        rig.campus.happen("a")
        rig.campus.items[0].data["remark"] = "student 4711"
        assert await rig.settle()
        with closing(rig.state()) as state:
            assert state.forget_parked(["4711"]) == ["campus:change 1"]
        rig.reload()
        assert await rig.settle()
        assert len(rig.published("a")) == 1

    asyncio.run(story())


# Deliveries -----------------------------------------------------------------------------------------------------------


def test_later_deliveries_of_a_rejected_key_are_parked_unsent_and_others_flow(rig):
    """A grade before the enrollment that the campus refused would be refused, too, or worse: taken."""

    async def story():
        first = await rig.request(1)
        rig.campus.poison.add(first)
        for key in (2, 1, 2, 1):
            await rig.request(key)
        assert await rig.settle()
        assert rig.told(1) == []
        assert rig.told(2) == rig.requests["enrollment-2"]
        assert rig.campus.offered.count(rig.requests["enrollment-1"][1]) == 0
        rows = rig.parked()
        assert [row.code for row in rows] == ["HTTP_422", "BLOCKED", "BLOCKED"]
        assert {(row.part, row.key) for row in rows} == {("sink.campus", "enrollment-1")}

    asyncio.run(story())


def test_a_key_stands_once_in_each_batch_and_the_order_of_the_ledger_is_kept(rig):
    """A sink that went on after a refusal would write the second version without the first."""

    async def story():
        for key in (1, 2, 1, 3, 2, 1):
            await rig.request(key)
        assert await rig.settle()  # `KeyedCampus.apply` refuses a key that comes twice
        order = [about for about, _ in rig.campus.told]
        assert order == [f"enrollment-{key}" for key in (1, 2, 1, 3, 2, 1)]

    asyncio.run(story())


def test_a_delivery_parked_at_one_sink_goes_to_the_others(tmp_path):
    """The registry refuses it; the learning platform wants it all the same."""

    async def story():
        rig = ParkingRig(tmp_path, TWO_SINKS)
        other = _Other()
        rig.config = replace(rig.config, sinks=[rig.config.sinks[0], replace(rig.config.sinks[1], kind=other.kind())])  # fmt: skip
        first = await rig.request(1)
        rig.campus.poison.add(first)
        second = await rig.request(1)
        assert await rig.settle()
        assert other.told == [first, second]
        assert {row.part for row in rig.parked()} == {"sink.campus"}

    asyncio.run(story())


TWO_SINKS = """
[sink.other]
kind = "http_push"
base_url = "http://other.example"
path = "/"
"""


class _Other:
    def __init__(self):
        self.told = []

    def kind(self):
        from connectors.sdk.contract import Options, SinkKind

        return SinkKind(Options, lambda options, context: self)

    async def apply(self, batch):
        self.told += [delivery.event_id for delivery in batch]
        return [Applied()] * len(batch)

    async def close(self):
        """Nothing is open."""


def test_stale_counts_as_brought(rig):
    """The campus has something newer: there is nothing left to do."""

    async def story():
        rig.campus.stale.add(await rig.request(1))
        await rig.request(1)
        assert await rig.settle()
        assert rig.told(1) == rig.requests["enrollment-1"][1:]
        assert rig.parked() == []

    asyncio.run(story())


def test_what_cannot_be_brought_at_present_waits_with_its_key_while_others_flow(rig):
    """A record that somebody edits at the campus must not hold up the term, nor be overtaken."""

    async def story():
        first = await rig.request(1)
        rig.campus.busy[first] = 4
        for key in (1, 2):
            await rig.request(key)
        assert await rig.life(lambda: len(rig.told(2)) == 1)
        assert rig.told(1) == []
        assert await rig.life(lambda: len(rig.told(1)) == 2)
        assert rig.told(1) == rig.requests["enrollment-1"]
        assert rig.parked() == []

    asyncio.run(story())


def test_the_pause_that_a_campus_names_is_kept(rig):
    """It knows when its own night run is over."""

    async def story():
        first = await rig.request(1)
        rig.campus.busy[first], rig.campus.after_s = 1, 120
        assert not await rig.life(lambda: bool(rig.told(1)), within_s=119)
        assert rig.campus.offered == [first]
        assert await rig.life(lambda: bool(rig.told(1)), within_s=10)

    asyncio.run(story())


def test_what_waits_too_long_is_parked_with_its_key(rig):
    """After a quarter of an hour a person must look; until then the heartbeat says that something waits."""

    async def story():
        first = await rig.request(1)
        rig.campus.busy[first] = 10_000
        await rig.request(1)
        assert await rig.life(lambda: any("tried again soon" in beat.reason for beat in rig.hub.heartbeats))  # fmt: skip
        assert await rig.life(lambda: any("2 parked" in beat.reason for beat in rig.hub.heartbeats), within_s=1_200)  # fmt: skip
        head, behind = rig.parked()
        assert (head.code, behind.code) == ("RETRY_BUDGET", "BLOCKED")
        assert head.due_at is None
        assert 900 <= rig.clock.monotonic() <= 1_000

    asyncio.run(story())


def test_a_campus_that_is_down_parks_nothing(rig):
    """It is not the delivery's fault."""

    async def story():
        rig.campus.down = True
        await rig.request(1)
        assert not await rig.life(rig.idle, within_s=200)
        assert rig.parked() == []
        rig.campus.down = False
        assert await rig.settle()
        assert len(rig.told(1)) == 1

    asyncio.run(story())


def test_pauses_grow_and_are_never_shorter_than_asked():
    """A record being edited is asked for rarely; a campus that names an hour is not asked sooner."""
    assert [_pause_ms(tries, None) for tries in (0, 1, 2, 30)] == [1_000, 2_000, 4_000, 60_000]
    assert _pause_ms(0, 3_600) == 3_600_000
    assert _pause_ms(0, 1e9) == 86_400_000


# Kills ----------------------------------------------------------------------------------------------------------------


def test_a_kill_at_any_moment_while_parking_loses_and_overtakes_nothing(tmp_path):
    """What is parked is in the same commit as the cursor and the position."""

    async def story(moment: int) -> bool:
        folder = tmp_path / str(moment)
        folder.mkdir()
        rig = ParkingRig(folder)
        for key, mode in (("a", "odd"), ("b", "ok"), ("a", "ok"), ("a", "ok")):
            rig.campus.happen(key, mode)
        rig.campus.poison.add(await rig.request(1))
        for key in (1, 2, 1):
            await rig.request(key)
        fuse = Fuse(burns_at=moment)
        await rig.settle(fuse)
        assert await rig.settle()
        rows = rig.parked()
        assert [row.payload["origin"] for row in rows if row.part == "source.campus"] == ["change 1", "change 3", "change 4"]  # fmt: skip
        assert len([row for row in rows if row.part == "sink.campus"]) == 3
        assert (len(rig.published("b")), rig.told(2)) == (1, rig.requests["enrollment-2"])
        rig.mend("odd")
        rig.reload()
        rig.campus.poison.clear()
        assert await rig.settle()
        assert rig.published("a") == [rig.campus.items[at].data["eventId"] for at in (0, 2, 3)]
        assert rig.told(1) == rig.requests["enrollment-1"]
        assert len(rig.hub.applied) == len(set(rig.hub.applied)) == 4
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 10


# The table ------------------------------------------------------------------------------------------------------------


def test_a_state_file_of_an_earlier_version_keeps_what_is_parked(tmp_path):
    """Universities upgrade with things parked; each then stands alone, as it did."""
    old = sqlite3.connect(tmp_path / "state.db")
    old.executescript(
        "CREATE TABLE parked (stage TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, "
        "brief TEXT NOT NULL, payload TEXT NOT NULL, UNIQUE (stage, id))"
    )
    payload = json.dumps({"source": "hr", "origin": "/1", "data": {"x": 1}})
    old.executemany(
        "INSERT INTO parked VALUES (?, ?, ?, ?, ?, ?)",
        [
            ("push", "event:1:", 7, "no", "sink.sis: rejected a event of x", '{"offset": 1}'),
            ("map", "hr:/1", 8, "why", "brief", payload),
            ("verify", "3", 9, "forged", "brief", '{"offset": 3}'),
        ],
    )
    old.commit()
    old.close()
    with closing(State(tmp_path / "state.db", readonly=True)) as state:
        rows = state.parked()
    assert [(row.part, row.stage, row.id, row.code, row.key, row.first_at) for row in rows] == [
        ("sink.sis", "push", "event:1:", "SINK_REJECTED", None, 7),
        ("source.hr", "map", "hr:/1", "MAP", None, 8),
        ("inbox", "verify", "3", "VERIFY", None, 9),
    ]
    assert rows[1].payload["data"] == {"x": 1}


def parked(id: str, key: str | None, code: str = "MAP_CONVERT", part: str = "source.a", brief: str = "f: does not fit"):  # fmt: skip
    return Parked("map", id, "why", brief, {"data": {"id": id}}, part, key, code)


@pytest.fixture
def state():
    state = State(":memory:")
    yield state
    state.close()


def test_parking_again_keeps_the_place_in_the_queue(state):
    """A page that is read again must not put the head behind what waits for it."""
    state.repark(lambda p: p.park([parked("1", "k"), parked("2", "k", "BLOCKED")], 1))
    state.repark(lambda p: p.park([parked("1", "k")], 2))
    assert [(row.id, row.attempts) for row in state.parked()] == [("1", 2), ("2", 0)]


def test_causes_are_counted_with_what_waits_behind_them(state):
    """Operators correct causes, not rows."""
    rows = [parked("1", "k"), parked("2", "k", "BLOCKED"), parked("3", "l"), parked("4", None, "ENCODE")]  # fmt: skip
    state.repark(lambda p: p.park(rows, 5))
    found = [(c.code, c.keys, c.things, c.first) for c in state.parking.causes()]
    assert found == [("MAP_CONVERT", 2, 3, 1), ("ENCODE", 1, 1, 4)]
    assert state.parking.by_part() == {"source.a": (3, 4)}
    assert state.parking.count() == (4, "f: does not fit")


def test_a_fingerprint_holds_part_code_and_field_and_no_value(state):
    """It leaves the campus, and the same fault of two records is one cause."""
    one = replace(parked("1", "k"), reason="value 'Zhang San' is no day", payload={"data": "x"})
    assert one.fingerprint == parked("2", "l").fingerprint
    assert len({one.fingerprint, replace(one, part="source.b").fingerprint, replace(one, code="X").fingerprint, replace(one, brief="g").fingerprint}) == 4  # fmt: skip


def test_held_keys_are_known_without_the_file_and_follow_commits_and_rollbacks(state):
    """They are asked for each record; and one that a rollback gave back must stay held."""
    state.repark(lambda p: p.park([parked("1", "k"), parked("2", None)], 1))
    assert "k" in state.parking.held("source.a")

    def fails(parking: Parking) -> None:
        parking.passed([1], 2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        state.repark(fails)
    assert "k" in state.parking.held("source.a")
    state.repark(lambda p: p.passed([1], 2))
    assert "k" not in state.parking.held("source.a")
    assert state.parking.has("source.a")
    state.repark(lambda p: p.passed([2], 2))
    assert not state.parking.has("source.a")


def test_the_next_of_a_key_has_its_turn_at_once(state):
    """It never failed: nobody should have to ask for it."""
    state.repark(lambda p: p.park([parked("1", "k"), parked("2", "k", "BLOCKED")], 1))
    assert state.parking.heads(Choice("source.a", due_before=99)) == []
    state.repark(lambda p: p.passed([1], 2))
    assert state.parking.heads(Choice("source.a", due_before=99)) == [(2, "k")]


def test_text_that_no_file_can_hold_is_parked_all_the_same(state):
    """Half a surrogate pair from a campus's system."""
    state.repark(lambda p: p.park([replace(parked("1", "\ud800"), reason="\ud800")], 1))
    assert state.parked()[0].reason == "?"


# The breaker ----------------------------------------------------------------------------------------------------------


def test_a_wrong_mapping_stops_its_source_before_it_parks_a_term(tmp_path):
    """Nothing beyond the limit is parked: the cursor stays, and the corrected mapping finds everything where it was."""

    async def story():
        rig = ParkingRig(tmp_path, head="[runtime]\nparked_keys_limit = 5\n")
        for number in range(20):
            rig.campus.happen(f"k{number}", "odd")
        await rig.request(1)
        assert not await rig.settle(within_s=300)
        assert len(rig.parked()) <= 5
        assert len(rig.told(1)) == 1
        beat = rig.hub.heartbeats[-2]
        assert beat.state == "failed"
        assert "source.campus: breaker open: 8 keys parked in 10 min" in beat.reason
        rig.mend("odd")
        rig.reload()
        assert await rig.settle()
        assert len(rig.hub.applied) == 20
        assert rig.parked() == []

    asyncio.run(story())


def test_a_sink_that_refuses_one_key_after_another_stops(tmp_path):
    """A campus that lost its courses would otherwise refuse the term, delivery by delivery."""

    async def story():
        rig = ParkingRig(tmp_path, head="[runtime]\nparked_keys_limit = 5\n")
        for number in range(12):
            rig.campus.poison.add(await rig.request(number))
        rig.campus.happen("a")
        assert not await rig.settle(within_s=100)
        assert rig.parked() == []
        assert "sink.campus: rejected an event" in rig.hub.heartbeats[-2].reason
        assert len(rig.published("a")) == 1
        rig.campus.poison.clear()
        assert await rig.settle()
        assert [len(rig.told(number)) for number in range(12)] == [1] * 12

    asyncio.run(story())


def test_who_resumes_lets_one_page_pass_whatever_it_parks(tmp_path):
    """A person has looked: these records are wrong, and the next page is another matter."""

    async def story():
        rig = ParkingRig(tmp_path, head="[runtime]\nparked_keys_limit = 3\n")
        for number in range(8):
            rig.campus.happen(f"k{number}", "odd")
        assert not await rig.settle(within_s=60)
        assert rig.parked() == []
        id = ""

        def resumed() -> bool:
            nonlocal id
            id = id or (
                rig.ask("resume", part="source.campus")
                if rig.hub.heartbeats[-1].state == "failed"
                else ""
            )
            return len(rig.parked()) == 4

        rig.hub.heartbeats.clear()
        rig.hub.heartbeats.append(await _beat(rig))
        assert await rig.life(resumed, within_s=60)

    asyncio.run(story())


async def _beat(rig):
    assert not await rig.life(lambda: False, within_s=3)
    return rig.hub.heartbeats[-2]


def test_what_counts_for_the_breaker():
    """New keys within the window; what waits behind one, or is tried again by itself, is no new fault."""
    rows = [parked("1", "k"), parked("2", "k", "BLOCKED"), parked("3", None), replace(parked("4", "l"), due_at=9)]  # fmt: skip
    assert new_keys(rows) == 2
    assert not opens(recent=48, new=2, limit=50)
    assert opens(recent=49, new=2, limit=50)
    assert not opens(recent=60, new=0, limit=50)


# Back-pressure --------------------------------------------------------------------------------------------------------


def test_reading_pauses_when_too_many_bytes_wait_to_be_published(rig, monkeypatch):
    """Ten thousand of the largest events would be 400 MB here."""

    async def story():
        monkeypatch.setattr(intake, "OUTBOX_FULL_BYTES", 1_000)
        rig.hub.down = True
        for number in range(20):
            rig.campus.happen(f"k{number}")
        assert not await rig.settle(within_s=60)
        with closing(rig.state()) as state:
            events, size = state.unsent_size(100)
        assert 1_000 <= size < 5_000
        assert events < 20
        rig.hub.down = False
        assert await rig.settle()
        assert len(rig.hub.applied) == 20

    asyncio.run(story())


def test_batches_are_bounded_by_bytes_and_hold_one_in_any_case():
    """Forty kilobytes each, two hundred at once: the campus's JSON reader has limits."""
    big = Incoming(0, bytes(_BATCH_BYTES // 2), [])
    assert len(_bounded([big] * 5)) == 2
    assert len(_bounded([Incoming(0, bytes(_BATCH_BYTES + 1), [])] * 2)) == 1
    event = Outgoing("1", "x", f"member.{US}.out", b"", bytes(PUBLISH_BYTES // 2), [])
    assert len(_publishable([event] * 5)) == 2


def test_an_id_used_again_is_parked_at_its_source(state):
    """No mapping helps; whoever looks finds the source."""
    one = Outgoing("1", "offering.changed", "member.10611.out", b"k", b"v", [])
    state.commit_page("campus", "1", Mapped(events=[one]), 0)
    state.commit_page("campus", "2", Mapped(events=[replace(one, value=b"w")]), 0)
    (row,) = state.parked()
    assert (row.part, row.code) == ("source.campus", "EVENT_ID_REUSED")
