"""The HTTP client of the kinds: credentials, tokens, limits, the breaker, and what may be shown of them."""

import asyncio
import base64
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from connectors.sdk.contract import ConfigError, NoPermission, RetryLater, Transient
from connectors.sdk.http import (
    Auth,
    Breaker,
    BreakerTable,
    Budget,
    JsonClient,
    NoAuth,
    Rate,
    Refused,
    Respond,
    plain_url,
)
from connectors.sdk.http.answers import retry_after_s
from connectors.sdk.http.budget import remaining
from connectors.sdk.testing import FakeClock

HIDDEN = "s3cr3t-w0rd"
OAUTH = {
    "type": "oauth2_client_credentials",
    "token_url": "https://sis.example/token",
    "client_id": "hub:1",
    "client_secret": HIDDEN,
}


def auth_of(table):
    return TypeAdapter(Auth).validate_python(table)


def client(handler, clock=None, auth="none", **options):
    return JsonClient(
        "https://sis.example/api",
        timeout_s=5,
        auth=auth_of(auth),
        transport=httpx.MockTransport(handler),
        clock=clock or FakeClock(),
        **options,
    )


class Campus:
    """An API behind a token endpoint. Each token is good for `uses` answers."""

    def __init__(self, uses=1000, expires_in=3600):
        self.uses, self.expires_in = uses, expires_in
        self.tokens, self.asked, self.token_requests = 0, [], []

    def __call__(self, request):
        if request.url.path == "/token":
            self.tokens += 1
            self.left = self.uses
            self.token_requests.append(request)
            body = {"access_token": f"t{self.tokens}", "expires_in": self.expires_in}
            return httpx.Response(200, json=body)
        self.asked.append(request)
        self.left -= 1
        good = request.headers["authorization"] == f"Bearer t{self.tokens}" and self.left >= 0
        return httpx.Response(200, json={}) if good else httpx.Response(401, json={})


def test_an_api_key_goes_where_it_is_wanted_and_is_never_shown():
    """Keys in URLs are common, and URLs end up in logs and heartbeats."""

    async def story():
        seen = []

        def campus(request):
            seen.append(request)
            return httpx.Response(500, json={})

        for place in ("header", "query"):
            table = {"type": "api_key", "in": place, "name": "key", "key": HIDDEN}
            api = client(campus, auth=table)
            with pytest.raises(Transient) as caught:
                await api.request("GET", "/list", params={"page": "1"})
            assert HIDDEN not in str(caught.value)
        assert seen[0].headers["key"] == HIDDEN
        assert dict(seen[1].url.params) == {"page": "1", "key": HIDDEN}
        assert api.without_key(f"https://sis.example/a?key={HIDDEN}&page=2").endswith("/a?page=2")

    asyncio.run(story())


def test_a_token_is_fetched_once_and_kept_until_shortly_before_its_end():
    """A token for each request would double the load of a campus's login service."""

    async def story():
        campus, clock = Campus(), FakeClock()
        api = client(campus, clock, OAUTH)
        for _ in range(3):
            await api.request("GET", "/list")
        assert campus.tokens == 1
        waiting = asyncio.ensure_future(clock.sleep(3600 - 29))
        await clock.until(waiting.done, 4000)
        await api.request("GET", "/list")
        assert campus.tokens == 2

    asyncio.run(story())


def test_a_token_that_expires_between_two_pages_is_renewed_once_and_the_page_asked_again():
    """Long readings outlive tokens."""

    async def story():
        campus = Campus(uses=2)
        api = client(campus, auth=OAUTH)
        for page in range(5):
            await api.request("GET", "/list", params={"page": str(page)})
        answered = [r.url.params["page"] for r in campus.asked]
        assert answered == ["0", "1", "2", "2", "3", "4", "4"]
        assert campus.tokens == 3

    asyncio.run(story())


