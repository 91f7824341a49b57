"""The runtime's book-keeping: what is sent again, what leaves the outbox, what the campus hears of."""

import asyncio
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.http_poll.conformance import changes
from connectors.reference.conformance import both_ways
from connectors.sdk.contract import Item
from connectors.sdk.mapping.expressions import compile_path
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.state.file import Mapped, Outgoing, State
from connectors.sdk.testing import (
    START,
    THEM,
    US,
    FakeHub,
    Rig,
    case_flag,
    offering_row,
    their_request,
    write_alliance,
    write_folder,
)
from schemas.signing import new_signer


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path, both_ways())


def facts(rig: Rig):
    state = rig.state()
    try:
        return state.counts(), {p.stage: p for p in state.parked()}
    finally:
        state.close()


def settled(rig: Rig):
    """Everything the campus had to tell was published and answered, and the answers are at the campus."""
    return lambda: len(rig.hub.published) >= rig.case.to_tell() and rig.quiet()


def told_kinds(rig: Rig) -> set[str]:
    return {key.partition(":")[0] for key in rig.case.told}


def event_of_first_change(rig: Rig):
    return rig.hub.published[0]


def test_an_event_without_outcome_is_published_again_ever_more_rarely(rig):
    """The hub may have lost it; but a hub that is down for a night must not find it a thousand times."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(1)
        assert await rig.life(lambda: len(rig.hub.published) == 5, within_s=2_000)
        assert rig.clock.monotonic() >= 20 * (1 + 2 + 4 + 8)
        assert len({record.envelope.event_id for record in rig.hub.published}) == 1

    asyncio.run(story())


def test_a_hub_that_is_merely_behind_is_not_sent_everything_twice(rig):
    """Outcomes arrive in the order of publishing: while they flow, later events just have to wait their turn."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(8)

        async def slowly() -> None:
            while len(rig.hub.published) < 8:
                await rig.clock.sleep(1)
            for record in tuple(rig.hub.published):
                await rig.clock.sleep(15)
                await rig.hub.answer(US, record, "applied")

        hub = asyncio.ensure_future(slowly())
        assert await rig.life(lambda: hub.done() and rig.quiet())
        assert rig.clock.monotonic() > 100
        assert len(rig.hub.published) == 8

    asyncio.run(story())


def test_an_event_that_was_passed_over_is_published_again_alone(rig):
    """Later events have their outcome, this one has none: it was lost."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(3)
        assert await rig.life(lambda: len(rig.hub.published) == 3)
        for record in rig.hub.published[1:]:
            await rig.hub.answer(US, record, "applied")
        lost = rig.hub.published[0].envelope.event_id
        assert await rig.life(lambda: len(rig.hub.published) == 4)
        assert rig.hub.published[3].envelope.event_id == lost

    asyncio.run(story())


def test_parked_is_told_but_not_the_last_word(tmp_path):
    """The ledger waits for a predecessor; its real verdict on the same event comes later."""

    async def story():
        rig = Rig(tmp_path, both_ways(), FakeHub(decide=lambda _: "parked"))
        rig.case.happen(1)
        assert await rig.life(lambda: any("parked" in key for key in rig.case.told))
        event = event_of_first_change(rig)
        assert facts(rig)[0]["outbox_events"] == 1
        await rig.hub.answer(US, event, "duplicate")  # of a copy: says nothing new
        await rig.hub.answer(US, event, "applied")
        assert await rig.life(settled(rig))
        assert [key.rpartition(":")[2] for key in rig.case.told] == ["parked", "applied"]
        assert len(rig.hub.published) == 1

    asyncio.run(story())


@pytest.mark.parametrize("late", ["duplicate", "refused"])
def test_the_fate_of_a_second_copy_is_not_told(rig, late):
    """The first copy was applied; a campus that then read `refused` would undo a student's enrollment."""

    async def story():
        rig.case.happen(1)
        assert await rig.life(settled(rig))
        told = list(rig.case.told)
        await rig.hub.answer(US, event_of_first_change(rig), late)
        assert await rig.life(settled(rig))
        assert rig.case.told == told

    asyncio.run(story())


