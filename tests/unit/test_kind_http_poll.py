"""http_poll: change cursors that lose nothing, and lists that move while they are read."""

import asyncio
import json
from datetime import timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.http_poll.cursors import CursorTable, read
from connectors.http_poll.kind import HttpPoll, PollOptions
from connectors.http_poll.paging import next_of
from connectors.http_poll.sweep import Row, Sweep, by_value, identity, sweep_of, unread
from connectors.sdk.contract import ConfigError, Context, RetryLater, Transient
from connectors.sdk.testing import START, FakeClock
from schemas.envelope import rfc3339

HOST = "http://sis.example"


def at(seconds):
    """A time so far from the start of the test's clock, as APIs write it."""
    return rfc3339(START + timedelta(seconds=seconds))


class Source:
    """A source over a fake campus, asked as the runtime would: each page's cursor is stored."""

    def __init__(self, tmp_path, campus, **options):
        self.clock = FakeClock()
        self.asked = []

        def handle(request):
            self.asked.append(request)
            return campus(request)

        settings = {"base_url": HOST, "path": "/changes", "records": "items"} | options
        self._options = PollOptions.model_validate(settings)
        self._context = Context(
            tmp_path, "10611", "campus", self.clock, httpx.MockTransport(handle)
        )
        self.source = HttpPoll(self._options, self._context)
        self.cursor = None
        self.page = None

    def restart(self):
        """A new process goes on from the stored cursor."""
        self.source = HttpPoll(self._options, self._context)

    async def step(self):
        """The data of one page's items."""
        self.page = await self.source.page(self.cursor)
        self.cursor = self.page.cursor
        return [item.data for item in self.page.items]

    async def sweep(self, *, killed=False):
        """All pages until there is no more. `killed`: the process dies between any two."""
        found = []
        for _ in range(100):
            found += await self.step()
            if not self.page.more:
                return found
            if killed:
                self.restart()
        raise AssertionError("no end")

    async def wait(self, seconds):
        pause = asyncio.ensure_future(self.clock.sleep(seconds))
        await self.clock.until(pause.done, seconds + 1)


class Rows:
    """Changes with a time each; an API that lists them *from* a time, or only *after* it."""

    def __init__(self, *times, size=2, inclusive=True):
        self.rows = []
        self.size, self.inclusive = size, inclusive
        for time in times:
            self.add(time)

    def add(self, seconds):
        self.rows.append({"id": len(self.rows) + 1, "changedAt": at(seconds)})
        self.rows.sort(key=lambda row: (row["changedAt"], row["id"]))

    def since(self, request):
        since = read(request.url.params["since"], "rfc3339")
        return [
            row
            for row in self.rows
            if since < (mark := read(row["changedAt"], "rfc3339"))
            or (self.inclusive and mark == since)
        ]

    def __call__(self, request):
        """Without paging: the first records, and whether there are more."""
        found = self.since(request)
        return httpx.Response(
            200, json={"items": found[: self.size], "more": len(found) > self.size}
        )

    def linked(self, request):
        """With the next page's link in the body."""
        found, start = self.since(request), int(request.url.params.get("from", "0"))
        body = {"items": found[start : start + self.size]}
        if start + self.size < len(found):
            body["next"] = str(request.url.copy_set_param("from", str(start + self.size)))
        return httpx.Response(200, json=body)

    def by_offset(self, request):
        found = self.since(request)
        start, size = (int(request.url.params[name]) for name in ("offset", "limit"))
        return httpx.Response(200, json={"items": found[start : start + size]})


def cursor(**options):
    return {"field": "changedAt", "initial": at(-10_000), "settle_s": 60} | options


def ids(found):
    return [row["id"] for row in found]


FEED = {"params": {"since": "{cursor}"}, "more": "more"}
LINKED = {
    "params": {"since": "{cursor}"},
    "paging": {"type": "next_link", "path": "next"},
    "id": "id",
}