def test_requests_side_by_side_renew_a_token_once():
    """Eight deliveries at once must not ask for eight tokens, of which a login service keeps the last."""

    async def story():
        campus = Campus()
        api = client(campus, auth=OAUTH)
        await asyncio.gather(*(api.request("GET", "/list") for _ in range(8)))
        assert campus.tokens == 1
        campus.tokens = 5  # whatever was given out is void now
        await asyncio.gather(*(api.request("GET", "/list") for _ in range(8)))
        assert campus.tokens == 6

    asyncio.run(story())


def test_a_fresh_token_that_is_refused_needs_a_person():
    """Renewing on and on would hide that access was taken away."""

    async def story():
        campus = Campus(uses=0)
        with pytest.raises(NoPermission, match="refuses our credentials"):
            await client(campus, auth=OAUTH).request("GET", "/list")
        assert campus.tokens == 2

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (httpx.Response(503, json={}), Transient, "status 503"),
        (httpx.Response(400, json={"error": "invalid_client"}), NoPermission, "invalid_client"),
        (httpx.Response(400, json={"error": f"bad {HIDDEN}"}), NoPermission, "no reason that we"),
        (httpx.Response(401, json={}), NoPermission, "refuses our client"),
        (httpx.Response(404, json={}), ConfigError, "correct token_url"),
        (httpx.Response(200, html="<html>log in"), Transient, "no access_token"),
    ],
)
def test_a_token_endpoint_that_is_down_is_asked_again_and_one_that_refuses_needs_a_person(
    answer, error, said
):
    """The two look alike from afar, and only one mends itself."""

    async def story():
        with pytest.raises(error, match=said) as caught:
            await client(lambda _: answer, auth=OAUTH).request("GET", "/list")
        assert HIDDEN not in str(caught.value)
        assert type(caught.value) is error

    asyncio.run(story())


@pytest.mark.parametrize("way", ["basic", "body"])
def test_the_client_proves_itself_as_configured(way):
    """RFC 6749, 2.3.1: each part is form-encoded before Basic, so a colon in an id splits nothing."""

    async def story():
        campus = Campus()
        table = {**OAUTH, "client_auth": way, "scope": "read"}
        await client(campus, auth=table).request("GET", "/list")
        (request,) = campus.token_requests
        form = dict(httpx.QueryParams(request.content.decode()))
        assert (form["grant_type"], form["scope"]) == ("client_credentials", "read")
        if way == "basic":
            pair = base64.b64decode(request.headers["authorization"].split()[1]).decode()
            assert pair == f"hub%3A1:{HIDDEN}"
            assert HIDDEN not in request.content.decode()
        else:
            assert (form["client_id"], form["client_secret"]) == ("hub:1", HIDDEN)

    asyncio.run(story())


def test_a_number_as_a_secret_is_taken_and_not_shown():
    """A refused value would stand in the message of the refusal."""
    assert auth_of({"type": "bearer", "token": 123}).token.get_secret_value() == "123"
    with pytest.raises(ValidationError):
        auth_of({"type": "bearer"})


def test_urls_are_shown_without_query_fragment_and_credentials():
    """Any of the three may hold a key."""
    assert plain_url("https://me:pw@sis.example:8443/a/b?key=1#x") == "https://sis.example:8443/a/b"


# Limits ------------------------------------------------------------------------------------------------------------