def test_a_refusal_ends_an_event_and_is_told_once(tmp_path):
    """Admission may repeat a refusal, and refusals carry no ledger number to recognize them by."""

    async def story():
        rig = Rig(tmp_path, both_ways(), FakeHub(decide=lambda _: "refused"))
        rig.hub.repeats = True
        rig.case.happen(1)
        assert await rig.life(settled(rig))
        assert [key.rpartition(":")[2] for key in rig.case.told] == ["refused"]

    asyncio.run(story())


def test_a_ledger_number_taken_before_is_not_brought_again(rig):
    """Campuses should recognize repeats; those that cannot are safe all the same while we remember."""

    async def story():
        rig.hub.repeats = True
        request = their_request(1)
        await rig.hub.deliver(US, request, rig.signers[THEM])
        assert await rig.life(settled(rig))
        assert rig.case.transport.offered.count(request.envelope.event_id) == 1

    asyncio.run(story())


def test_an_event_that_nobody_vouches_for_is_parked_until_the_key_is_known(rig):
    """The hub delivers; it must not be able to invent another university's decision."""

    async def story():
        forged = their_request(1)
        await rig.hub.deliver(US, forged, new_signer(bytes(32)))
        await rig.hub.deliver(US, their_request(2), rig.signers[THEM])
        assert await rig.life(settled(rig))
        events = [key.split(":")[1] for key in rig.case.told if key.startswith("event")]
        assert events == [their_request(2).envelope.event_id]
        assert "does not vouch for it" in facts(rig)[1]["verify"].reason
        assert await rig.life(lambda: "signature" in rig.hub.heartbeats[-1].reason)

    asyncio.run(story())


def test_a_message_of_an_unknown_kind_waits_for_an_upgrade(rig):
    """A newer hub tells us something; the rest goes on, and nothing of it is lost or taken for something else."""

    async def story():
        await rig.hub.flag(US, "greeting-1", case_flag(), kind=b"greeting")
        await rig.hub.deliver(US, their_request(1), rig.signers[THEM])
        assert await rig.life(settled(rig))
        assert told_kinds(rig) == {"event", "outcome"}
        assert (
            "kind 'greeting', known are event, outcome, refusal, flag, promise, receipts; upgrade"
            in (facts(rig)[1]["read"].reason)
        )

    asyncio.run(story())


@pytest.mark.parametrize(
    ("event_id", "record"), [("f-1", their_request(1)), ("", case_flag())], ids=["event", "no id"]
)
def test_a_flag_that_is_none_is_parked(rig, event_id, record):
    """Without its id a repeat could not be told from a second flag; an event unsigned is nobody's word."""

    async def story():
        await rig.hub.flag(US, event_id, record)
        assert await rig.life(settled(rig))
        assert rig.case.told == []
        assert "where a flag with its ce_id belongs" in facts(rig)[1]["read"].reason

    asyncio.run(story())


def test_a_campus_may_do_without_flags(tmp_path):
    """A system that has no place for them would refuse each one."""

    async def story():
        case = both_ways()
        case.tables += "flags = false\n"
        rig = Rig(tmp_path, case)
        await rig.hub.flag(US, "f-1", case_flag())
        await rig.hub.deliver(US, their_request(1), rig.signers[THEM])
        assert await rig.life(settled(rig))
        assert told_kinds(rig) == {"event", "outcome"}

    asyncio.run(story())


def test_what_a_mended_campus_takes_leaves_the_parking_at_the_next_start(rig):
    """The way out for operators: mend, restart."""

    async def story():
        request = their_request(1)
        rig.case.poison.add(request.envelope.event_id)
        await rig.hub.deliver(US, request, rig.signers[THEM])
        assert await rig.life(settled(rig))
        assert "push" in facts(rig)[1]
        rig.case.poison.clear()
        assert await rig.life(lambda: len(rig.case.told) == 1)
        assert facts(rig)[1] == {}

    asyncio.run(story())


