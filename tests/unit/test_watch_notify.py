"""News of alerts as it leaves the house: signed webhooks, mails people can read, and the command line around them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socketserver
import threading
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from typer.testing import CliRunner

from hub.errors import SettingsError
from hub.run import alerts_cli
from hub.watch.alert_settings import MailSettings, WebhookSettings, signing_key
from hub.watch.alert_store import Outgoing, open_alert_store
from hub.watch.alerts import Alert, Finding, Rule, State, step
from hub.watch.notify import (
    Mail,
    NotBrought,
    Webhook,
    deliver,
    mail_of,
    message_id,
    signature,
    when,
)

KEY = signing_key("whsec_" + base64.b64encode(b"a key of the test").decode())
HOOK = WebhookSettings("webhook.channel", "https://chat.example.edu/hook", KEY)
MAIL = MailSettings(
    "mail.it", "mail.example.edu", 587, "starttls", "hub@example.edu", ("it@example.edu",)
)


def news(code: str, state: State = State.FIRING, severity: str = "error") -> Outgoing:
    finding = Finding(code, "10611", severity, "No heartbeat", "For 4 min", "Ask the campus")
    over = 90_000 if state is State.RESOLVED else None
    return Outgoing(f"{code}.{state}", "n", Alert(finding, state, 0, 60_000, 60_000, over), 0, 0)


def test_a_signature_is_the_one_the_standard_gives() -> None:
    """The example of the Standard Webhooks specification, worked out by hand here with the standard library."""
    body = b'{"test": 2432232314}'
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == f"v1,{wanted}"
    assert wanted == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_signed_and_known_again() -> None:
    """Who gets it twice can tell by its id; who gets it from another can tell by its signature."""
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    hook = Webhook(HOOK, httpx.MockTransport(take))
    for _ in range(2):
        asyncio.run(hook.bring([news("CONNECTOR_SILENT"), news("DISK_LOW")], 100))
    first, second = seen
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] == signature(
        KEY, first.headers["webhook-id"], 100, first.content
    )
    said = json.loads(first.content)
    assert said["type"] == "alliance.alerts"
    assert [one["code"] for one in said["data"]["alerts"]] == ["CONNECTOR_SILENT", "DISK_LOW"]
    assert said["data"]["alerts"][0]["fired_at"] == "1970-01-01T00:01:00Z"


@pytest.mark.parametrize("status", [302, 400, 429, 500])
def test_what_is_not_taken_is_said(status: int) -> None:
    """Only a success takes the news; a redirect is not followed with it."""
    hook = Webhook(HOOK, httpx.MockTransport(lambda _request: httpx.Response(status)))
    with pytest.raises(NotBrought, match=f"webhook.channel: answered {status}"):
        asyncio.run(hook.bring([news("DISK_LOW")], 100))


def test_an_unreachable_hook_says_no_address() -> None:
    """The address of a hook is often its password."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("https://chat.example.edu/hook refused", request=request)

    with pytest.raises(NotBrought) as said:
        asyncio.run(Webhook(HOOK, httpx.MockTransport(fail)).bring([news("DISK_LOW")], 100))
    assert "chat.example.edu" not in str(said.value)


def test_a_mail_says_what_to_do_first() -> None:
    """Read on a phone at night: what fires before what is over, each with its next step."""
    mail = mail_of([news("DISK_LOW", State.RESOLVED), news("CONNECTOR_SILENT")], MAIL)
    assert mail["Subject"] == "[Alliance Hub] 1 firing, 1 resolved: No heartbeat"
    assert mail["To"] == "it@example.edu"
    text = mail.get_content()
    assert text.index("FIRING error CONNECTOR_SILENT 10611") < text.index("RESOLVED")
    assert text.count("Next: Ask the campus") == 1
    assert "over 1970-01-01T00:01:30Z" in text


def test_a_mail_server_that_refuses_is_no_crash() -> None:
    """It is tried again later, as a webhook is."""

    def refuse(_settings: MailSettings, _mail: EmailMessage) -> None:
        raise ConnectionRefusedError("connection refused")

    with pytest.raises(NotBrought, match=r"mail\.it: ConnectionRefusedError"):
        asyncio.run(Mail(MAIL, refuse).bring([news("DISK_LOW")], 100))


def test_ids_do_not_depend_on_the_order() -> None:
    """The database may give news in any order after a restart."""
    pair = [news("A"), news("B")]
    assert message_id(pair) == message_id(pair[::-1]) != message_id(pair[:1])


def test_a_secret_that_is_no_base64_is_refused() -> None:
    """Copied without its end, it would sign with the wrong key."""
    with pytest.raises(SettingsError, match="copy it again"):
        signing_key("whsec_???")