def test_no_window_holds_more_calls_than_allowed():
    """A campus counts windows, too, and answers 429 to whoever lets twice the calls through at their seam."""
    budget = Budget([Rate(calls=3, per_s=10), Rate(calls=4, per_s=100)])
    assert [budget.wait_s(t) for t in (0, 4, 9)] == [0, 0, 0]
    assert budget.wait_s(9) == 1
    assert budget.wait_s(10) == 0
    assert budget.wait_s(50) == 50
    assert "4 calls in 100 s" in budget.spent(50)


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit-remaining": "0", "ratelimit-reset": "7"},
        {"ratelimit": '"default";r=0;t=7'},
    ],
)
def test_what_a_campus_says_is_left_is_heeded_before_it_says_429(headers):
    """Both forms of the draft are in use."""
    budget = Budget([])
    budget.hear(headers, 100.0)
    assert budget.wait_s(102.0) == 5
    assert budget.wait_s(107.0) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit-remaining": "3", "ratelimit-reset": "7"},
        {"ratelimit-remaining": "0", "ratelimit-reset": "1790000000"},
        {"ratelimit-remaining": "none", "ratelimit-reset": "soon"},
    ],
)
def test_an_unclear_word_about_what_is_left_stops_nothing(headers):
    """Some write a time of day where seconds belong; waiting for 57 years helps nobody."""
    budget = Budget([])
    budget.hear(headers, 0.0)
    assert budget.wait_s(0.0) == 0
    assert remaining({"ratelimit": "r=0"}) == (None, None)


