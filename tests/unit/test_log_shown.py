"""Operators see the transparency log: what is signed and witnessed, who does not cosign, and what to do about it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from hub.api.kafka_view import Broker
from hub.api.log_view import LogWatch, cosignature_reader, policy_of
from hub.api.overview import STALLED_AFTER_S
from hub.api.sentences import sentence
from hub.console.app import build_app
from hub.domain.reasons import Reason
from hub.events import rules
from hub.ledger.apply import apply
from hub.ledger.state import Input
from hub.store import tables
from hub.store.fold import Taken, fold
from hub.store.queries import Reader
from hub.transparency.files import CHECKPOINT, WITNESSED
from schemas import topics
from schemas.codec import encode
from schemas.members import Alliance
from schemas.records import Close, Entry
from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from schemas.tlog.note import join_note
from schemas.tlog.policy import Policy
from tests.support import verified_log
from tests.support.browser import served
from tests.support.entries import START, ledger_values, some_told
from tests.support.ledger import Ledger
from tests.support.readmodel import FakeKafka
from tests.support.transparency import (
    ALLIANCE,
    CHONGQING,
    ELEVEN,
    KEY,
    ORIGIN,
    SICHUAN,
    T0_S,
    WITNESSES,
    cosigned,
)

ALL = tuple(WITNESSES)
VALUES = ledger_values(some_told(300, 1))
POLICY = ALLIANCE.policy()
ABSENT = SICHUAN[9:] + CHONGQING[5:]  # six of twenty: the others are a quorum


def note(size: int, origin: str = ORIGIN) -> bytes:
    """A checkpoint signed by the log."""
    return sign_checkpoint(Checkpoint(origin, size, bytes([size % 251]) * 32), [KEY])


class Place:
    """A console over a read model of `head` entries, a folder and a broker that tests change, at a time that they set."""

    def __init__(self, engine: Engine, folder: Path, alliance: Alliance = ALLIANCE) -> None:
        self.folder, self.now = folder, START + timedelta(minutes=1)
        self.kafka = FakeKafka(Broker("127.0.0.1:9092", reachable=True, at=self.now))
        self.app = build_app(Reader(engine), alliance, self.kafka, lambda: self.now, folder)

    def signed(self, size: int) -> None:
        self._put(CHECKPOINT, note(size))

    def witnessed(self, size: int, codes: Collection[str] = ELEVEN) -> None:
        """The file as the collector writes it, with these cosignatures."""
        data = note(size)
        text, _, line = data.partition(b"\n\n")
        lines = b"".join(
            WITNESSES[c].cosign(text.decode() + "\n", T0_S).line().encode() for c in codes
        )
        self._put(WITNESSED, text + b"\n\n" + line + lines)

    def cosigning(self, sizes: Mapping[str, int]) -> None:
        self.kafka.broker = replace(self.kafka.broker, cosigned=sizes)

    def _put(self, path: str, data: bytes) -> None:
        (self.folder / path).write_bytes(data)
        os.utime(self.folder / path, (self.now.timestamp(), self.now.timestamp()))

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
                return await client.get(path)

        return asyncio.run(ask())

    def log(self) -> Any:
        answer = self.get("/api/v1/log")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def troubles(self) -> list[Any]:
        """Those of the log; each has a next step in both languages."""
        found = self.get("/api/v1/health").json()["troubles"]
        ours = [
            one for one in found if one["code"] in ("LOG_BEHIND", "NO_QUORUM", "LOG_UNREADABLE")
        ]
        for one in ours:
            assert one["next_step"]["en"] != one["next_step"]["zh"] != ""
            assert one["title"]["en"] != one["title"]["zh"] != ""
        return ours

    def codes(self) -> list[str]:
        return [one["code"] for one in self.troubles()]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = tables.open_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'hub.db'}")
    tables.prepare(made)
    entries = [Taken(topics.LEDGER_ENTRIES, 0, at, value) for at, value in enumerate(VALUES)]
    fold(made, {}, entries)
    yield made
    made.dispose()


@pytest.fixture
def place(engine: Engine, tmp_path: Path) -> Place:
    return Place(engine, tmp_path)


@pytest.fixture
def elsewhere(engine: Engine, tmp_path: Path) -> Callable[[Alliance], Place]:
    return lambda alliance: Place(engine, tmp_path, alliance)


def test_the_log_is_told_with_its_sizes_roots_and_witnesses(place: Place) -> None:
    """What a script of an operator needs, from the files and the topic, each signature checked."""
    place.witnessed(280)
    place.later(20)
    place.signed(300)
    place.cosigning(dict.fromkeys(ALL, 280) | dict.fromkeys(ABSENT, 100))
    place.later(3)
    found = place.log()
    assert found["origin"] == ORIGIN
    assert found["signed"] == {"size": 300, "root": (bytes([300 % 251]) * 32).hex(), "age_s": 3.0}
    assert (found["witnessed"]["size"], found["witnessed"]["age_s"]) == (280, 23.0)
    assert found["witnessed"]["cosigned_by"] == list(ELEVEN)
    assert (found["unsigned"]["waiting"], found["unwitnessed"]["waiting"]) == (0, 20)
    assert found["missing"] == list(ABSENT)
    assert found["quorum"] == [
        {"group": "Sichuan", "cosigning": 9, "witnesses": 12, "needed": 6},
        {"group": "Chongqing", "cosigning": 5, "witnesses": 8, "needed": 5},
    ]
    for link in ("checkpoint", "witnessed"):
        assert place.get(found["links"][link]).status_code == 200
    assert place.codes() == []


def test_an_alliance_without_a_log_key_is_left_in_peace(
    elsewhere: Callable[[Alliance], Place],
) -> None:
    """It has no log yet: no trouble, no figure of zero, and the way to one."""
    place = elsewhere(replace(ALLIANCE, log=None))
    for _ in range(3):
        assert place.codes() == []
        place.later(100)
    answer = place.get("/api/v1/log")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert "alliance members keygen --hub" in answer.json()["detail"]
    assert "alliance_log" not in place.get("/metrics").text
    assert "alliance members keygen --hub" in place.get("/").text
    stages = [stage["stage"] for stage in place.get("/api/v1/health").json()["stages"]]
    assert stages[-1] == "connectors"


def test_a_signer_that_stands_still_is_a_trouble_after_15_s(place: Place) -> None:
    """Members wait for receipts, and nothing else shows that no one signs."""
    place.signed(290)
    place.witnessed(290)
    assert place.codes() == []
    place.later(14)
    assert place.codes() == []
    place.later(2)
    (trouble,) = place.troubles()
    assert (trouble["code"], trouble["severity"], trouble["about"]) == (
        "LOG_BEHIND", "error", "signer",
    )  # fmt: skip
    assert trouble["detail"]["en"] == "10 entries wait behind the 290 that are signed"
    assert trouble["next_step"]["en"] == "Start `alliance run signer`"
    stages = {one["stage"]: one for one in place.get("/api/v1/health").json()["stages"]}
    assert stages["signer"] == {"stage": "signer", "lag_messages": 10, "stalled_s": 16}
    place.signed(300)
    place.later(3)
    assert "LOG_BEHIND" not in place.codes()


def test_a_log_that_was_never_signed_is_behind(place: Place) -> None:
    """The signer was not started at all."""
    assert place.log()["signed"] is None
    place.later(16)
    assert place.codes() == ["LOG_BEHIND"]


def test_a_signer_that_follows_at_a_distance_is_no_trouble(place: Place) -> None:
    """Under load the newest entry is never signed yet; what was there a while ago must be."""
    watch = LogWatch(ALLIANCE, place.folder, POLICY)
    for head in range(110, 300, 10):
        place.signed(head - 10)
        seen = watch.view(head, {}, place.now, moving=True)
        assert seen is not None
        assert (seen.unsigned, seen.unsigned_s < STALLED_AFTER_S) == (10, True)
        place.later(14)
    for head in (400, 500, 600):  # it goes on, but does not come after
        place.signed(head // 100 + 290)
        place.later(14)
        seen = watch.view(head, {}, place.now, moving=True)
    assert seen is not None
    assert seen.unsigned_s > STALLED_AFTER_S


def test_nobody_is_late_while_the_broker_is_away(place: Place) -> None:
    """One trouble has one line: the broker's."""
    place.signed(290)
    place.witnessed(200)
    place.kafka.broker = replace(place.kafka.broker, reachable=False, error="connection refused")
    for _ in range(4):
        assert place.codes() == []
        place.later(60)