@pytest.mark.parametrize(
    ("text", "until"),
    [("30m", 1_800_000), ("2h", 7_200_000), ("1d", 86_400_000), ("1970-01-01T08:00:02+08:00", 2000)],
)  # fmt: skip
def test_spans_and_times_of_a_silence(text: str, until: int) -> None:
    """People say `2h`; plans say a time."""
    assert alerts_cli.until_of(text, 0) == until


@pytest.mark.parametrize("text", ["2", "0h", "2w", "2026-09-01T18:00", "1969-01-01T00:00Z", "soon"])
def test_a_silence_without_an_end_is_refused(text: str) -> None:
    """For ever is how alerts get lost."""
    with pytest.raises(SettingsError, match="--until"):
        alerts_cli.until_of(text, 0)


class Terminal:
    """`alliance alerts` with a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.env = {"ALLIANCE_STATE": str(folder), "ALLIANCE_ALERTS": "", "ALLIANCE_ALERTS_DATABASE": ""}  # fmt: skip

    def run(self, *words: str) -> tuple[int, str]:
        done = CliRunner().invoke(alerts_cli.app, list(words), env=self.env)
        return done.exit_code, done.output

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json")[1])


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def fire(folder: Path) -> None:
    store = open_alert_store(f"sqlite:///{folder / 'alerts.db'}")
    store.prepare()
    finding = news("CONNECTOR_SILENT").alert.finding
    known, notices = step({}, [finding], {"*": Rule(0, 0)}, [], 1000)
    store.store(known, notices, {"error": ("webhook.channel",)}, 1000)
    store._engine.dispose()


def test_the_list_says_what_fires_and_what_waits(terminal: Terminal, tmp_path: Path) -> None:
    """Its exit code is for scripts: 0 when nothing needs anybody."""
    assert terminal.run("list") == (0, "no alerts\n")
    fire(tmp_path)
    code, text = terminal.run("list")
    assert code == 1
    assert "firing  error  CONNECTOR_SILENT  10611" in text
    assert "Next: Ask the campus" in text
    assert "not brought by webhook.channel after 0 attempts" in text
    assert [one["state"] for one in terminal.json("list")["items"]] == ["firing"]


def test_a_silence_is_made_listed_and_ended(terminal: Terminal) -> None:
    """With who and why, for those who wonder later."""
    words = ("silence", "CONNECTOR_SILENT", "10611", "--until", "2h", "--why", "new server")
    made = terminal.json(*words, "--by", "Li")
    assert (made["by"], made["why"], made["active"]) == ("Li", "new server", True)
    assert [one["id"] for one in terminal.json("list")["silences"]] == [made["id"]]
    assert terminal.run("unsilence", made["id"])[0] == 0
    assert terminal.json("list")["silences"] == []
    assert terminal.run("unsilence", made["id"])[0] == 1


def test_trying_no_notifier_says_what_to_do(terminal: Terminal) -> None:
    """A test that tests nothing must not look like success."""
    done = CliRunner().invoke(alerts_cli.app, ["test"], env=terminal.env)
    assert isinstance(done.exception, SettingsError)
    assert "ALLIANCE_ALERTS" in str(done.exception)


def test_trying_a_notifier_that_is_away_fails(terminal: Terminal, tmp_path: Path) -> None:
    """Port 1 of this machine answers nobody."""
    path = tmp_path / "alerts.toml"
    path.write_text('[webhook.away]\nurl = "http://127.0.0.1:1/"\n', "utf-8")
    terminal.env["ALLIANCE_ALERTS"] = str(path)
    code, text = terminal.run("test")
    assert code == 1
    assert "webhook.away: webhook.away: no answer" in text


def test_times_are_whole_seconds_in_utc() -> None:
    """One form everywhere."""
    assert (when(None), when(1_999)) == (None, "1970-01-01T00:00:01Z")


class MailServer(socketserver.StreamRequestHandler):
    """Enough of SMTP (RFC 5321) to take one mail."""

    taken: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 mail.example.edu\r\n")
        while line := self.rfile.readline().strip().upper():
            if line == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.taken.append(b"".join(lines).decode())
            self.wfile.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")
            if line == b"QUIT":
                return


def test_a_mail_reaches_a_server() -> None:
    """Over a real connection, as a server on the campus network without encryption would take it."""
    with socketserver.TCPServer(("127.0.0.1", 0), MailServer) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        plain = replace(MAIL, host="127.0.0.1", port=server.server_address[1], security="none")
        asyncio.run(Mail(plain, deliver).bring([news("DISK_LOW")], 100))
        serving.join()
    (mail,) = MailServer.taken
    assert "Subject: [Alliance Hub] 1 firing: No heartbeat" in mail
    assert "FIRING error DISK_LOW 10611" in mail