@pytest.mark.parametrize("inclusive", [True, False], ids=["from a time", "after a time"])
def test_equal_times_across_the_end_of_a_page_lose_nothing(tmp_path, inclusive):
    """One bulk job gives thirty enrollments one time; a cursor put between them would drop the rest."""

    async def story():
        rows = Rows(-900, -850, -800, -800, -700, -600, size=3, inclusive=inclusive)
        source = Source(tmp_path, rows, cursor=cursor(), **FEED)
        assert ids(await source.sweep(killed=True)) == [1, 2, 3, 4, 5, 6]
        assert await source.sweep() == []

    asyncio.run(story())


def test_a_page_full_of_one_time_names_what_to_raise_instead_of_skipping(tmp_path):
    """Nobody can tell what lies behind it; going on would lose it without a word."""

    async def story():
        rows = Rows(-900, -800, -800, -800, size=2)
        source = Source(tmp_path, rows, cursor=cursor(), **FEED)
        assert ids(await source.step()) == [1]
        with pytest.raises(Transient, match="raise the page size"):
            await source.sweep()

    asyncio.run(story())


@pytest.mark.parametrize("way", ["linked", "by_value"])
def test_a_change_that_appears_late_is_found_within_settle(tmp_path, way):
    """A long commit appears behind the newest change. The cursor stays behind for as long as that may happen."""

    async def story():
        rows = Rows(-300, -30)
        options = LINKED if way == "linked" else FEED
        campus = rows.linked if way == "linked" else rows
        source = Source(tmp_path, campus, cursor=cursor(settle_s=120), **options)
        assert ids(await source.sweep()) == [1, 2]
        rows.add(-90)
        assert ids(await source.sweep()) == [3]
        source.restart()
        assert await source.sweep() == []

    asyncio.run(story())


def test_lookback_reads_again_and_takes_only_what_is_new(tmp_path):
    """Some systems commit minutes late; what was taken before is known by its id and time, after a restart, too."""

    async def story():
        rows = Rows(-5000, -4900, -4800)
        source = Source(tmp_path, rows.linked, cursor=cursor(lookback_s=600), **LINKED)
        assert ids(await source.sweep(killed=True)) == [1, 2, 3]
        rows.add(-5200)
        source.restart()
        assert ids(await source.sweep(killed=True)) == [4]
        assert await source.sweep() == []

    asyncio.run(story())


def test_a_record_changed_anew_is_taken_again(tmp_path):
    """One id, another time: another change."""

    async def story():
        rows = Rows(-900, -800)
        source = Source(tmp_path, rows.linked, cursor=cursor(), **LINKED)
        await source.sweep()
        rows.rows[0]["changedAt"] = at(-10)
        assert ids(await source.sweep()) == [1]

    asyncio.run(story())


def test_without_an_id_contents_tell_changes_of_one_second_apart(tmp_path):
    """Times in whole seconds hide the second of two changes."""

    async def story():
        rows = Rows(-10)
        source = Source(tmp_path, rows, cursor=cursor(), **FEED)
        assert len(await source.sweep()) == 1
        rows.rows[0]["grade"] = 87
        assert len(await source.sweep()) == 1
        assert await source.sweep() == []

    asyncio.run(story())


def test_a_time_in_the_future_is_taken_shown_and_freezes_nothing(tmp_path):
    """One record dated next year would else stop a source until then, in silence."""

    async def story():
        rows = Rows(-900, 31_536_000, size=5)
        source = Source(tmp_path, rows.linked, cursor=cursor(), **LINKED)
        assert ids(await source.sweep()) == [1, 2]
        with pytest.raises(RetryLater, match="record 2 of an answer has changedAt 2027-09-01") as e:
            await source.step()
        assert e.value.after_s < 60
        assert "cursor stays behind" in str(e.value)
        rows.add(-30)
        assert ids(await source.sweep()) == [3]
        await source.wait(7200)
        rows.add(7000)
        assert ids(await source.sweep()) == [4]
        assert await source.sweep() == []

    asyncio.run(story())


def test_an_older_cursor_reads_again_with_nothing_left_out(tmp_path):
    """That is what a backfill is: a person's cursor remembers nothing."""

    async def story():
        rows = Rows(-900, -800, -700)
        source = Source(tmp_path, rows.linked, cursor=cursor(), **LINKED)
        await source.sweep()
        source.cursor = at(-850)
        assert ids(await source.sweep()) == [2, 3]

    asyncio.run(story())


