"""http_push, one request for each delivery: order of keys, what statuses mean, keys and signatures that stay."""

import asyncio
import json
from dataclasses import replace

import httpx
import pytest
from pydantic import ValidationError

from connectors.http_push.address import filled
from connectors.http_push.kind import HttpPush, PushOptions
from connectors.http_push.options import idempotency_key
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    Context,
    Delivery,
    Duplicate,
    NoPermission,
    NotNow,
    Rejected,
    RetryLater,
    Stale,
    Transient,
)
from connectors.sdk.testing import FakeClock, case_flag, their_request
from connectors.sdk.webhooks import Genuine, secret_bytes, verify

OLD = "whsec_" + "b2xkIHNlY3JldCBvZiBhIHRlc3QsIGxvbmc="
NEW = "whsec_" + "bmV3IHNlY3JldCBvZiBhIHRlc3QsIGxvbmc="


def delivery(number, key=None):
    """A request of another member; several of one key are several messages about one enrollment."""
    record = their_request(key or number)
    return Delivery("event", record.EVENT, f"event-{number}", number, record)


def sink_of(tmp_path, campus, clock=None, **options):
    settings = {"base_url": "http://sis.example/api", "path": "/inbox", "form": "single"} | options
    context = Context(tmp_path, "10611", "campus", clock or FakeClock(), httpx.MockTransport(campus))  # fmt: skip
    return HttpPush(PushOptions.model_validate(settings), context)


def push(tmp_path, campus, batch, **options):
    return asyncio.run(sink_of(tmp_path, campus, **options).apply(batch))


def answering(statuses):
    """A campus that answers each event with its status, and 204 where none is named."""

    def campus(request):
        status = statuses.get(json.loads(request.content)["eventId"], 204)
        if status is None:
            raise httpx.ReadTimeout("too slow", request=request)
        headers = {"retry-after": "9"} if status == 429 else {}
        return httpx.Response(status, headers=headers)

    return campus


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Applied),
        (202, Applied),
        (204, Applied),
        (409, Duplicate),
        (412, Stale),
        (408, NotNow),
        (425, NotNow),
        (429, NotNow),
        (500, NotNow),
        (503, NotNow),
        (None, NotNow),
        (400, Rejected),
        (422, Rejected),
    ],
)
def test_a_status_speaks_for_its_delivery_and_the_others_go_on(tmp_path, status, verdict):
    """One enrollment that a campus cannot take must not hold up the rest, nor be counted as taken."""
    verdicts = push(tmp_path, answering({"event-2": status}), [delivery(n) for n in (1, 2, 3)])
    assert [type(one) for one in verdicts] == [Applied, verdict, Applied]
    if verdict is Rejected:
        assert verdicts[1].code == f"HTTP_{status}"
    if status == 429:
        assert verdicts[1].after_s == 9


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, Transient),
        (None, Transient),
        (429, RetryLater),
        (401, NoPermission),
        (403, NoPermission),
        (404, ConfigError),
        (410, ConfigError),
        (302, ConfigError),
    ],
)
def test_what_is_wrong_with_all_is_said_of_the_whole_sink(tmp_path, status, error):
    """A target that is down for ten minutes must not have a term parked."""
    batch = [delivery(n) for n in range(1, 5)]
    with pytest.raises(error) as caught:
        push(tmp_path, answering({d.event_id: status for d in batch}), batch)
    assert type(caught.value) is error


def test_a_system_that_refuses_each_of_many_gets_nothing_parked(tmp_path):
    """After a botched upgrade over there, parking would be the wrong answer."""
    batch = [delivery(n) for n in range(1, 7)]
    with pytest.raises(Transient, match="refuses each of 6 items"):
        push(tmp_path, answering({d.event_id: 422 for d in batch}), batch)


@pytest.mark.parametrize("status", [422, 500])
def test_what_comes_after_a_failed_delivery_of_its_key_waits_behind_it(tmp_path, status):
    """A withdrawal must not arrive before the enrollment it withdraws."""
    batch = [delivery(1, key=7), delivery(2), delivery(3, key=7), delivery(4, key=7), delivery(5)]
    asked = []

    def campus(request):
        asked.append(json.loads(request.content)["eventId"])
        return answering({"event-3": status})(request)

    verdicts = push(tmp_path, campus, batch)
    kinds = [type(one) for one in verdicts]
    assert kinds == [Applied, Applied, Rejected if status == 422 else NotNow, NotNow, Applied]
    assert "event-4" not in asked