def test_a_short_pause_is_waited_out_and_a_long_one_is_told():
    """Operators see why nothing moves; the campus sees no request too many."""

    async def story():
        asked = []
        clock = FakeClock()
        api = client(
            lambda r: asked.append(r) or httpx.Response(200, json={}),
            clock,
            rates=[Rate(calls=2, per_s=4), Rate(calls=3, per_s=1000)],
        )

        async def three():
            for _ in range(3):
                await api.request("GET", "/list")

        running = asyncio.ensure_future(three())
        assert await clock.until(running.done)
        assert clock.monotonic() == 4
        with pytest.raises(RetryLater, match="our own limit of 3 calls in 1000 s") as caught:
            await api.request("GET", "/list")
        assert caught.value.after_s == 996
        assert len(asked) == 3

    asyncio.run(story())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 5 ", 5),
        ("Tue, 01 Sep 2026 00:01:00 GMT", 60),
        ("Mon, 31 Aug 2026 00:00:00 GMT", 0),
        ("99999999", 86_400),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Tue, 01 Sep 2026 00:01:00 -0000", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """RFC 9110, 10.2.3; what is neither is as if it were not there."""
    assert retry_after_s(value, datetime(2026, 9, 1, tzinfo=UTC)) == seconds


# Breaker -----------------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_and_then_lets_one_probe_through():
    """A system that comes up again is not trampled on."""
    breaker = Breaker(BreakerTable(open_after=2, probe_s=30))
    assert breaker.wait_s(0) == 0
    breaker.failed(0)
    breaker.succeeded()
    for now in (1, 2):
        assert breaker.wait_s(now) == 0
        breaker.failed(now)
    assert breaker.wait_s(10) == 22
    assert breaker.wait_s(32) == 0
    assert breaker.probing
    breaker.failed(33)
    assert breaker.wait_s(40) == 23
    assert breaker.wait_s(63) == 0
    breaker.succeeded()
    assert breaker.wait_s(64) == 0
    assert not breaker.probing


def test_a_probe_that_is_given_up_makes_room_for_the_next():
    """A cancelled probe must not keep the breaker open for good."""
    breaker = Breaker(BreakerTable(open_after=1, probe_s=5))
    breaker.failed(0)
    assert breaker.wait_s(5) == 0
    breaker.given_up()
    assert breaker.wait_s(5) == 0


def test_a_storm_of_500_costs_the_campus_few_requests_and_says_until_when():
    """The reason of the pause stands in the heartbeat."""

    async def story():
        asked = []
        api = client(
            lambda r: asked.append(r) or httpx.Response(500, json={}),
            breaker=BreakerTable(open_after=3, probe_s=30),
        )
        for _ in range(3):
            with pytest.raises(Transient, match="status 500"):
                await api.request("GET", "/list")
        with pytest.raises(
            RetryLater, match=r"until 00:00:30Z after 3 failures .*: status 500"
        ) as e:
            await api.request("GET", "/list")
        assert e.value.after_s == 30
        assert len(asked) == 3

    asyncio.run(story())


def test_whoever_asks_while_a_probe_is_under_way_goes_by_its_outcome():
    """The rest of a batch need not wait for another half minute when the campus is back."""

    async def story():
        clock, status, asked = FakeClock(), [500], []

        def campus(request):
            asked.append(request)
            return httpx.Response(status[0], json={})

        api = client(campus, clock, breaker=BreakerTable(open_after=1, probe_s=30))
        with pytest.raises(Transient):
            await api.request("GET", "/list")
        pause = asyncio.ensure_future(clock.sleep(30))
        await clock.until(pause.done)
        again = await asyncio.gather(
            *(api.request("GET", "/list") for _ in range(4)), return_exceptions=True
        )
        assert len(asked) == 2
        assert all(isinstance(one, Transient) for one in again)
        pause = asyncio.ensure_future(clock.sleep(30))
        await clock.until(pause.done)
        status[0] = 200
        await asyncio.gather(*(api.request("GET", "/list") for _ in range(4)))
        assert len(asked) == 6

    asyncio.run(story())


@pytest.mark.parametrize("status", [401, 404, 422, 429])
def test_a_system_that_answers_is_not_broken_whatever_it_answers(status):
    """The breaker is for systems that are down; what is wrong with us, it would only hide."""

    async def story():
        asked = []
        api = client(
            lambda r: asked.append(r) or httpx.Response(status, json={}),
            breaker=BreakerTable(open_after=1),
        )
        for _ in range(3):
            with pytest.raises((Transient, ConfigError, Refused)):
                await api.request("GET", "/list")
        assert len(asked) == 3

    asyncio.run(story())


# What statuses mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "respond", "error"),
    [
        (404, {"retry_on": [404]}, Transient),
        (500, {"fail_on": ["5xx"]}, ConfigError),
        (403, {"retry_on": ["4xx"]}, Transient),
        (403, {"retry_on": ["4xx"], "fail_on": [403]}, ConfigError),
        (418, {"backoff_on": [418]}, RetryLater),
    ],
)
def test_a_campus_s_own_meaning_of_a_status_counts(status, respond, error):
    """Systems say 404 for `not yet` and 200 for nothing; one status outweighs its class."""

    async def story():
        reply = httpx.Response(status, headers={"retry-after": "3"}, json={})
        api = client(lambda _: reply, respond=Respond(**respond))
        with pytest.raises(error) as caught:
            await api.request("GET", "/list")
        assert type(caught.value) is error

    asyncio.run(story())


def test_an_answer_to_be_ignored_is_an_empty_one():
    """An API that says 404 for an empty list is not out of order."""

    async def story():
        api = client(lambda _: httpx.Response(404), respond=Respond(ignore_on=[404]))
        answer = await api.request("GET", "/list")
        assert answer.ignored
        assert answer.data is None

    asyncio.run(story())


def test_a_status_that_is_none_is_refused_by_lint():
    """A typing error there would be found in the first storm only."""
    with pytest.raises(ValidationError, match='found 1000; write statuses such as 429 or "5xx"'):
        Respond(retry_on=[1000])


@pytest.mark.parametrize("url", ["sis.example", "ftp://sis.example", "http://", "https://h:port/"])
def test_an_address_that_is_no_url_is_refused_by_lint(url):
    """Before the first request, with the words of the setting."""
    from connectors.http_poll.kind import PollOptions

    with pytest.raises(ValidationError, match="base_url"):
        PollOptions(base_url=url, path="/x", cursor="n")


def test_a_redirect_s_target_is_shown_without_its_query():
    """Login pages put tokens there."""

    async def story():
        reply = httpx.Response(302, headers={"location": f"/login?state={HIDDEN}"})
        with pytest.raises(ConfigError, match="redirects to /login;") as caught:
            await client(lambda _: reply).request("GET", "/list")
        assert HIDDEN not in str(caught.value)

    asyncio.run(story())


def test_no_auth_is_the_default_and_may_be_written():
    """`auth = "none"` and no auth at all are one."""
    assert auth_of("none") == NoAuth()
