"""webhook_in and its signatures: who may leave a message, what is on disk before 2xx, and a real server."""

import asyncio
import json
import socket
import sqlite3
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import ValidationError

from connectors.http_push.kind import HttpPush, PushOptions
from connectors.sdk.contract import Applied, ConfigError, Context, Delivery, RetryLater
from connectors.sdk.mapping.expressions import compile_path
from connectors.sdk.memory import SeenMemory
from connectors.sdk.state.file import State
from connectors.sdk.testing import FakeClock, their_request
from connectors.sdk.webhooks import (
    Doubtful,
    Genuine,
    secret_bytes,
    signature,
    signed_headers,
    verify,
)
from connectors.webhook_in.conformance import SECRET as WORD
from connectors.webhook_in.conformance import post
from connectors.webhook_in.door import Door, Rules
from connectors.webhook_in.kind import WebhookIn, WebhookOptions
from connectors.webhook_in.spool import Message, Spool, Taken

KEY = secret_bytes(WORD)
NOW = datetime(2026, 9, 1, tzinfo=UTC)
BODY = b'{"id": "course-1", "n": 1}'


# Signatures --------------------------------------------------------------------------------------------------------


def test_signatures_are_those_of_other_implementations():
    """The vector of the reference libraries: https://github.com/standard-webhooks/standard-webhooks, libraries."""
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signed_message_is_genuine_by_any_of_our_secrets():
    """While a secret is changed over, senders have the old one or the new one."""
    other = secret_bytes("whsec_" + "bmV3IHNlY3JldCBvZiBhIHRlc3QsIGxvbmc=")
    headers = signed_headers([KEY], "msg_1", NOW, BODY)
    assert verify(headers, BODY, [other, KEY], NOW) == Genuine("msg_1", int(NOW.timestamp()))
    both = signed_headers([other, KEY], "msg_1", NOW, BODY)
    assert isinstance(verify(both, BODY, [KEY], NOW), Genuine)
    assert isinstance(verify(headers, BODY, [other], NOW), Doubtful)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"webhook-id": "msg_2"}, "none is by a secret"),
        ({"webhook-timestamp": "1788220801"}, "none is by a secret"),
        ({"webhook-signature": "v1,AAAA"}, "none is by a secret"),
        ({"webhook-signature": "v1a,AAAA v2,BBBB"}, "none is by a secret"),
        ({"webhook-signature": "v1,ü"}, "none is by a secret"),
        ({"webhook-signature": ""}, "no header webhook-signature"),
        ({"webhook-id": ""}, "no header webhook-id"),
        ({"webhook-id": "a.b"}, "without a full stop"),
        ({"webhook-timestamp": "soon"}, "whole seconds"),
        ({"webhook-timestamp": "-5"}, "whole seconds"),
    ],
)
def test_a_message_changed_anywhere_is_refused(change, said):
    """Whoever has no secret can change neither id, time nor body."""
    headers = signed_headers([KEY], "msg_1", NOW, BODY) | change
    found = verify(headers, BODY, [KEY], NOW)
    assert isinstance(found, Doubtful)
    assert said in found.reason
    assert found.skew_s is None


def test_another_body_is_refused():
    """Spaces count, too: what is signed is what was sent."""
    headers = signed_headers([KEY], "msg_1", NOW, BODY)
    assert isinstance(verify(headers, BODY + b" ", [KEY], NOW), Doubtful)


@pytest.mark.parametrize(
    ("off_s", "side"), [(-3600, "3600 s behind"), (301, "301 s ahead of"), (299, ""), (-300, "")]
)
def test_a_clock_that_is_off_is_refused_with_the_skew(off_s, side):
    """An old message sent again looks the same as a wrong clock; the sender is told by how much."""
    headers = signed_headers([KEY], "msg_1", NOW + timedelta(seconds=off_s), BODY)
    found = verify(headers, BODY, [KEY], NOW)
    if side:
        assert side in found.reason
        assert found.skew_s == off_s
    else:
        assert isinstance(found, Genuine)


@pytest.mark.parametrize("text", ["whsec_", "whsec_c2hvcnQ=", "whsec_ä", "whsec_" + "A" * 100])
def test_a_secret_that_is_none_is_refused_without_showing_it(text):
    """24 to 64 bytes, by the specification; the words go to a terminal."""
    with pytest.raises(ValueError, match="webhook secret") as caught:
        secret_bytes(text)
    assert text.removeprefix("whsec_") == "" or text not in str(caught.value)


# The door ----------------------------------------------------------------------------------------------------------


def door_of(tmp_path, records="@", **changes):
    rules = {
        "path": "/webhooks",
        "keys": [KEY],
        "tolerance_s": 300,
        "max_bytes": 2048,
        "max_waiting": 100,
        "records": compile_path(records),
    }
    return Door(Rules(**rules | changes), Spool(tmp_path / "spool.db", 1), FakeClock())