@pytest.mark.parametrize(
    ("options", "at_once"),
    [({}, 3), ({"concurrency": 2}, 2), ({"order": "ledger"}, 1)],
)
def test_keys_go_side_by_side_and_each_key_in_the_ledger_s_order(tmp_path, options, at_once):
    """Order where it matters, and speed where it does not."""
    running, most, order = set(), [0], []

    async def campus(request):
        event = json.loads(request.content)["eventId"]
        running.add(event)
        most[0] = max(most[0], len(running))
        for _ in range(5):
            await asyncio.sleep(0)
        order.append(event)
        running.discard(event)
        return httpx.Response(204)

    batch = [delivery(n, key=n % 3 + 1) for n in range(1, 10)]
    assert push(tmp_path, campus, batch, **options) == [Applied()] * 9
    assert most[0] == at_once
    for key in range(3):
        numbers = [int(event.partition("-")[2]) for event in order]
        assert [n for n in numbers if n % 3 == key] == sorted(n for n in numbers if n % 3 == key)
    if options.get("order"):
        assert numbers == sorted(numbers)


def test_a_repeat_after_a_lost_answer_has_the_same_key_and_a_new_time(tmp_path):
    """The campus may have taken it; the key lets it know, and the time keeps the signature fresh."""

    async def story():
        clock, seen = FakeClock(), []

        def campus(request):
            seen.append(request)
            if len(seen) == 1:
                raise httpx.ReadTimeout("too slow", request=request)
            return httpx.Response(409)

        sink = sink_of(tmp_path, campus, clock, sign={"secret": NEW})
        with pytest.raises(Transient):
            await sink.apply([delivery(1)])
        pause = asyncio.ensure_future(clock.sleep(400))
        await clock.until(pause.done)
        assert await sink.apply([delivery(1)]) == [Duplicate()]
        first, second = (request.headers for request in seen)
        assert first["idempotency-key"] == second["idempotency-key"] == first["webhook-id"]
        assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 400
        found = verify(dict(second), seen[1].content, [secret_bytes(NEW)], clock.now())
        assert isinstance(found, Genuine)
        assert seen[0].content == seen[1].content

    asyncio.run(story())


def test_while_a_secret_is_changed_over_both_sign(tmp_path):
    """The campus may hold either, and nothing is refused on the day of the change."""

    async def story():
        seen, clock = [], FakeClock()
        sink = sink_of(tmp_path, lambda r: seen.append(r) or httpx.Response(204), clock, sign={"secret": NEW, "previous": OLD})  # fmt: skip
        await sink.apply([delivery(1)])
        for secret in (OLD, NEW):
            found = verify(dict(seen[0].headers), seen[0].content, [secret_bytes(secret)], clock.now())  # fmt: skip
            assert isinstance(found, Genuine)

    asyncio.run(story())


def test_batches_are_signed_as_well(tmp_path):
    """One id for one batch; the same batch again has it again."""

    async def story():
        seen, clock = [], FakeClock()

        def campus(request):
            seen.append(request)
            items = json.loads(request.content)["items"]
            return httpx.Response(200, json={"results": [{"eventId": i["eventId"], "status": "stale"} for i in items]})  # fmt: skip

        sink = sink_of(tmp_path, campus, clock, form="batch", sign={"secret": NEW}, idempotency_header="X-Once")  # fmt: skip
        batch = [delivery(1), delivery(2)]
        assert await sink.apply(batch) == [Stale(), Stale()]
        headers = dict(seen[0].headers)
        assert headers["webhook-id"] == headers["x-once"] == idempotency_key(batch)
        assert isinstance(verify(headers, seen[0].content, [secret_bytes(NEW)], clock.now()), Genuine)  # fmt: skip

    asyncio.run(story())


# Paths with fields -------------------------------------------------------------------------------------------------


def test_fields_of_a_delivery_fill_the_path_each_as_one_segment():
    """A slash in an id must not lead elsewhere."""
    record = their_request(1)
    one = Delivery("event", record.EVENT, "a/b?c", 1, record)
    path = filled("/{kind}/{event_id}/{enrollment_id}/{term.academic_year}", one)
    assert path == "/event/a%2Fb%3Fc/enrollment-1/2026-2027"
    assert filled("/plain", one) == "/plain"
    with pytest.raises(ValueError, match="no nonsense for path"):
        filled("/{nonsense}", one)
    with pytest.raises(ValueError, match="no event_id"):
        filled("/{event_id}", Delivery("event", record.EVENT, "..", 1, record))


