"""Every reason code, produced through the real path and read where the sender reads it: in its inbox."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.domain.reasons import ADVICE, Reason
from schemas import records as r
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import decode
from schemas.content import content_hash
from schemas.envelope import EVENT_BYTES, SIGNATURE
from tests.support.broker import private_broker
from tests.support.flow import SIGNERS, Sent, sent, signed_bytes
from tests.support.flow_kafka import PARTS, Hub, hub, publish, told
from tests.support.ledger import HOME, HOST, OTHER, Ledger, credit, mapping

pytestmark = pytest.mark.kafka

RULES = """
id = "10610-strict"
version = 1
owner = "10610"
title = { zh = "严格", en = "Strict" }
scheme = "cn_credit"
[[rule]]
then = { outcome = "positive", credits = "lower", reason = "equivalent" }
"""


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose ledger topics are ours alone."""
    with private_broker(tmp_path_factory.mktemp("reasons-broker")) as found:
        yield found.bootstrap


@dataclass
class Stage:
    """Messages sent together; `by_event` are reasons with sender and event id, `by_place` those of refusals."""

    messages: list[Sent] = field(default_factory=list)
    by_event: list[tuple[str, str, Reason]] = field(default_factory=list)
    by_place: dict[int, Reason] = field(default_factory=dict)  # index in messages

    def say(self, record: Any, reason: Reason | None = None) -> Any:
        """An event that reaches the ledger."""
        self.messages.append(sent(record))
        if reason:
            self.by_event.append((record.envelope.member, record.envelope.event_id, reason))
        return record

    def refused(self, message: Sent, reason: Reason) -> None:
        """A message that does not."""
        self.by_place[len(self.messages)] = reason
        self.messages.append(message)