def signed(number=1, body=BODY, off_s=0):
    return signed_headers([KEY], f"msg_{number}", NOW + timedelta(seconds=off_s), body)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (BODY, signed(), 200),
        (BODY, {}, 401),
        (BODY, signed(off_s=3600), 401),
        (b'{"id": ', signed(body=b'{"id": '), 400),
        (b"[" * 2000, signed(body=b"[" * 2000), 400),
        (b"17", signed(body=b"17"), 422),
        (b"x" * 2049, signed(body=b"x" * 2049), 413),
        (b"{}", signed(body=b"{}") | {"content-length": "99999"}, 413),
    ],
)
def test_each_message_is_answered_by_what_it_is(tmp_path, body, headers, status):
    """Senders repeat what is not 2xx, so only what is on disk is; and what is not genuine is never read as JSON."""

    async def story():
        door = door_of(tmp_path)
        assert await post(door, body, headers) == status
        assert door.spool.count() == (status == 200)

    asyncio.run(story())


def test_other_paths_and_methods_are_turned_away(tmp_path):
    """The words name the right ones."""

    async def story():
        assert await post(door_of(tmp_path), BODY, signed(), path="/other") == 404

    asyncio.run(story())


def test_a_message_sent_again_is_known_and_stored_once(tmp_path):
    """Its first 2xx may have been lost."""

    async def story():
        door = door_of(tmp_path)
        assert [await post(door, BODY, signed()) for _ in range(3)] == [200] * 3
        assert door.spool.count() == 1

    asyncio.run(story())


def test_many_at_once_are_stored_in_one_commit_and_none_is_lost(tmp_path):
    """A bulk job at the campus sends hundreds in a second; each commit waits for the disk."""

    async def story():
        door = door_of(tmp_path)
        commits = []
        door.spool._db.set_trace_callback(
            lambda sql: commits.append(sql) if sql == "COMMIT" else None
        )
        found = await asyncio.gather(*(post(door, BODY, signed(n)) for n in range(50)))
        assert found == [200] * 50
        assert door.spool.count() == 50
        assert len(commits) == 1

    asyncio.run(story())


def test_a_full_spool_turns_new_messages_away_and_knows_old_ones(tmp_path):
    """The sender keeps them and comes again; nothing is accepted that has no place."""

    async def story():
        door = door_of(tmp_path, max_waiting=3)
        found = await asyncio.gather(*(post(door, BODY, signed(n)) for n in range(5)))
        assert sorted(found) == [200, 200, 200, 503, 503]
        assert await post(door, BODY, signed(0)) == 200
        assert "3 messages wait" in door.concern

    asyncio.run(story())


def test_a_disk_that_fails_accepts_nothing(tmp_path):
    """2xx means that it is on disk."""

    async def story():
        door = door_of(tmp_path)
        door.spool._db.execute("DROP TABLE waiting")
        assert await post(door, BODY, signed()) == 503
        known = door.spool._db.execute("SELECT count(*) FROM known").fetchone()
        assert known == (0,)
        assert "make room" in door.concern

    asyncio.run(story())


def test_a_sender_that_leaves_in_the_middle_leaves_nothing(tmp_path):
    """Half a message is none."""

    async def story():
        door, sent = door_of(tmp_path), []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await door({"type": "http", "path": "/webhooks", "method": "POST", "headers": []}, receive, send)  # fmt: skip
        assert sent == []
        assert door.spool.count() == 0

    asyncio.run(story())


# The spool ---------------------------------------------------------------------------------------------------------


def message(number, at_ms=1000):
    return Message(f"msg_{number}", 1, at_ms, BODY)


def test_messages_stay_in_order_and_leave_when_their_page_is_stored(tmp_path):
    """Until then a crash must find them again."""
    spool = Spool(tmp_path / "s.db", 7)
    assert spool.accept([message(n) for n in range(3)], 10) == [Taken.STORED] * 3
    spool.close()
    spool = Spool(tmp_path / "s.db", 8)
    found = spool.after(None, 10)
    assert [m.webhook_id for _, m in found] == ["msg_0", "msg_1", "msg_2"]
    assert [m.webhook_id for _, m in spool.after(found[0][0], 1)] == ["msg_1"]
    spool.forget(found[1][0], 0)
    assert [m.webhook_id for _, m in spool.after(None, 10)] == ["msg_2"]
    assert spool.accept([message(0)], 10) == [Taken.KNOWN]


def test_ids_are_forgotten_after_their_time(tmp_path):
    """The file must not grow for years; a signature is too old by then anyhow."""
    spool = Spool(tmp_path / "s.db", 7)
    spool.accept([message(1, at_ms=1000), message(2, at_ms=2000)], 10)
    spool.forget("", 1500)
    assert spool.accept([message(1), message(2)], 10) == [Taken.STORED, Taken.KNOWN]


