"""What an HTTP answer means, and the two kinds that speak HTTP."""

import asyncio
import json

import httpx
import pytest

from connectors.http_poll.kind import HttpPoll, PollOptions
from connectors.http_push.kind import HttpPush, PushOptions, idempotency_key
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    Context,
    Delivery,
    NoPermission,
    Rejected,
    RetryLater,
    Transient,
)
from connectors.sdk.testing import FakeClock, their_request


def context(tmp_path, handler):
    return Context(tmp_path, "10611", "campus", FakeClock(), httpx.MockTransport(handler))


def ask(tmp_path, handler, **options):
    settings = {
        "base_url": "http://sis.example/api",
        "path": "/changes",
        "cursor": "n",
        "records": "items",
    }

    async def story():
        source = HttpPoll(
            PollOptions.model_validate(settings | options), context(tmp_path, handler)
        )
        try:
            return await source.page(None)
        finally:
            await source.close()

    return asyncio.run(story())


def push(tmp_path, handler, batch):
    async def story():
        sink = HttpPush(
            PushOptions(base_url="http://sis.example", path="/inbox"), context(tmp_path, handler)
        )
        try:
            return await sink.apply(batch)
        finally:
            await sink.close()

    return asyncio.run(story())


def deliveries(count):
    records = [their_request(number) for number in range(1, count + 1)]
    return [Delivery("event", r.EVENT, r.envelope.event_id, n, r) for n, r in enumerate(records, 1)]


@pytest.mark.parametrize(
    ("response", "error", "said"),
    [
        (httpx.Response(500, text="Traceback"), Transient, "status 500"),
        (
            httpx.Response(200, html="<html>Please log in"),
            Transient,
            "first: '<html>Please log in'",
        ),
        (httpx.Response(200, json=[]), Transient, "wanted a list"),
        (httpx.Response(302, headers={"location": "/login"}), ConfigError, "redirects to /login"),
        (httpx.Response(401), NoPermission, "refuses our credentials"),
        (httpx.Response(404), ConfigError, "correct base_url and path"),
        (httpx.Response(429, headers={"retry-after": "30"}), RetryLater, "a pause of 30 s"),
        (
            httpx.Response(503, headers={"retry-after": "Tue, 01 Sep 2026 00:01:00 GMT"}),
            RetryLater,
            "a pause of 60 s",
        ),
    ],
)
def test_a_bad_answer_says_what_it_was_and_what_to_do(tmp_path, response, error, said):
    """The reader sits at the campus and has never seen this code."""
    with pytest.raises(error) as caught:
        ask(tmp_path, lambda _: response)
    assert said in str(caught.value)
    assert "/changes" in str(caught.value)


def test_half_an_answer_is_not_shown(tmp_path):
    """It is a student's record that broke off, and messages end up in logs."""
    half = httpx.Response(200, content=b'{"items": [{"name": "Wang', headers={"content-type": "application/json"})  # fmt: skip
    with pytest.raises(Transient, match="not JSON") as caught:
        ask(tmp_path, lambda _: half)
    assert "Wang" not in str(caught.value)
    assert "25 bytes" in str(caught.value)


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ("none", None),
        ({"type": "bearer", "token": "t"}, "Bearer t"),
        ({"type": "basic", "username": "u", "password": "p"}, "Basic dTpw"),
    ],
)
def test_credentials_are_sent_as_configured(tmp_path, auth, header):
    """Three ways cover what campuses have today."""
    seen = []
    ask(tmp_path, lambda r: seen.append(r) or httpx.Response(200, json={"items": []}), auth=auth)
    assert seen[0].headers.get("authorization") == header


def test_an_api_that_says_more_but_does_not_move_is_not_asked_in_a_circle(tmp_path):
    """A wrong `cursor` would otherwise ask forever without a pause."""
    with pytest.raises(Transient, match="the cursor stays"):
        ask(tmp_path, lambda _: httpx.Response(200, json={"items": [], "m": True}), more="m")


def test_the_same_batch_has_the_same_key_and_another_batch_another():
    """After a timeout the campus may have taken it; the key lets it recognize the repeat."""
    batch = deliveries(3)
    assert idempotency_key(batch) == idempotency_key(list(batch))
    assert len({idempotency_key(batch[:n]) for n in (1, 2, 3)}) == 3


def test_a_batch_refused_as_a_whole_is_halved_until_the_poison_stands_alone(tmp_path):
    """Strict systems refuse a hundred good items for one bad one. Order is kept."""
    batch = deliveries(8)
    order = []

    def campus(request):
        ids = [item["eventId"] for item in json.loads(request.content)["items"]]
        if batch[5].event_id in ids:
            return httpx.Response(422, json={})
        order.extend(ids)
        return httpx.Response(
            200, json={"results": [{"eventId": i, "status": "applied"} for i in ids]}
        )

    verdicts = push(tmp_path, campus, batch)
    assert [type(verdict) for verdict in verdicts] == [Applied] * 5 + [Rejected] + [Applied] * 2
    assert order == [d.event_id for d in batch if d is not batch[5]]


def test_a_system_that_refuses_everything_gets_nothing_parked(tmp_path):
    """After a botched upgrade over there, parking a term's enrollments would be the wrong answer."""
    with pytest.raises(Transient, match="refuses each of 6 items"):
        push(tmp_path, lambda _: httpx.Response(400, json={}), deliveries(6))


@pytest.mark.parametrize(
    "results", [[], [{"eventId": "another", "status": "applied"}], "ok", [None]]
)
def test_an_answer_that_does_not_fit_the_batch_counts_as_unknown(tmp_path, results):
    """Unknown means: the same again, never: done."""
    with pytest.raises(Transient):
        push(tmp_path, lambda _: httpx.Response(200, json={"results": results}), deliveries(1))