def test_what_is_remembered_is_bounded_and_what_is_dropped_is_told_again(tmp_path):
    """The cursor must not grow with a term's enrollments; told twice is a duplicate, dropped would be a loss."""

    async def story():
        rows = Rows(*range(-50, 0), size=100)
        source = Source(tmp_path, rows.linked, cursor=cursor(remember=10), **LINKED)
        assert len(await source.sweep()) == 50
        assert len(json.loads(source.cursor.partition(" ")[2])["seen"]) == 10
        assert ids(await source.sweep()) == list(range(1, 41))

    asyncio.run(story())


def test_the_first_word_of_a_cursor_is_for_people_and_holds_no_id(tmp_path):
    """It stands in heartbeats, which leave the campus."""

    async def story():
        rows = Rows(-900, -30)
        source = Source(tmp_path, rows.linked, cursor=cursor(), **LINKED)
        await source.sweep()
        word, _, rest = source.cursor.partition(" ")
        assert word == "2026-08-31T23:58:59Z"
        assert sweep_of(source.cursor) == Sweep(**json.loads(rest))
        assert source.page.watermark == START - timedelta(seconds=60)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("form", "values", "initial"),
    [
        ("epoch_ms", [1_780_000_000_000, 1_780_000_000_500, 1_780_000_001_000], "0"),
        ("number", [9, 10, 10.5], "0"),
        ("text", ["a", "b", "ba"], ""),
    ],
)
def test_cursors_of_each_format_go_in_their_own_order(tmp_path, form, values, initial):
    """As texts, 10 would come before 9."""

    async def story():
        def campus(request):
            since = read(request.url.params["since"], form)
            found = [{"n": v} for v in values if read(v, form) > since]
            return httpx.Response(200, json={"items": found})

        table = {"field": "n", "format": form, "initial": initial}
        source = Source(tmp_path, campus, cursor=table, params={"since": "{cursor}"})
        assert await source.sweep() == [{"n": value} for value in values]
        assert await source.sweep() == []
        assert source.cursor.startswith(str(values[-1]))

    asyncio.run(story())


@pytest.mark.parametrize("value", ["2026-09-01T08:00:00", "yesterday", None, {}])
def test_a_record_without_a_readable_time_takes_nothing_and_shows_no_value(tmp_path, value):
    """The cursor could not go on safely; what stands there instead may be a name."""

    async def story():
        row = {"changedAt": value}
        source = Source(
            tmp_path, lambda _: httpx.Response(200, json={"items": [row]}), cursor=cursor(), **FEED
        )
        with pytest.raises(Transient, match="changedAt") as caught:
            await source.step()
        assert "yesterday" not in str(caught.value)

    asyncio.run(story())


def test_a_stored_cursor_of_another_format_needs_a_person(tmp_path):
    """Options were changed; guessing would lose or repeat a term."""

    async def story():
        source = Source(tmp_path, Rows(), cursor=cursor(), **FEED)
        source.cursor = "17"
        with pytest.raises(ConfigError, match="set it anew"):
            await source.step()

    asyncio.run(story())


OPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 60)),
    st.tuples(st.just("page"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 90)),
)


@settings(max_examples=60, deadline=None)
@given(ops=st.lists(OPS, max_size=25), size=st.integers(2, 4), way=st.sampled_from(["from", "after", "linked"]))  # fmt: skip
def test_whatever_appears_within_settle_is_taken_once_whoever_dies_when(ops, size, way):
    """Commits come late, pages end anywhere, processes die between any two: nothing is lost and nothing told twice."""

    async def story():
        rows = Rows(size=size, inclusive=way != "after")
        campus, options = (rows.linked, LINKED) if way == "linked" else (rows, FEED | {"id": "id"})
        source = Source(None, campus, cursor=cursor(settle_s=60), **options)
        found = []

        async def read_on(*, killed):
            try:
                found.extend(ids(await source.step()))
            except Transient:  # more changes of one time than fit a page: a person raises its size
                rows.size += 1
            if killed:
                source.restart()

        for op, value in ops:
            if op == "add":
                rows.add(source.clock.monotonic() - value)
            elif op == "wait":
                await source.wait(value)
            else:
                await read_on(killed=value)
        for _ in range(60):
            await read_on(killed=False)
        assert sorted(found) == [row["id"] for row in sorted(rows.rows, key=lambda row: row["id"])]

    asyncio.run(story())


