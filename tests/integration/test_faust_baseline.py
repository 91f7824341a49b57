"""The benchmark's baseline does the whole job it claims to do, else its speed would say nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from hub.bench.workload import Maker, Signed, make_cases, waves
from hub.broker.admin import TopicSpec, apply, end_offsets
from schemas.signing import Signer, new_signer

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
MEMBERS = ("10610", "10611", "10614")
BASELINE_PATIENCE_S = 120.0


def alliance_file(path: Path, signers: dict[str, Signer]) -> Path:
    """An `alliance.toml` with these members and their keys."""
    rows = []
    for code, signer in signers.items():
        public = base64.b64encode(signer.public).decode()
        rows.append(
            f'[[member]]\ncode = "{code}"\nname_en = "{code}"\nname_zh = "{code}"\nregion = "Sichuan"\n'
            f'city = "成都"\ndomain = "{code}.example"\n[[member.key]]\npublic = "{public}"\n'
        )
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


async def send(bootstrap: str, topic: str, events: Sequence[Signed]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await producer.start()
    try:
        for event in events:
            await producer.send(topic, event.value, event.key, headers=event.headers)
    finally:
        await producer.stop()


def test_the_baseline_checks_counts_appends_and_delivers_every_event(
    broker: str, tmp_path: Path
) -> None:
    """One entry, one delivery and one balance update per event; a forged event gets neither."""
    signers = {code: new_signer(bytes([number]) * 32) for number, code in enumerate(MEMBERS)}
    maker = Maker(signers, seed=1)
    events = [event for _, wave in waves(maker, make_cases(MEMBERS, 30, seed=1)) for event in wave]
    forged = Signed(events[0].member, "forged", b"k", events[0].value + b"\0", events[0].headers)

    async def run() -> None:
        from hub.bench.faust_baseline import BaselineTopics

        topics = BaselineTopics(f"t{uuid.uuid4().hex[:12]}.", MEMBERS)
        await apply(broker, [TopicSpec(*topic) for topic in topics.plan()])
        await send(broker, topics.events, [forged, *events])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hub.bench.faust_baseline", broker),
            *("--alliance", str(alliance_file(tmp_path / "alliance.toml", signers))),
            *("--expected", str(len(events) + 1), "--prefix", topics.prefix),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(BASELINE_PATIENCE_S):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0
        measured = json.loads(out)
        assert measured["events"] == len(events) + 1
        assert measured["cpu_seconds"] > 0
        assert measured["seconds"] > 0
        inboxes = [topics.inbox(member) for member in MEMBERS]
        ends = await end_offsets(broker, [topics.entries, *inboxes])
        assert sum(ends[topics.entries].values()) == len(events)
        assert sum(sum(ends[inbox].values()) for inbox in inboxes) == len(events)

    asyncio.run(run())