def test_a_corrected_mapping_lets_parked_records_pass_at_the_next_start(tmp_path):
    """The record was right, the mapping was not; nobody types it in again."""

    async def story():
        rig = Rig(tmp_path, changes())
        rig.case.happen(1)
        rig.case.spoil()
        assert await rig.life(lambda: len(rig.hub.applied) == 1 and rig.quiet())
        assert "map" in facts(rig)[1]
        file = tmp_path / "mapping" / "offering.toml"
        file.write_text(file.read_text("utf-8").replace('path = "credits", required = true, convert = "decimal"', 'const = "1"'), "utf-8")  # fmt: skip
        rig.reload()
        assert await rig.life(lambda: len(rig.hub.applied) == 2 and rig.quiet())
        assert facts(rig)[1] == {}

    asyncio.run(story())


def test_while_the_broker_is_down_everything_waits_and_says_so(rig):
    """The hub's night out costs no event."""

    async def story():
        rig.hub.down = True
        rig.case.happen(4)
        assert not await rig.life(lambda: bool(rig.hub.published), within_s=300)
        counts = facts(rig)[0]
        assert (counts["unsent_events"], counts["published_total"]) == (4, 0)
        rig.hub.down = False
        assert await rig.life(settled(rig))
        assert len(rig.hub.applied) == 4

    asyncio.run(story())


def test_a_page_is_stored_whole_or_not_at_all(tmp_path):
    """Half a page with the cursor after it would lose the other half."""
    state = State(tmp_path / "state.db")
    good = Outgoing("1", "offering.changed", "member.10611.out", b"k", b"v", [])
    bad = replace(good, event_id="2", key=None)
    with pytest.raises(sqlite3.IntegrityError):
        state.commit_page("campus", "7", Mapped(events=[good, bad]), 0)
    assert state.cursor("campus") is None
    assert state.unsent(10) == []
    state.close()


def test_an_event_id_used_for_another_event_is_shown(tmp_path):
    """It would otherwise vanish behind the first one."""
    state = State(tmp_path / "state.db")
    one = Outgoing("1", "offering.changed", "member.10611.out", b"k", b"v", [])
    assert state.commit_page("campus", "1", Mapped(events=[one]), 0) == 1
    assert state.commit_page("campus", "1", Mapped(events=[one]), 0) == 0
    assert state.parked() == []
    state.commit_page("campus", "2", Mapped(events=[replace(one, value=b"w")]), 0)
    assert [row.brief for row in state.parked()] == [
        "offering.changed reuses the id of another event"
    ]
    state.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    data=JSON,
    field=st.sampled_from(["id", "eventId", "at", "version", "titles", "start", "credits"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_record_whatever_its_shape_holds_up_the_next_one(tmp_path, data, field):
    """Campus systems send what they like; a record passes or is parked, and the page is stored."""
    write_alliance(tmp_path)
    config = write_folder(tmp_path, changes())
    state = State(":memory:")
    mapper = Mapper(config.sources[0], config.signer, state)
    rows = [data, offering_row(1) | {field: data}, offering_row(2)]
    page = mapper.page([Item(row, str(number)) for number, row in enumerate(rows)], START)
    assert page.events[-1].event_id == offering_row(2)["eventId"]
    assert len(page.events) + len(page.parked) == 3
    state.commit_page("campus", "2", page, 0)
    assert state.cursor("campus") == "2"
    state.close()


def test_plain_paths_and_jmespath_find_the_same():
    """The short way is for speed only."""
    row = offering_row(3, deep={"er": {"x": 1}})
    assert compile_path("deep.er.x")(row) == compile_path("deep.er.x | @")(row) == 1