def test_a_spool_that_was_lost_does_not_hide_messages_behind_an_old_cursor(tmp_path):
    """A new file counts from 1 again, and the stored cursor may be far beyond."""
    old = Spool(tmp_path / "old.db", 7)
    old.accept([message(n) for n in range(5)], 10)
    far = old.after(None, 10)[-1][0]
    new = Spool(tmp_path / "new.db", 8)
    new.accept([message(9)], 10)
    assert [m.webhook_id for _, m in new.after(far, 10)] == ["msg_9"]
    new.forget(far, 0)
    assert new.count() == 1


def test_numbers_are_never_used_again(tmp_path):
    """An emptied spool goes on counting, or the cursor would hide the next message."""
    spool = Spool(tmp_path / "s.db", 7)
    spool.accept([message(1)], 10)
    (first,) = spool.after(None, 10)
    spool.forget(first[0], 0)
    spool.close()
    spool = Spool(tmp_path / "s.db", 7)
    spool.accept([message(2)], 10)
    assert [m.webhook_id for _, m in spool.after(first[0], 10)] == ["msg_2"]


# The source --------------------------------------------------------------------------------------------------------


class Silent:
    """A stand that leaves the door to the test."""

    def __init__(self):
        self.door = None
        self.ended = 0

    def serve(self, app):
        self.door = app

        async def end():
            self.ended += 1

        return end


def source_of(tmp_path, transport=None, remembers=True, clock=None, **options):
    memory = None
    if remembers:
        path = tmp_path / "state.db"
        memory = SeenMemory(State(path), "campus", path)
    settings = {"listen": "127.0.0.1:1", "secrets": [WORD]} | options
    context = Context(tmp_path, "10611", "campus", clock or FakeClock(), transport, memory)
    return WebhookIn(WebhookOptions.model_validate(settings), context)


def test_records_of_a_batch_are_items_each_with_an_id_of_its_own(tmp_path):
    """Sent again it has the same ids, so the ledger knows it."""

    async def story():
        stand = Silent()
        source = source_of(tmp_path, stand, records="data.items", key="student.id")
        assert (await source.page(None)).items == []
        body = json.dumps({"data": {"items": [{"student": {"id": 7}}, {"x": 1}, 5]}}).encode()
        assert await post(stand.door, body, signed(body=body)) == 200
        page = await source.page("")
        assert [item.key for item in page.items] == ["7", None, None]
        ids = [item.data["_webhook"]["eventId"] for item in page.items[:2]]
        assert len(set(ids)) == 2
        assert page.items[0].data["_webhook"]["id"] == "msg_1"
        assert page.items[2].data == 5
        again = await source.page("")
        assert again == page
        await source.ack(page.cursor)
        assert (await source.page(page.cursor)).items == []
        await source.close()
        assert stand.ended == 1

    asyncio.run(story())


def test_a_body_without_the_list_is_refused_and_shown_to_our_operators(tmp_path):
    """Most likely `records` is wrong; the sender keeps the message until it is corrected."""

    async def story():
        stand = Silent()
        source = source_of(tmp_path, stand, records="data.items")
        await source.page(None)
        assert await post(stand.door, BODY, signed()) == 422
        with pytest.raises(RetryLater, match="correct records"):
            await source.page("")
        assert (await source.page("")).items == []

    asyncio.run(story())


def test_a_stored_message_that_does_not_come_apart_any_more_stays_whole(tmp_path):
    """`records` was changed while it waited: it is parked with a reason, not dropped."""

    async def story():
        stand = Silent()
        source = source_of(tmp_path, stand)
        await source.page(None)
        await post(stand.door, BODY, signed())
        await source.close()
        changed = source_of(tmp_path, stand, records="data.items")
        (item,) = (await changed.page("")).items
        assert item.data["id"] == "course-1"

    asyncio.run(story())


def test_a_clock_an_hour_off_is_shown_for_a_while_and_the_rest_flows(tmp_path):
    """Senders cannot tell our operators themselves; a word now and then is enough."""

    async def story():
        stand = Silent()
        source = source_of(tmp_path, stand)
        await source.page(None)
        assert await post(stand.door, BODY, signed(1, off_s=3600)) == 401
        with pytest.raises(RetryLater, match="3600 s ahead of our clock") as caught:
            await source.page("")
        assert caught.value.after_s <= 10
        assert await post(stand.door, BODY, signed(2, off_s=3600)) == 401
        assert await post(stand.door, BODY, signed(3)) == 200
        assert len((await source.page("")).items) == 1

    asyncio.run(story())