class Script:
    """All reasons, in three stages: each needs what the one before made known."""

    def __init__(self) -> None:
        self.desk = Ledger()
        self.soon = datetime.now(UTC) + timedelta(hours=2)

    def event(self, event: str, **said: Any) -> Any:
        return self.desk.record(event, **said)

    def request(self, name: str, **said: Any) -> Any:
        facts = {
            "home": HOME,
            "host": HOST,
            "student_id": "student",
            "agreement_id": None,
            "valid_until": None,
        }
        return self.event("enrollment.requested", enrollment_id=name, **(facts | said))

    def access(self, name: str, **said: Any) -> Any:
        facts = {
            "resource_id": "scope",
            "home": HOME,
            "owner": HOST,
            "start": self.soon,
            "decide_by": None,
        }
        facts |= {"end": self.soon + timedelta(hours=1), "project_id": None, "enrollment_id": None}
        facts |= {"placement_id": None, "qualification": None, "replaces_request_id": None}
        return self.event("lab.access-requested", request_id=name, **(facts | said))

    def first(self) -> Stage:
        """What admission refuses, and things for the next stages."""
        stage = Stage()
        offering = self.event("offering.changed", host=HOST, offering_id="full", capacity=0)
        good = sent(offering)
        framed = struct.pack(">bI", 0, catalogue().schema_id(catalogue().newest["ledger.entry"]))
        stage.refused(good.but(value=b"\xde\xad\xbe\xef"), Reason.UNREADABLE)
        stage.refused(signed_bytes(struct.pack(">bI", 0, 4711), HOST), Reason.SCHEMA_UNKNOWN)
        stage.refused(signed_bytes(framed, HOST), Reason.SCHEMA_INVALID)
        stage.refused(good.with_header(SIGNATURE, bytes(64)), Reason.SIGNATURE_INVALID)
        stage.refused(good.but(key=b"other"), Reason.KEY_MISMATCH)
        lone = Ledger()  # counts no versions of ours
        strange = lone.record("offering.changed", host="99999", offering_id="strange")
        stage.refused(
            sent(strange, SIGNERS[HOST]).but(topic=topics.outbox(HOST)), Reason.UNKNOWN_MEMBER
        )
        foreign = lone.record(
            "enrollment.requested", home=HOME, host=HOST, by=HOST, enrollment_id="f"
        )
        stage.refused(sent(foreign), Reason.NOT_WRITER)
        big = lone.record(
            "offering.changed", host=HOST, offering_id="big", discipline_code="x" * EVENT_BYTES
        )
        stage.refused(sent(big), Reason.TOO_LARGE)
        hashed = lone.record(
            "agreement.changed", party=HOST, parties=(HOME, HOST), conditions_hash="0" * 64
        )
        stage.refused(sent(hashed), Reason.HASH_MISMATCH)
        titles = (r.LangText("zh", "报名电话 13812345678"),)
        personal = lone.record("offering.changed", host=HOST, offering_id="personal", titles=titles)
        stage.refused(sent(personal), Reason.PII_SUSPECTED)
        stage.say(offering)
        stage.say(offering, Reason.SAME_EVENT)
        stage.say(replace(offering, capacity=7), Reason.SAME_ID_OTHER_CONTENT)
        stage.say(self.event("offering.changed", host=HOST, offering_id="open", capacity=9))
        alone = self.event("agreement.changed", agreement_id="alone", party=HOST, parties=(HOST,))
        stage.say(replace(alone, conditions_hash=content_hash(alone)), Reason.CONTENT_INVALID)
        stage.say(
            self.event(
                "project.changed", project_id="p", lead=HOST, status="declined", organizations=()
            )
        )
        stage.say(self.event("project.changed", project_id="p", lead=HOST, status="active", organizations=()),
                  Reason.ILLEGAL_TRANSITION)  # fmt: skip
        again = self.event("offering.changed", host=HOST, offering_id="open", version=1, capacity=8)
        stage.say(again, Reason.STALE_VERSION)
        stage.say(self.event("offering.changed", host=HOST, offering_id="late", version=3),
                  Reason.VERSION_GAP_TIMEOUT)  # fmt: skip
        stage.say(self.event("project.member-changed", project_id="nowhere", employer=HOST, person_id="x",
                             action="joined"), Reason.REFERENCE_TIMEOUT)  # fmt: skip
        stage.say(self.event("lab.resource-changed", resource_id="scope", owner=HOST, capacity=1, outages=(),
                             policy=r.BookingPolicy(None, None, None, None, None), joint_members=(),
                             status="operational"))  # fmt: skip
        stage.say(self.event("member.profile-changed", code=HOME, rule_set=RULES, rule_set_id="10610-strict",
                             rule_set_version=1))  # fmt: skip
        return stage

    def second(self) -> Stage:
        """Requests of the home, and a deadline that was over long ago."""
        stage = Stage()
        for name, offering in (("e1", "open"), ("e2", "full")):
            stage.say(self.request(name, offering_id=offering))
        past = self.request("e3", offering_id="open", valid_until=date(2020, 1, 1))
        stage.say(past, Reason.DEADLINE_PASSED)
        stage.say(self.access("a1"))
        stage.say(self.access("a2"))
        return stage

    def third(self) -> Stage:
        """The host's answers."""
        stage = Stage()
        facts = {"home": HOME, "host": HOST, "decides": 1, "decision": "accepted"}
        stage.say(self.event("enrollment.decided", enrollment_id="e1", offering_id="open", **facts))
        stage.say(self.event("enrollment.decided", enrollment_id="e2", offering_id="full", **facts),
                  Reason.QUOTA_EXCEEDED)  # fmt: skip
        stage.say(self.event("enrollment.status-changed", enrollment_id="e1", offering_id="open", home=HOME,
                             host=HOST, new_status="started", by=HOST))  # fmt: skip
        stage.say(self.event("credit.awarded", award_id="w1", enrollment_id="e1", student_id="student", home=HOME,
                             host=HOST, credits=credit("3")))  # fmt: skip
        slot = {"resource_id": "scope", "home": HOME, "owner": HOST, "decides": 1, "decision": "approved",
                "start": None, "end": None, "by": HOST}  # fmt: skip
        stage.say(self.event("lab.access-decided", request_id="a1", **slot))
        stage.say(self.event("lab.access-decided", request_id="a2", **slot), Reason.SLOT_CONFLICT)
        return stage

    def fourth(self) -> Stage:
        """Recognition: the home's own rules allow no more than was awarded, and an award counts once."""
        stage = Stage()
        for name, reason in (("r1", None), ("r2", Reason.DUPLICATE_CREDIT)):
            case = self.event("credit.recognition-requested", recognition_id=name, student_id="student", home=HOME,
                              award_ids=("w1",), due_by=None)  # fmt: skip
            stage.say(case, reason)
        cited = replace(mapping(["w1"], "3.5"), rule_id="10610-strict", rule_version=1)
        decision = self.event(
            "credit.recognition-decided", recognition_id="r1", student_id="student", home=HOME,
            stage="academic_affairs", outcome="positive", mappings=(cited,), original_credits_total=credit("3"),
            recognized_credits_total=credit("3.5"),
        )  # fmt: skip
        stage.say(decision, Reason.RULES_NOT_MET)
        return stage

    def fifth(self) -> Stage:
        """An award comes into dispute, and a key that goes on after its owner revoked it."""
        stage = Stage()
        stage.say(self.event(
            "dispute.changed", dispute_id="d1", party=HOME, step="open", about_kind="award", about_id="w1",
            respondent=HOST, arbiters=(), ground="amount", resolution=None, statement_hash=None,
        ))  # fmt: skip
        stage.say(self.event(
            "member.key-changed", code=OTHER, subject=f"{OTHER}/keys", action="revoke", key_id=SIGNERS[OTHER].key_id,
            public_key=None, replaces=None, possession=None, reason="lost",
        ))  # fmt: skip
        lost = self.event("offering.changed", host=OTHER, offering_id="lost")
        stage.say(lost, Reason.KEY_REVOKED)
        return stage

    def sixth(self) -> Stage:
        """Nothing about a disputed award is decided meanwhile."""
        stage = Stage()
        corrected = self.event("credit.award-corrected", award_id="w1", student_id="student", home=HOME, host=HOST,
                               credits=credit("2"))  # fmt: skip
        stage.say(corrected, Reason.DISPUTED)
        return stage