def test_without_the_read_model_nobody_knows_the_head(tmp_path: Path) -> None:
    """No figure, not zero."""
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'none.db'}")
    try:
        place = Place(engine, tmp_path)
        place.signed(290)
        place.witnessed(290)
        place.later(20)
        assert place.log()["unsigned"]["waiting"] is None
        assert place.codes() == []
    finally:
        engine.dispose()


def test_a_missing_quorum_is_a_trouble_after_60_s_and_names_who_is_missed(place: Place) -> None:
    """Those who have cosigned since, although not enough, are not named."""
    place.witnessed(280)
    place.signed(300)
    here = (*SICHUAN, *CHONGQING[:4])  # one of Chongqing too few
    place.cosigning(dict.fromkeys(ALL, 280) | dict.fromkeys(here, 300))
    assert place.codes() == []
    place.later(59)
    assert place.codes() == []
    place.later(2)
    (trouble,) = place.troubles()
    assert (trouble["code"], trouble["severity"]) == ("NO_QUORUM", "error")
    assert trouble["about"] == ",".join(CHONGQING[4:])
    assert trouble["title"]["en"] == "No quorum of cosignatures for 61 s"
    assert trouble["detail"]["en"] == (
        "20 signed entries wait. Cosigned by Sichuan 12 (6 needed), Chongqing 4 (5 needed). "
        f"Missing: {', '.join(CHONGQING[4:])}"
    )
    assert "四川 12（需 6），重庆 4（需 5）" in trouble["detail"]["zh"]
    assert "alliance connector status DIR" in trouble["next_step"]["en"]
    place.witnessed(300)
    place.later(3)
    assert place.codes() == []