def test_a_delivery_without_a_field_of_the_path_is_parked_with_what_to_change(tmp_path):
    """Outcomes and flags have other fields than events."""
    flag = Delivery("flag", "hub.case-flagged", "flag-1", 2, case_flag())
    found = push(tmp_path, answering({}), [delivery(1), flag], path="/{enrollment_id}", method="PUT")  # fmt: skip
    assert found[0] == Applied()
    assert found[1].code == "PATH_FIELD_MISSING"
    assert "narrow events, outcomes and flags" in found[1].message


@pytest.mark.parametrize("status", [403, 404, 410])
def test_where_the_path_names_one_thing_these_are_about_that_thing(tmp_path, status):
    """An enrollment that the campus does not know must not stop all others; its address is data and stays here."""
    found = push(tmp_path, answering({"event-1": status}), [delivery(1), delivery(2)], path="/{enrollment_id}")  # fmt: skip
    assert found[1] == Applied()
    assert found[0].code == f"HTTP_{status}"
    assert "enrollment-1" not in found[0].message
    assert "/{enrollment_id}" in found[0].message


def test_a_path_with_fields_is_not_shown_filled_when_the_network_fails(tmp_path):
    """The reason stands in heartbeats, which leave the campus."""
    with pytest.raises(Transient) as caught:
        push(tmp_path, answering({"event-1": None}), [delivery(1)], path="/{enrollment_id}")
    assert "enrollment-1" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"form": "batch", "path": "/{event_id}"},
        {"form": "batch", "concurrency": 4},
        {"path": "/{event id}"},
        {"path": "/{event_id"},
        {"sign": {"secret": "whsec_c2hvcnQ="}},
        {"sign": {"secret": "no base64!"}},
        {"idempotency_header": "two words"},
    ],
)
def test_options_that_cannot_work_are_found_by_lint(wrong):
    """Before the first delivery."""
    settings = {"base_url": "http://sis.example", "path": "/inbox", "form": "single"} | wrong
    with pytest.raises(ValidationError) as caught:
        PushOptions.model_validate(settings)
    told = " ".join(str(fault.get("ctx", "")) for fault in caught.value.errors())
    assert "c2hvcnQ" not in told


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, ("OPTIONS", "/api/inbox")),
        ({"path": "/x/{event_id}"}, ("OPTIONS", "/api/x/")),
        ({"check_path": "/health"}, ("GET", "/api/health")),
    ],
)
def test_a_check_tells_the_campus_nothing(tmp_path, options, asked):
    """It runs before anything is to be delivered."""

    async def story():
        seen = []
        sink = sink_of(tmp_path, lambda r: seen.append(r) or httpx.Response(200), **options)
        assert "status 200" in await sink.check()
        assert [(r.method, r.url.path, r.content) for r in seen] == [(*asked, b"")]
        for status, error in ((401, NoPermission), (500, Transient)):
            down = sink_of(tmp_path, lambda _, status=status: httpx.Response(status), **options)
            with pytest.raises(error):
                await down.check()

    asyncio.run(story())


def test_a_campus_may_be_sent_its_own_form_of_an_event_and_a_value_without_a_code_is_refused(
    tmp_path,
):
    """What their API takes is a file here; an event it has no word for is parked, not sent half."""
    (tmp_path / "mapping").mkdir()
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "way.csv").write_text("local,alliance\nW,online\n", "utf-8")
    (tmp_path / "mapping" / "out.toml").write_text(
        '[event]\ntype = "enrollment.requested"\n[fields]\nid = "record.enrollment_id"\n'
        'way = { path = "record.delivery", codes = "way" }\n',
        "utf-8",
    )
    sent = []

    def campus(request):
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={})

    one = delivery(1)
    on_site = replace(delivery(2), record=replace(delivery(2).record, delivery="on_site"))
    bodies = {"enrollment.requested": "mapping/out.toml"}
    verdicts = push(tmp_path, campus, [one, on_site], bodies=bodies)
    assert sent == [{"id": "enrollment-1", "way": "W"}]
    assert verdicts[0] == Applied()
    assert verdicts[1].code == "MAP_UNKNOWN_CODE"