def test_every_reason_reaches_the_inbox_of_its_sender(own_broker: str, tmp_path: Path) -> None:
    """With the code, what was found and wanted, a sentence in both languages, who acts next and when to try again."""
    asyncio.run(_every_reason(own_broker, tmp_path))


async def _every_reason(bootstrap: str, folder: Path) -> None:
    script, seen = Script(), dict[Reason, r.Outcome]()
    async with hub(bootstrap, folder, *PARTS) as running:
        await running.start("clock", ALLIANCE_TICK_S="0.5", ALLIANCE_PARKED_AFTER_S="2")
        await running.until("the ledger has looked at its clock", lambda: running.ticked())
        stages = (
            script.first,
            script.second,
            script.third,
            script.fourth,
            script.fifth,
            script.sixth,
        )
        for make in stages:
            await _play(running, make(), seen)
        await _parked(bootstrap, seen)
        replayed, _ = await running.replayed()
        assert replayed.state.parked_count() == 0
    # Who closes a period twice is an operator and has no inbox: tests/integration/test_statement_kafka.py.
    assert set(seen) == set(Reason) - {Reason.PERIOD_CLOSED}
    for reason, outcome in seen.items():
        _is_helpful(reason, outcome)
    assert seen[Reason.SLOT_CONFLICT].about_seq is not None
    assert seen[Reason.STALE_VERSION].about_version == 1


async def _play(running: Hub, stage: Stage, seen: dict[Reason, r.Outcome]) -> None:
    offsets = await publish(running.bootstrap, stage.messages)
    decided = [m for index, m in enumerate(stage.messages) if index not in stage.by_place]
    await running.settled(map(_event_id, decided))
    await running.until(
        "reasons are told", lambda: _all_told(running.bootstrap, stage, offsets, seen)
    )


def _event_id(message: Sent) -> str:
    event: Any = decode(message.value or b"")
    return str(event.envelope.event_id)


async def _all_told(
    bootstrap: str, stage: Stage, offsets: list[int], seen: dict[Reason, r.Outcome]
) -> bool:
    """Whether each reason of the stage is in its sender's inbox; notes them."""
    inboxes = {member: await told(bootstrap, member) for member in (HOME, HOST, OTHER)}
    done = True
    for member, event_id, reason in stage.by_event:
        found = [o for o in inboxes[member][0].get(event_id, []) if o.reason == reason.value]
        seen |= dict.fromkeys([reason], found[0]) if found else {}
        done = done and bool(found)
    for index, reason in stage.by_place.items():
        refusal = inboxes[HOST][1].get(offsets[index])
        done = done and refusal is not None and refusal.reason == reason.value
        seen |= {reason: refusal} if refusal else {}
    return done


async def _parked(bootstrap: str, seen: dict[Reason, r.Outcome]) -> None:
    """Those that were given up had been parked first, and said so."""
    outcomes, _ = await told(bootstrap, HOST)
    for late, parked in (
        (Reason.VERSION_GAP_TIMEOUT, Reason.VERSION_GAP),
        (Reason.REFERENCE_TIMEOUT, Reason.UNKNOWN_REFERENCE),
    ):
        first, last = outcomes[seen[late].event_id]
        assert (first.outcome, first.reason) == ("parked", parked.value)
        assert (last.outcome, last.refers_to) == ("rejected", first.seq)
        seen[parked] = first


def _is_helpful(reason: Reason, outcome: r.Outcome) -> None:
    advice = ADVICE[reason]
    assert outcome.reason == reason.value
    assert outcome.developer_message
    assert (outcome.user_message_en, outcome.user_message_zh) == (advice.en, advice.zh)
    assert outcome.next_actor in ("it", "office", "nobody")
    assert (outcome.retry_when, outcome.retryable) == (advice.retry_when.value, advice.retryable)
    assert (outcome.outcome == "refused") == (outcome.seq is None)