# Lists that move ---------------------------------------------------------------------------------------------------

OFFSET = {"paging": {"type": "offset", "size": 4}}


@pytest.mark.parametrize("gone", [1, 3, 5])
def test_a_list_that_shrinks_while_it_is_read_by_offset_loses_no_record(tmp_path, gone):
    """Records behind the deleted ones move up, over the edge of the page that comes next."""

    async def story():
        rows = [{"id": n} for n in range(20)]

        def campus(request):
            start, size = (int(request.url.params[name]) for name in ("offset", "limit"))
            return httpx.Response(200, json={"items": rows[start : start + size]})

        source = Source(tmp_path, campus, **OFFSET)
        found = await source.step() + await source.step()
        del rows[:gone]
        source.restart()
        found += await source.sweep(killed=True)
        assert {row["id"] for row in found} == set(range(20))
        assert source.cursor == "start"

    asyncio.run(story())


def test_a_still_list_is_read_once_and_each_record_told_once(tmp_path):
    """The overlap of pages must not double what it compares."""

    async def story():
        rows = [{"id": n} for n in range(11)]

        def campus(request):
            start, size = (int(request.url.params[name]) for name in ("offset", "limit"))
            return httpx.Response(200, json={"items": rows[start : start + size]})

        source = Source(tmp_path, campus, **OFFSET)
        assert ids(await source.sweep(killed=True)) == list(range(11))
        assert len(source.asked) == 5

    asyncio.run(story())


def test_changes_read_by_offset_while_records_change_are_all_taken(tmp_path):
    """A changed record goes to the end of the list, and all others move up by one."""

    async def story():
        rows = Rows(*range(-900, -880))
        source = Source(tmp_path, rows.by_offset, cursor=cursor(), id="id", params={"since": "{cursor}"}, **OFFSET)  # fmt: skip
        found = []
        for step in range(6):
            found += await source.step()
            rows.rows[0]["changedAt"] = at(-100 + step)
            rows.rows.sort(key=lambda row: row["changedAt"])
        found += await source.sweep(killed=True)
        assert set(ids(found)) == set(range(1, 21))
        now = {(row["id"], row["changedAt"]) for row in rows.rows}
        assert now <= {(row["id"], row["changedAt"]) for row in found}

    asyncio.run(story())


def test_a_record_that_slips_through_numbered_pages_is_met_by_the_next_sweep(tmp_path):
    """Page numbers cannot overlap. A collection is read anew each time, so it is late, not lost."""

    async def story():
        rows = [{"id": n} for n in range(6)]

        def campus(request):
            start = (int(request.url.params["page"]) - 1) * 2
            return httpx.Response(200, json={"items": rows[start : start + 2]})

        source = Source(tmp_path, campus, paging={"type": "page", "param": "page", "size": 2})
        first = await source.step()
        del rows[0]
        first += await source.sweep()
        assert 2 not in ids(first)
        assert 2 in ids(await source.sweep())

    asyncio.run(story())


def test_page_numbers_and_change_cursors_do_not_go_together():
    """What slips through is behind the cursor then, for good."""
    with pytest.raises(ValidationError, match="page numbers skip records"):
        PollOptions(
            base_url=HOST,
            path="/x",
            cursor=CursorTable(**cursor()),
            params={"s": "{cursor}"},
            paging={"type": "page", "param": "page"},
        )


# Ways of paging ----------------------------------------------------------------------------------------------------


def pages(*answers):
    """A campus that gives these answers by the parameter or path `p`, the first one without."""

    def campus(request):
        return answers[int(request.url.params.get("p", "0"))]

    return campus


def page(*found, headers=None, **body):
    return httpx.Response(
        200, json={"items": [{"id": n} for n in found], **body}, headers=headers or {}
    )


