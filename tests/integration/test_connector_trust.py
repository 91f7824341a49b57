"""Hub and connectors as processes on a real broker: every event leaves its outbox with a receipt, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sdk.state.file import State
from connectors.sdk.testing import OFFERING_MAPPING, Case, write_folder
from hub.run.supervisor import Supervisor
from hub.run.topics_cli import apply_all
from hub.security.keys import hub_keygen, keygen
from schemas import topics
from schemas.codec import decode
from schemas.envelope import KIND, header
from schemas.members import load_alliance
from schemas.promises import kept_to
from schemas.records import Promise
from schemas.tlog.merkle import leaf_hash
from schemas.tlog.proof import LogProof, verify_proof
from tests.integration.test_connector_kafka import TABLES, Campus
from tests.support.broker import private_broker
from tests.support.flow_kafka import Hub, read

pytestmark = pytest.mark.kafka

CODES = ("20001", "20002", "20003")
PARTS = ("admission", "sequencer", "delivery", "signer", "receipts")
CONNECTOR = (sys.executable, "-c", "from connectors.sdk.cli.main import app; app()")


@pytest.fixture
def bootstrap(tmp_path: Path) -> Iterator[str]:
    """A broker whose ledger is ours alone."""
    with private_broker(tmp_path / "broker") as found:
        yield found.bootstrap


def configuration(folder: Path) -> Path:
    """Three members, two of which must have cosigned, with all the keys that keygen makes."""
    path = folder / "alliance.toml"
    members = "".join(
        f'\n[[member]]\ncode = "{code}"\nname_en = "U{code}"\nname_zh = "U{code}"\nregion = "Sichuan"\n'
        f'city = "-"\ndomain = "u{code}.example"\n'
        for code in CODES
    )
    head = '[alliance]\nname = "Test"\norigin = "test.example/ledger"\n[quorum]\nSichuan = 2\n'
    path.write_text(head + members, encoding="utf-8")
    keygen(path, folder / "keys")
    hub_keygen(path, folder / "hub-keys")
    return path


def connectors(folder: Path, bootstrap: str, campuses: dict[str, Campus]) -> list[Path]:
    """The campus folders, with keys where the sandbox has them."""
    made = []
    for code, campus in campuses.items():
        case = Case(TABLES.format(port=campus.port), mappings={"offering.toml": OFFERING_MAPPING})
        there = folder / "connectors" / code
        there.mkdir(parents=True)
        for name, target in (
            ("alliance.toml", folder / "alliance.toml"),
            (f"{code}.key", folder / "keys" / f"{code}.key"),
            (f"{code}.witness", folder / "keys" / f"{code}.witness"),
        ):
            (there / name).symlink_to(target)
        write_folder(there, case, code=code, bootstrap=bootstrap)
        made.append(there)
    return made


def book(folder: Path) -> tuple[int, int, int]:
    """Events final, events in the outbox, pieces of evidence."""
    if not (folder / "state.db").exists():
        return (0, 0, 0)
    state = State(folder / "state.db", readonly=True)
    try:
        counts = state.counts()
        return counts["final_total"], counts["outbox_events"], state.proofs.evidence_count()
    finally:
        state.close()


def test_every_event_is_final_with_a_quorum_of_campuses_and_none_without(
    bootstrap: str, tmp_path: Path
) -> None:
    """Three campuses are each other's witnesses. One may die; with two of them gone outcomes go on, and nothing leaves."""
    campuses = {code: Campus() for code in CODES}
    try:
        asyncio.run(_story(bootstrap, tmp_path, campuses))
    finally:
        for campus in campuses.values():
            campus.close()


async def _story(bootstrap: str, folder: Path, campuses: dict[str, Campus]) -> None:
    path = configuration(folder)
    assert "promise_key" in tomllib.loads(path.read_text(encoding="utf-8"))["log"]
    await apply_all(bootstrap, path)
    environment = {
        "ALLIANCE_FILE": str(path),
        "ALLIANCE_BOOTSTRAP": bootstrap,
        "ALLIANCE_STATE": str(folder),
    }
    supervisor = Supervisor(folder / "log", environment)
    hub = Hub(bootstrap, folder, supervisor)
    folders = connectors(folder, bootstrap, campuses)
    first, second, third = folders

    def happen(count: int) -> None:
        for campus in campuses.values():
            campus.happen(count)
            for row in campus.rows:  # ids of one campus must not be another's
                row["eventId"] = f"{campus.port:08d}-0000-4000-8000-{row['number']:012d}"
                row["id"] = f"{campus.port}-{row['number']}"

    def final(*which: Path, count: int) -> bool:
        return all(book(one) == (count, 0, 0) for one in which)

    try:
        for part in PARTS:
            await hub.start(part)
        alone = [*CONNECTOR, "run", "--quiet", str(first)]
        together = [*CONNECTOR, "run", "--quiet", str(second), str(third)]
        await supervisor.start("alone", alone)
        await supervisor.start("together", together)
        happen(60)
        await hub.until("60 events of each are final", lambda: final(*folders, count=60))

        for name in ("alone", "together", "signer.1", "receipts.1", "admission.1"):
            supervisor.kill(name)
        happen(60)
        await hub.until("120 events of each are final", lambda: final(*folders, count=120))

        await supervisor.stop("together")
        campuses[first.name].happen(1)
        campuses[first.name].rows[-1] |= {
            "eventId": "00000001-0000-4000-8000-000000000001",
            "id": "last",
        }
        told = campuses[first.name].told
        await hub.until("the outcome is told", lambda: any("00000001-" in key for key in told))
        await asyncio.sleep(4)  # several checkpoints' time
        assert book(first) == (120, 1, 0)
        await supervisor.start("together", together)
        await hub.until("the last event is final", lambda: final(first, count=121))

        inbox = await read(bootstrap, topics.inbox(first.name))
        promises = [decode(m.value) for m in inbox if header(m.headers, KIND) == b"promise"]
        key = load_alliance(path).promise_key or b""
        assert all(isinstance(said, Promise) and kept_to(said, key) for said in promises)
        promised = {
            one for said in promises if isinstance(said, Promise) for one in said.event_hashes
        }
        assert len(promised) == 121

        out = folder / "one.tlog-proof"
        event = campuses[first.name].rows[-1]["eventId"]
        for words in (("--json",), ("--event", event, "--out", str(out))):
            call = await asyncio.create_subprocess_exec(
                *CONNECTOR, "receipts", str(first), *words, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await call.communicate()
            assert call.returncode == 0
            if words == ("--json",):
                assert json.loads(said)["final"] == 121
        proof = LogProof.parse(out.read_bytes())
        logged = verify_proof(proof, leaf_hash(proof.extra), load_alliance(path).policy())
        assert len(logged.witnesses) >= 2
    finally:
        await supervisor.stop()
