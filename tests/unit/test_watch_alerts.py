"""What becomes of troubles over time, whom it is told, and that nothing of it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hub.errors import SettingsError
from hub.settings import Settings
from hub.watch.alert_settings import (
    DEFAULT_RULES,
    AlertSettings,
    MailSettings,
    read_alert_settings,
)
from hub.watch.alert_store import AlertStore, AlertsUnavailable, Outgoing, open_alert_store
from hub.watch.alerting import Alerting, heard_by
from hub.watch.alerts import (
    Alert,
    Finding,
    Notice,
    Rule,
    Silence,
    State,
    backoff_ms,
    fingerprint,
    step,
)
from hub.watch.notify import NotBrought
from hub.watch.settings import read_watch_settings

SILENT = Finding("CONNECTOR_SILENT", "10611", "error", "No heartbeat", "", "Ask the campus")
DISK = Finding("DISK_LOW", "disk", "warning", "Disk nearly full", "1 GiB free", "Make room")
BROKER = Finding("BROKER_UNREACHABLE", "kafka:9092", "error", "Broker unreachable", "", "See it")
RULES = {"*": Rule(hold_s=60, clear_s=30)}


class Life:
    """Alerts over time, by seconds."""

    def __init__(self, rules: dict[str, Rule] | None = None) -> None:
        self.rules, self.known = rules or RULES, dict[str, Alert]()
        self.silences: list[Silence] = []

    def at(self, second: int, *found: Finding) -> list[tuple[str, str]]:
        """One look. What is told: code and state."""
        self.known, notices = step(self.known, found, self.rules, self.silences, second * 1000)
        return [(n.alert.finding.code, n.alert.state.value) for n in notices]

    def states(self) -> dict[str, str]:
        return {alert.finding.code: alert.state.value for alert in self.known.values()}


def test_an_alert_is_pending_then_firing_then_resolved() -> None:
    """People are told of what lasts, once, and then that it is over."""
    life = Life()
    assert life.at(0, SILENT) == []
    assert life.states() == {"CONNECTOR_SILENT": "pending"}
    assert life.at(59, SILENT) == []
    assert life.at(60, SILENT) == [("CONNECTOR_SILENT", "firing")]
    assert life.at(3600, SILENT) == []
    assert life.at(3629) == []
    assert life.at(3630) == [("CONNECTOR_SILENT", "resolved")]
    assert life.at(3660) == []
    assert life.states() == {"CONNECTOR_SILENT": "resolved"}
    assert life.at(3630 + 8 * 86_400) == []
    assert life.states() == {}


def test_what_passes_soon_is_told_to_nobody() -> None:
    """A restart takes twenty seconds and nobody need know."""
    life = Life()
    assert life.at(0, SILENT) + life.at(20) + life.at(90, SILENT) + life.at(100) == []


def test_what_comes_and_goes_stays_one_alert() -> None:
    """A flapping trouble is one page at night, not forty."""
    life = Life()
    life.at(0, SILENT)
    told = life.at(60, SILENT)
    for second in range(80, 600, 20):
        told += life.at(second, *([SILENT] if second % 40 == 0 else []))
    assert told == [("CONNECTOR_SILENT", "firing")]


def test_the_same_trouble_again_is_a_new_alert() -> None:
    """Its end was told, so its return is, too, under another id."""
    life = Life()
    life.at(0, SILENT)
    life.at(60, SILENT)
    life.at(100)
    assert life.states() == {"CONNECTOR_SILENT": "resolved"}
    life.at(200, SILENT)
    assert life.at(260, SILENT) == [("CONNECTOR_SILENT", "firing")]
    assert life.known[fingerprint("CONNECTOR_SILENT", "10611")].since_ms == 200_000


def test_each_object_has_an_alert_of_its_own() -> None:
    """The second member that falls silent is news."""
    life = Life({"*": Rule(0, 0)})
    other = replace(SILENT, about="10618")
    assert len(life.at(0, SILENT)) == 1
    assert len(life.at(1, SILENT, other, other)) == 1
    assert len(life.known) == 2


def test_a_hub_that_cannot_see_calls_nothing_over() -> None:
    """Without the broker no connector is found silent. That is no recovery."""
    life = Life({"*": Rule(0, 0)})
    life.at(0, SILENT)
    assert life.at(10, BROKER) == [("BROKER_UNREACHABLE", "firing")]
    assert life.at(5000, BROKER) == []
    assert life.at(5001, SILENT) == [("BROKER_UNREACHABLE", "resolved")]
    assert life.states()["CONNECTOR_SILENT"] == "firing"


def test_a_silence_keeps_it_from_people_and_not_from_the_list() -> None:
    """Maintenance is known; when it takes longer than said, people hear of it."""
    life = Life({"*": Rule(0, 0)})
    life.silences = [Silence("s1", "CONNECTOR_*", "106*", 100_000, "Li", "new server", 0)]
    assert life.at(10, SILENT, DISK) == [("DISK_LOW", "firing")]
    assert life.known[fingerprint("CONNECTOR_SILENT", "10611")].silenced
    assert life.at(99, SILENT, DISK) == []
    assert life.at(100, SILENT, DISK) == [("CONNECTOR_SILENT", "firing")]


def test_the_end_of_what_nobody_heard_of_is_told_to_nobody() -> None:
    """No recovery notice without an alarm before it."""
    life = Life({"*": Rule(0, 0)})
    life.silences = [Silence("s1", "*", "*", 100_000, "Li", "move", 0)]
    assert life.at(10, SILENT) + life.at(20) == []
    quiet = Life({"*": Rule(0, 0), "CONNECTOR_SILENT": Rule(0, 0, notify=False)})
    assert quiet.at(10, SILENT) + quiet.at(20) == []


def test_attempts_are_ever_further_apart() -> None:
    """Half a minute, doubled, an hour at most."""
    assert [backoff_ms(n) // 1000 for n in (1, 2, 3, 8, 100)] == [30, 60, 120, 3600, 3600]


def test_each_notifier_hears_what_it_wants() -> None:
    """A phone wants errors, a channel warnings too."""
    assert heard_by({"phone": "error", "channel": "warning"}) == {
        "error": ("phone", "channel"),
        "warning": ("channel",),
        "info": (),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    made = open_alert_store(f"sqlite:///{tmp_path / 'alerts.db'}")
    made.prepare()
    yield made
    made._engine.dispose()


def reopened(tmp_path: Path) -> AlertStore:
    return open_alert_store(f"sqlite:///{tmp_path / 'alerts.db'}")


def test_alerts_silences_and_news_outlive_the_process(tmp_path: Path, store: AlertStore) -> None:
    """A restart in the middle of a night must not forget what it owes, nor tell it twice."""
    known, notices = step({}, [SILENT, DISK], {"*": Rule(0, 0)}, [], 1000)
    store.store(known, notices, {"error": ("a", "b"), "warning": ("b",)}, 1000)
    silence = Silence("s1", "*", "10611", 9000, "Li", "move", 500)
    store.silence(silence)
    again = reopened(tmp_path)
    try:
        assert again.alerts() == known
        assert again.silences() == [silence]
        owed = {(one.alert.finding.code, one.notifier) for one in again.due(1000)}
        assert owed == {("CONNECTOR_SILENT", "a"), ("CONNECTOR_SILENT", "b"), ("DISK_LOW", "b")}
        again.store(known, notices, {"error": ("a", "b")}, 2000)
        assert len(again.due(2000)) == 3
    finally:
        again._engine.dispose()


def test_a_silence_can_be_ended_once(store: AlertStore) -> None:
    """It stays listed: who said what until when is asked afterwards."""
    store.silence(Silence("s1", "*", "*", 9000, "Li", "move", 500))
    assert store.unsilence("s1", 4000)
    assert not store.unsilence("s1", 5000)
    assert not store.unsilence("s2", 5000)
    assert [one.until_ms for one in store.silences()] == [4000]


def test_a_database_never_made_is_said(tmp_path: Path) -> None:
    """The console may look before the part has run."""
    empty = open_alert_store(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(AlertsUnavailable, match="alliance run alerts"):
        empty.alerts()
    empty._engine.dispose()


class Pager:
    """A notifier that takes news when it likes."""

    def __init__(self, name: str = "pager") -> None:
        self.name, self.well = name, True
        self.brought: list[list[str]] = []

    async def bring(self, news: Sequence[Outgoing], now_s: int) -> None:
        if not self.well:
            raise NotBrought(f"{self.name}: no answer")
        self.brought.append([f"{one.alert.finding.code} {one.alert.state}" for one in news])


class World:
    """An alerting whose time and troubles the test sets."""

    def __init__(self, store: AlertStore, *pagers: Pager) -> None:
        self.found: list[Finding] = []
        self.now_ms = 0
        mails = tuple(
            MailSettings(one.name, "host", 25, "none", "from", ("to",), least="info")
            for one in pagers
        )
        settings = AlertSettings({"*": Rule(0, 0)}, mails=mails)
        self.alerting = Alerting(self.find, store, settings, pagers, lambda: self.now_ms)

    async def find(self) -> Sequence[Finding]:
        return self.found

    def look(self, second: int, *found: Finding) -> None:
        async def once() -> None:
            self.now_ms, self.found = second * 1000, list(found)
            await self.alerting.look()
            await self.alerting.tell()

        asyncio.run(once())


def test_news_is_brought_in_one_message_and_once(store: AlertStore) -> None:
    """Ten troubles of one cause are one mail."""
    pager = Pager()
    world = World(store, pager)
    world.look(1, SILENT, DISK)
    world.look(2, SILENT, DISK)
    world.look(3)
    assert [sorted(one) for one in pager.brought] == [
        ["CONNECTOR_SILENT firing", "DISK_LOW firing"],
        ["CONNECTOR_SILENT resolved", "DISK_LOW resolved"],
    ]


def test_a_notifier_that_is_away_gets_it_later_and_holds_up_nobody(store: AlertStore) -> None:
    """The mail server is down at night, too; the phone must ring all the same."""
    away, here = Pager("away"), Pager("here")
    away.well = False
    world = World(store, away, here)
    world.look(1, SILENT)
    assert len(here.brought) == 1
    (waiting,) = store.waiting()
    assert (waiting.notifier, waiting.attempts, waiting.error) == ("away", 1, "away: no answer")
    away.well = True
    world.look(2, SILENT)
    assert away.brought == []  # its half minute is not over
    world.look(32, SILENT)
    assert away.brought == [["CONNECTOR_SILENT firing"]]
    assert store.waiting() == []


def test_what_was_decided_and_not_brought_is_brought_by_the_next_process(store: AlertStore) -> None:
    """Killed between the commit and the mail: the mail is still owed."""
    first = World(store, Pager())

    async def die_before_telling() -> None:
        first.now_ms, first.found = 1000, [SILENT]
        await first.alerting.look()

    asyncio.run(die_before_telling())
    pager = Pager()
    World(store, pager).look(2, SILENT)
    assert pager.brought == [["CONNECTOR_SILENT firing"]]


def test_a_notice_has_one_id_however_often_it_is_worked_out() -> None:
    """Two processes by mistake, or a commit that failed: the news is the same."""
    first = step({}, [SILENT], {"*": Rule(0, 0)}, [], 1000)[1]
    second = step({}, [SILENT], {"*": Rule(0, 0)}, [], 1000)[1]
    assert [one.id for one in first] == [one.id for one in second]
    assert isinstance(first[0], Notice)


FILE = """
[rules.CONNECTOR_SILENT]
hold_s = 900