def test_a_token_in_the_body_leads_on_until_there_is_none(tmp_path):
    """null, empty or absent: each is how some API ends."""

    async def story():
        for last in ({"next": None}, {"next": ""}, {}):
            campus = pages(page(1, next=1), page(2, next="2"), page(3, **last))
            paging = {"type": "cursor", "param": "p", "path": "next"}
            source = Source(tmp_path, campus, paging=paging)
            assert ids(await source.sweep(killed=True)) == [1, 2, 3]
            assert ids(await source.sweep()) == [1, 2, 3]

    asyncio.run(story())


def test_a_header_s_link_leads_on(tmp_path):
    """RFC 8288; the target may be relative."""

    async def story():
        link = {"link": '</changes?p=0>; rel=first, </changes?p=1>; title="a, b"; rel="last next"'}
        campus = pages(page(1, headers=link), page(2))
        source = Source(tmp_path, campus, paging={"type": "link_header"})
        assert ids(await source.sweep(killed=True)) == [1, 2]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('<https://a/x>; rel="next"', "https://a/x"),
        ("<a>;rel=prev,<b;c,d>;rel=NEXT", "b;c,d"),
        ('<a>; title="rel=next"', None),
        ('<a>; rel="nextish"', None),
        ('<a>; rel=first; rel="next"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_next_link_of_a_header_is_the_one_whose_relation_says_so(header, found):
    """Commas and semicolons stand inside of links and titles, too."""
    assert next_of(header) == found


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/steal",
        "//elsewhere.example/steal",
        "http://sis.example:81/changes",
        "http://sis.example@elsewhere.example/",
        "ftp://sis.example/changes",
    ],
)
def test_a_link_to_another_machine_is_refused_before_it_is_asked(tmp_path, link):
    """Our credentials would go there."""

    async def story():
        source = Source(tmp_path, pages(page(1, next=link)), paging={"type": "next_link", "path": "next"})  # fmt: skip
        with pytest.raises(ConfigError, match="allow_hosts") as caught:
            await source.step()
        assert "steal" not in str(caught.value)
        assert len(source.asked) == 1

    asyncio.run(story())


def test_a_link_to_an_allowed_machine_is_asked(tmp_path):
    """Some campuses page through a gateway of another name."""

    async def story():
        campus = pages(page(1, next="https://gateway.example/x?p=1"), page(2))
        source = Source(tmp_path, campus, paging={"type": "next_link", "path": "next"}, allow_hosts=["gateway.example"])  # fmt: skip
        assert ids(await source.sweep()) == [1, 2]
        assert source.asked[1].url.host == "gateway.example"

    asyncio.run(story())


def test_a_link_that_leads_to_itself_is_not_asked_in_a_circle(tmp_path):
    """Broken paging would ask forever without a pause."""

    async def story():
        campus = pages(page(1, next="/changes?p=1"), page(2, next="/changes?p=1"))
        source = Source(tmp_path, campus, paging={"type": "next_link", "path": "next"})
        with pytest.raises(Transient, match="this page again"):
            await source.sweep()

    asyncio.run(story())


def test_a_key_in_links_is_not_stored_and_added_again(tmp_path):
    """Cursors stand in heartbeats."""

    async def story():
        campus = pages(page(1, next="/changes?p=1&k=abc123"), page(2))
        source = Source(
            tmp_path,
            campus,
            paging={"type": "next_link", "path": "next"},
            auth={"type": "api_key", "in": "query", "name": "k", "key": "abc123"},
        )
        await source.step()
        assert "abc123" not in source.cursor
        assert ids(await source.step()) == [2]
        assert source.asked[1].url.params.get_list("k") == ["abc123"]

    asyncio.run(story())


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_an_expired_link_begins_the_reading_anew_once(tmp_path, status):
    """Links live for hours, and a connector may stand still over a week end. A second time a person must look."""

    async def story():
        answers = [page(1, next="/changes?p=1"), httpx.Response(status, json={}), page(2)]
        source = Source(tmp_path, lambda r: pages(*answers)(r), paging={"type": "next_link", "path": "next"})  # fmt: skip
        await source.step()
        assert await source.step() == []
        assert source.page.more
        assert ids(await source.step()) == [1]
        with pytest.raises(ConfigError):
            await source.step()
        answers[1] = page(2)
        assert ids(await source.step()) == [2]
        assert not source.page.more

    asyncio.run(story())


