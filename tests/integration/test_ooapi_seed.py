"""The seed objects of the Open Education API go from a campus through `http_poll` into the ledger, unchanged by hand.

They are that project's, not ours, and lie beside the checkout where they are had; elsewhere the test is skipped.
`tests/unit/test_sandbox_server.py` has objects of our own.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.demo.run import Plan, running
from hub.flow.kafka import plain_reader
from hub.settings import Settings
from schemas import topics
from schemas.codec import decode
from schemas.records import Credit, LangText, OfferingChanged, Term

ROOT = Path(__file__).parents[2]
SEEDS = Path(os.environ.get("OOAPI_SEEDS") or ROOT.parent / "shared" / "fixtures" / "ooapi-v5")
HOST = "10611"

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(not SEEDS.is_dir(), reason=f"no Open Education API seed objects at {SEEDS}"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def put_seeds(url: str) -> str:
    """Both objects as they are, the course first."""
    course = (SEEDS / "3-Course.json").read_bytes()
    offering = (SEEDS / "4-Offering.json").read_bytes()
    offering_id: str = json.loads(offering)["offeringId"]
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, trust_env=False, headers=headers) as client:
        for path, body in (
            (f"/courses/{json.loads(course)['courseId']}", course),
            (f"/offerings/{offering_id}", offering),
        ):
            (await client.put(path, content=body)).raise_for_status()
    return offering_id


async def outcome_of(url: str, offering_id: str) -> dict[str, Any]:
    """What the campus was told about the offering, waiting up to a minute."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for _ in range(240):
            sent = (await client.get("/holdings")).json()["sent"]
            mine = [row for row in sent if row["subject"] == offering_id]
            if mine and mine[0]["outcome"]:
                return dict(mine[0])
            await asyncio.sleep(0.25)
    raise AssertionError(f"no outcome for {offering_id}")


async def published(bootstrap: str) -> list[OfferingChanged]:
    """Everything in the domain topic."""
    topic = topics.domain("offering")
    async with plain_reader(bootstrap, [(topic, 0)], "test") as reader:
        end, found = await reader.end(topic), []
        while len(found) < end:
            found += [decode(m.value or b"") for m in await reader.batch(500, 500)]
        return [record for record in found if isinstance(record, OfferingChanged)]


async def through_the_hub(tmp_path: Path) -> tuple[dict[str, Any], OfferingChanged]:
    plan = Plan(
        tmp_path / "demo", ROOT / "alliance.toml", students=20, seed=7, hosts=2, chaos=False,
        http=f"127.0.0.1:{free_port()}",
    )  # fmt: skip
    async with running(plan, Settings(state=tmp_path), lambda _: None) as demo:
        url = demo.campuses[HOST]
        offering_id = await put_seeds(url)
        outcome = await outcome_of(url, offering_id)
        found = await published(demo.broker.bootstrap)
        return outcome, next(record for record in found if record.offering_id == offering_id)


@pytest.mark.usefixtures("broker")  # so that a machine without Java skips here as everywhere
def test_the_seed_objects_of_the_open_education_api_become_an_offering(tmp_path: Path) -> None:
    """Foreign data, not written for us: the mapping bends, the objects do not."""
    outcome, record = asyncio.run(through_the_hub(tmp_path))
    assert outcome["outcome"] == "applied"
    assert record.host == record.course.member == HOST
    assert record.course.course_code == "221110"
    assert record.titles == (LangText("en", "Course Example"), LangText("es", "Ejemplo de Curso"))
    assert record.credits == Credit("ects", Decimal("6.000"))
    assert (record.mode, record.language) == ("presential", "nl")
    assert record.term == Term("2018-2019", 2, 2)
    assert (record.start_date, record.end_date) == (date(2019, 8, 21), date(2019, 10, 23))
    assert (record.capacity, record.min_students, record.status) == (200, 15, "active")