def test_with_enough_cosignatures_the_collector_is_at_fault(place: Place) -> None:
    """Then asking the members would be in vain."""
    place.witnessed(280)
    place.signed(300)
    place.cosigning(dict.fromkeys(ELEVEN, 300))
    place.codes()
    place.later(61)
    (trouble,) = place.troubles()
    assert trouble["about"] == "receipts"
    assert trouble["next_step"]["en"] == "Start `alliance run receipts`"


def test_a_quorum_that_comes_and_goes_on_is_no_trouble(place: Place) -> None:
    """Only a checkpoint that waits by itself counts, not that there is always a newer one."""
    for size in range(100, 260, 10):
        place.signed(size + 10)
        place.witnessed(size)
        place.later(20)
        assert "NO_QUORUM" not in place.codes()


def test_a_slow_witness_is_not_missing_and_a_silent_one_is(place: Place) -> None:
    """The file holds the first eleven only; who comes a second later cosigns as well."""
    silent = CHONGQING[7]
    for size in range(100, 130):
        place.signed(size + 1)
        place.witnessed(size)
        place.cosigning(dict.fromkeys(ALL, size - 1) | {silent: 99})
        place.later(2)
        missing = place.log()["missing"]
    assert missing == [silent]


def test_what_the_topic_does_not_tell_the_file_does(place: Place) -> None:
    """Before the first look at the broker, and of witnesses that are asked over HTTP."""
    place.signed(300)
    place.witnessed(300)
    place.later(20)
    assert place.log()["missing"] == [code for code in ALL if code not in ELEVEN]


FOREIGN = sign_checkpoint(Checkpoint("other.example/ledger", 300, bytes(32)), [KEY])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (note(280).replace(b"\n280\n", b"\n281\n"), "signature"),
        (cosigned(note(280), "10611").value, "signature"),  # a witness alone
        (FOREIGN, "other.example/ledger"),
        (b"", "note"),
    ],
    ids=["damaged", "a witness alone", "another log", "empty"],
)
def test_a_file_that_is_no_checkpoint_of_the_log_is_said(
    place: Place, data: bytes, said: str
) -> None:
    """A damaged or foreign file must not pass for the log; the page is there all the same."""
    place.signed(300)
    place.witnessed(280)
    assert place.codes() == []
    (place.folder / WITNESSED).write_bytes(data)
    place.later(3)
    (trouble,) = place.troubles()
    assert (trouble["code"], trouble["severity"]) == ("LOG_UNREADABLE", "error")
    assert said in trouble["detail"]["en"]
    assert place.log()["error"] == trouble["detail"]["en"]
    assert place.log()["signed"] is None
    assert place.get("/").status_code == 200


def test_a_quorum_that_cannot_be_counted_is_said(elsewhere: Callable[[Alliance], Place]) -> None:
    """The console does not end over it: it says what to correct."""
    place = elsewhere(replace(ALLIANCE, quorum={"Chongqing": 9}))
    (trouble,) = place.troubles()
    assert (trouble["code"], trouble["about"]) == ("NO_QUORUM", "policy")
    assert "quorum.Chongqing is 9, but 8 members" in trouble["detail"]["en"]
    assert place.get("/").status_code == 200