def test_an_ignored_answer_is_an_empty_page(tmp_path):
    """404 for an empty list."""

    async def story():
        for paging in ({"type": "page", "param": "p"}, {"type": "offset"}, {"type": "link_header"}):
            source = Source(tmp_path, lambda _: httpx.Response(404), paging=paging, respond={"ignore_on": 404})  # fmt: skip
            assert await source.sweep() == []

    asyncio.run(story())


def test_the_key_of_a_record_keeps_its_changes_in_order(tmp_path):
    """The runtime holds later changes of a key back while one is parked."""

    async def story():
        rows = [{"id": 1, "student": {"id": 7}}, {"id": 2}]
        campus = pages(httpx.Response(200, json={"items": rows}))
        for how in ({"paging": {"type": "link_header"}}, {"cursor": "id"}):
            source = Source(tmp_path, campus, key="student.id", **how)
            found = await source.source.page(None)
            assert [item.key for item in found.items] == ["7", None]

    asyncio.run(story())


# Rules -------------------------------------------------------------------------------------------------------------


def rows_at(*numbers):
    return [Row(read(n, "number"), str(i), i, None) for i, n in enumerate(numbers)]


def test_a_page_without_end_is_cut_between_two_values():
    """An API that lists *after* a value never repeats its equals; one that lists *from* it does."""
    kept, on = by_value(rows_at(1, 2, 2), read(0, "number"), more=True)
    assert ([row.mark.order for row in kept], on.order) == ([1], 1)
    kept, on = by_value(rows_at(1, 2, 2), read(1, "number"), more=True)
    assert ([row.mark.order for row in kept], on.order) == ([1, 2, 2], 2)
    kept, on = by_value(rows_at(2, 1), read(0, "number"), more=False)
    assert (len(kept), on) == (2, None)
    with pytest.raises(ValueError, match="not in the order"):
        by_value(rows_at(2, 1), read(0, "number"), more=True)
    with pytest.raises(ValueError, match="page size"):
        by_value([], read(0, "number"), more=True)


def test_an_overlap_tells_what_is_unread_or_that_something_may_be_missing():
    """The newest known record that is still there counts; without any, nobody knows."""
    assert unread(["a", "b", "c"], ["a", "b"]) == 2
    assert unread(["a", "x", "c"], ["a", "b"]) == 1
    assert unread(["x", "x", "c"], ["x"]) == 2
    assert unread(["c", "d"], ["a", "b"]) is None
    assert unread([], ["a"]) is None


def test_a_change_is_remembered_by_id_and_time_or_by_its_contents():
    """Key order is no difference; time is."""
    assert identity({"a": 1, "b": 2}, None, "t") == identity({"b": 2, "a": 1}, None, "u")
    assert identity({"a": 1}, 7, "t") == identity({"a": 2}, "7", "t")
    assert identity({"a": 1}, 7, "t") != identity({"a": 1}, 7, "u")


@pytest.mark.parametrize("text", ["2026-09-01 08:00:00+08:00", 'a {"at"', "", "17", 'x {"at": 1}'])
def test_a_cursor_written_by_a_person_is_taken_as_it_stands(text):
    """Nobody types our remembered part; spaces are no reason to misread what they type."""
    assert sweep_of(Sweep(text).text()) == Sweep(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cursor": cursor(settle_s=-1)},
        {"cursor": cursor(format="number", initial="0", settle_s=5)},
        {"cursor": cursor(initial="yesterday")},
        {"cursor": cursor(initial="2026-09-01T00:00:00")},
        {"cursor": cursor(field="a b c")},
        {"cursor": cursor(), "params": {}},
        {"cursor": cursor(), "initial": "0"},
        {"cursor": "n", "paging": {"type": "link_header"}},
        {"cursor": "n", "id": "id"},
        {},
        {"paging": {"type": "offset", "size": 1}},
        {"paging": {"type": "next_link", "path": "["}},
    ],
)
def test_options_that_do_not_go_together_are_found_by_lint(wrong):
    """Before the first request, and in words."""
    with pytest.raises(ValidationError):
        PollOptions.model_validate({"base_url": HOST, "path": "/x", "params": {"s": "{cursor}"}} | wrong)  # fmt: skip