def test_forged_messages_worry_nobody(tmp_path):
    """Anyone can send them; were they shown, anyone could make the connector look unwell."""

    async def story():
        stand = Silent()
        source = source_of(tmp_path, stand)
        await source.page(None)
        for headers in ({}, signed() | {"webhook-signature": "v1,AAAA"}):
            assert await post(stand.door, BODY, headers) == 401
        assert stand.door.concern == ""

    asyncio.run(story())


def test_check_and_dry_run_listen_to_nothing(tmp_path):
    """The connector may be running, with the address in use."""

    async def story():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            source = source_of(tmp_path, remembers=False, listen=listen)
            assert (await source.page(None)).items == []
            assert "0 messages wait" in await source.check()
            assert not (tmp_path / "campus.spool.db").exists()
            spool = Spool(tmp_path / "campus.spool.db", 1)
            spool.accept([message(1)], 10)
            assert len((await source.page(None)).items) == 1
            assert "1 messages wait" in await source.check()
            with pytest.raises(ConfigError, match="name a free port"):
                await source_of(tmp_path, listen=listen).page(None)

    asyncio.run(story())


@pytest.mark.parametrize("name", ["listen", "secrets", "path", "records"])
def test_options_that_cannot_work_are_found_by_lint(name):
    """A secret that is no secret is refused without repeating it."""
    wrong = {"listen": "8090", "secrets": ["whsec_c2hvcnQ="], "path": "hooks", "records": "["}
    good = {"listen": "127.0.0.1:8090", "secrets": [WORD]}
    with pytest.raises(ValidationError) as caught:
        WebhookOptions.model_validate(good | {name: wrong[name]})
    assert {fault["loc"][0] for fault in caught.value.errors()} == {name}
    assert "c2hvcnQ" not in str([fault.get("ctx") for fault in caught.value.errors()])


def test_over_a_real_socket_what_was_answered_200_outlives_the_process(tmp_path):
    """The whole way: a server, a client, many at once, an end without warning, the next start."""

    async def story():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        source = source_of(tmp_path, listen=f"127.0.0.1:{port}", path="/hooks", max_bytes=4096)
        await source.page(None)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20
        ) as sender:
            answers = await asyncio.gather(
                *(sender.post("/hooks", content=BODY, headers=signed(n)) for n in range(40))
            )
            assert [answer.status_code for answer in answers] == [200] * 40
            large = await sender.post("/hooks", content=b"x" * 5000, headers=signed())
            assert large.status_code == 413
            refused = await sender.get("/hooks")
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
            late = await sender.post("/hooks", content=BODY, headers=signed(99, off_s=-3600))
            assert late.status_code == 401
            assert "3600 s behind our clock" in late.json()["message"]
            other = source_of(tmp_path, listen=f"127.0.0.1:{port}")
            await other.page("")  # a backfill in this process: reads, and does not listen again
            await other.close()
            assert (
                await sender.post("/hooks", content=BODY, headers=signed(40))
            ).status_code == 200
        await source.close()
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection("127.0.0.1", port)
        again = source_of(tmp_path, Silent())
        page = await again.page("")
        names = {item.data["_webhook"]["id"] for item in page.items}
        assert names == {f"msg_{n}" for n in range(41)}
        await again.close()

    asyncio.run(story())


def test_what_http_push_signs_webhook_in_takes(tmp_path):
    """Two connectors can be each other's campus; a repeat after a lost answer is stored once."""

    async def story():
        stand = Silent()
        source = source_of(tmp_path, stand, key="record.enrollment_id")
        await source.page(None)
        options = PushOptions(
            base_url="http://other.example", path="/webhooks", form="single", sign={"secret": WORD}
        )
        transport = httpx.ASGITransport(app=stand.door)
        sink = HttpPush(options, Context(tmp_path, "10610", "lms", FakeClock(), transport))
        record = their_request(1)
        one = Delivery("event", record.EVENT, record.envelope.event_id, 1, record)
        for _ in range(2):
            assert await sink.apply([one]) == [Applied()]
        (item,) = (await source.page("")).items
        assert item.key == "enrollment-1"
        assert {k: v for k, v in item.data.items() if k != "_webhook"} == one.to_json()
        await sink.close()
        await source.close()

    asyncio.run(story())


def test_without_its_server_the_kind_says_what_to_install(tmp_path, monkeypatch):
    """A campus installs no server unless it takes webhooks."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"pip install 'alliance-hub\[sandbox\]'"):
        asyncio.run(source_of(tmp_path).check())


def test_a_reader_of_the_spool_does_not_disturb_its_writer(tmp_path):
    """`status` and dry runs look while messages come in."""
    writer = Spool(tmp_path / "s.db", 1)
    reader = Spool(tmp_path / "s.db", 0, readonly=True)
    writer.accept([message(1)], 10)
    assert reader.count() == 1
    with pytest.raises(sqlite3.OperationalError):
        reader.accept([message(2)], 10)