def test_the_policy_is_the_collector_s_own(tmp_path: Path) -> None:
    """With ALLIANCE_POLICY both count by that file."""
    assert policy_of(ALLIANCE) == (POLICY, "")
    other = Policy(POLICY.logs, POLICY.witnesses[:3], (), "none")
    path = tmp_path / "policy"
    path.write_bytes(other.to_bytes())
    assert policy_of(ALLIANCE, str(path)) == (other, "")
    path.write_bytes(b"odd\n")
    policy, why = policy_of(ALLIANCE, str(path))
    assert policy is None
    assert "ALLIANCE_POLICY" in why


def test_only_a_witness_s_own_signature_counts_as_its_cosignature() -> None:
    """Kafka lets a member write under any key; a member must not be able to hide that another is silent."""
    read = cosignature_reader(POLICY, ORIGIN)
    true = cosigned(note(300), "10611").value
    assert read(true) == {"10611": 300}
    assert read(true.replace(b"\n300\n", b"\n301\n")) == {}
    forged = true.replace(b"u10611.example/witness", b"u10614.example/witness")
    assert read(forged) == {}
    assert read(note(300)) == {}
    assert read(b"") == {}
    other = sign_checkpoint(Checkpoint("other.example/ledger", 300, bytes(32)), [KEY])
    text = other.split(b"\n\n")[0].decode() + "\n"
    assert read(join_note(text, [WITNESSES["10611"].cosign(text, T0_S)])) == {}


def test_sizes_of_the_log_are_measured(place: Place) -> None:
    """An alarm outside of the hub compares them with the head."""
    place.signed(300)
    place.witnessed(280)
    text = place.get("/metrics").text
    assert "alliance_log_signed_size 300.0" in text
    assert "alliance_log_witnessed_size 280.0" in text
    assert 'alliance_stage_lag_messages{stage="receipts"} 20.0' in text


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ("Signed", "300", "Witnessed", "280", "20 to be cosigned", "14 of 20", "Sichuan 9 of 12, at least 6")),
        ("zh", ("已签署", "300", "已见证", "280", "20 条待联署", "14 / 20", "四川 9 / 12，至少 6")),
    ],
)  # fmt: skip
def test_the_page_has_the_proof(place: Place, lang: str, said: tuple[str, ...]) -> None:
    """In both languages, with the command that checks it."""
    place.witnessed(280)
    place.later(20)
    place.signed(300)
    place.cosigning(dict.fromkeys(ALL, 280) | dict.fromkeys(ABSENT, 100))
    place.later(3)
    page = place.get(f"/?lang={lang}").text
    panel = page.partition('id="proof"')[2].partition("</section>")[0]
    for words in (*said, "alliance verify replay --entries ADDRESS/log"):
        assert words in panel


def test_the_command_that_the_page_names_checks_this_log(tmp_path: Path) -> None:
    """Word for word, against the console itself, with a configuration that it did not give."""
    alliance, log = verified_log.alliance(), verified_log.small_log()
    log.write(tmp_path / "tlog")
    trusted = tmp_path / "alliance.toml"
    trusted.write_text(verified_log.alliance_toml(alliance), encoding="utf-8")
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    kafka = FakeKafka(Broker("127.0.0.1:9092"))
    try:
        app = build_app(Reader(engine), alliance, kafka, log_folder=tmp_path / "tlog")
        with served(app) as url:
            assert f"{len(log.entries)}" in httpx.get(url).text
            code, values = verified_log.verify(
                "replay", "--entries", f"{url}/log", "--alliance", trusted
            )
    finally:
        engine.dispose()
    assert code == 0, values
    assert values["entries"] == len(log.entries)


def closing(ledger: Ledger, period: str) -> list[Entry]:
    """What follows when operators ask for a close."""
    asked = Close(period, "operator", 1)
    given = Input(
        len(ledger.inputs), ledger.at_ms + 1, asked, asked.EVENT, encode(asked), "", b"", "", 0, 0, ledger.at_ms,
    )  # fmt: skip
    ledger.inputs.append(given)
    return [item.entry for item in apply(ledger.state, given, rules())]


def test_closing_a_period_is_said_in_both_languages() -> None:
    """The ledger's own entries stand among the newest, and are read by people."""
    ledger = Ledger()
    ledger.offer()
    asked, closed = closing(ledger, "2026-1")
    assert sentence(asked, {}) == (
        "Operators asked to close period 2026-1",
        "运营方要求为期间 2026-1 结账",
    )
    said = sentence(closed, {})
    assert said.en.startswith("Period 2026-1 is closed: entries 1–1, ")
    assert said.zh.startswith("期间 2026-1 已结账：条目 1–1，")
    (refused,) = closing(ledger, "2026-1")
    assert refused.reason == Reason.PERIOD_CLOSED
    assert "asked to close" in sentence(refused, {}).en