[rules.DISK_LOW]
notify = false

[webhook.channel]
url = "https://chat.example.edu/hook"
secret_env = "HOOK_SECRET"

[mail.night]
host = "mail.example.edu"
from = "hub@example.edu"
to = ["it@example.edu"]
user = "hub"
password_env = "MAIL_PASSWORD"
least = "error"
"""
ENVIRON = {"HOOK_SECRET": "whsec_c2VjcmV0", "MAIL_PASSWORD": "p"}


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    """Defaults are for everybody; a file says what is different here."""
    path = tmp_path / "alerts.toml"
    path.write_text(FILE, "utf-8")
    found = read_alert_settings(path, ENVIRON)
    assert found.rules["CONNECTOR_SILENT"] == Rule(900, 60)
    assert found.rules["DISK_LOW"] == Rule(60, 60, notify=False)
    assert found.rules["STAGE_STALLED"] == DEFAULT_RULES["STAGE_STALLED"]
    assert found.webhooks[0].key == b"secret"
    assert (found.mails[0].port, found.mails[0].password) == (587, "p")
    assert found.least_of() == {"webhook.channel": "warning", "mail.night": "error"}
    assert "secret" not in repr(found)
    assert "password" not in repr(found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hold_s = 900", "hold_s = -1", "rules.CONNECTOR_SILENT.hold_s is -1.*wanted seconds"),
        ("hold_s = 900", "hold = 900", "rules.CONNECTOR_SILENT.hold is not known.*hold_s"),
        ("https://chat", "chat", "webhook.channel.url"),
        ("HOOK_SECRET", "NOT_SET", "NOT_SET, which is not set"),
        ('to = ["it@example.edu"]', "to = []", "mail.night.to"),
        ('least = "error"', 'least = "fatal"', "mail.night.least is 'fatal'"),
        ('host = "mail.example.edu"', "", "mail.night.host"),
        ("[mail.night]", '[mail.night]\nsecurity = "ssl"', "starttls or tls or none"),
        ("notify = false", 'notify = "no"', "rules.DISK_LOW.notify is 'no', wanted a bool"),
        ("[webhook.channel]", "[webhooks.channel]", "webhooks is not known"),
        ("[rules.DISK_LOW]", "[rules.DISK_LOW", "cannot be read"),
    ],
)
def test_a_wrong_file_names_key_and_what_is_wanted(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    """An alert that never comes is found out in the wrong night."""
    path = tmp_path / "alerts.toml"
    path.write_text(FILE.replace(old, new), "utf-8")
    with pytest.raises(SettingsError, match=f"alerts.toml.*{said}"):
        read_alert_settings(path, ENVIRON)


def test_without_a_file_everything_is_listed_and_nobody_told() -> None:
    """No notifier is no reason to fail."""
    found = read_alert_settings(None, {})
    assert (found.webhooks, found.mails) == ((), ())
    assert found.rules["*"].notify
    assert {state.value for state in State} == {"pending", "firing", "resolved"}


def test_alerts_live_where_the_read_model_lives_unless_told_otherwise() -> None:
    """One database for a pilot; SQLite files of their own where none is named, since a read model is deleted to be filled anew."""
    state = Settings(state=Path("/s"))
    named = replace(state, database="postgresql://hub/alliance")
    own = {"ALLIANCE_ALERTS_DATABASE": "sqlite:////a.db", "ALLIANCE_ALERTS": "/etc/alerts.toml"}
    assert read_watch_settings(state, {}).database_url == "sqlite:////s/alerts.db"
    assert read_watch_settings(named, {}).database_url == "postgresql://hub/alliance"
    assert read_watch_settings(named, own).database_url == "sqlite:////a.db"
    assert read_watch_settings(named, own).rules_file == Path("/etc/alerts.toml")
