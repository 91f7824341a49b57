"""Signer and collector as processes on a real broker: checkpoints, kills, a quorum that comes late, receipts that verify."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from hub.flow.kafka import Outgoing, plain_reader, producer
from hub.ledger.head import read_entry
from hub.run.supervisor import Supervisor
from hub.run.topics_cli import apply_all
from hub.transparency.files import CHECKPOINT, WITNESSED, LogFiles
from hub.transparency.record import AnotherSigner, Signed, open_record
from schemas import topics
from schemas.codec import decode
from schemas.envelope import KIND, LEDGER_SEQ, header
from schemas.members import load_alliance
from schemas.records import Entry, Receipts
from schemas.tlog.checkpoint import open_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from schemas.tlog.note import Signer, join_note
from schemas.tlog.policy import Policy
from schemas.tlog.proof import verify_checkpoint
from schemas.tlog.tiles import TileReader
from schemas.tlog.witness import AddCheckpoint
from tests.support.broker import private_broker
from tests.support.flow import ALLIANCE, SIGNERS, Sent, sent
from tests.support.flow_kafka import PARTS, Hub, publish, read
from tests.support.ledger import MEMBERS, Ledger
from tests.support.postgres import postgres

KEY = Signer(ALLIANCE.origin, b"log key of a test, 32 bytes long")
SICHUAN = (*MEMBERS, *(f"2{n:04}" for n in range(8)))
CHONGQING = tuple(f"3{n:04}" for n in range(8))
WITNESSES = {
    code: CosignatureSigner(f"u{code}.example/witness", ED25519_COSIGNATURE, bytes([number]) * 32)
    for number, code in enumerate((*SICHUAN, *CHONGQING), 1)
}
TEN = (*SICHUAN[6:], *CHONGQING[:4])  # one of Chongqing is missing; nine more are away all the time
ELEVENTH = CHONGQING[4]


def test_the_record_is_compared_and_set_on_postgresql_too() -> None:
    """Of many signers at one moment exactly one gets through; the others are told so."""
    with postgres() as url, open_record(url, ALLIANCE.origin) as record:
        nothing = record.newest()
        assert nothing == Signed()

        def advance(number: int) -> bool:
            new = Signed(5, bytes([number]) * 32, bytes(32), number)
            try:
                record.advance(nothing, new)
            except AnotherSigner:
                return False
            return True

        with ThreadPoolExecutor(5) as pool:
            got_through = list(pool.map(advance, range(20)))
        assert got_through.count(True) == 1
        assert record.newest().head_offset == got_through.index(True)


def configuration() -> str:
    """Twenty members with witness keys, four of which write events; the log's key; six and five of the regions."""
    parts = [
        f'[alliance]\nname = "Test"\norigin = "{ALLIANCE.origin}"\n[quorum]\nSichuan = 6\nChongqing = 5\n'
        f'[log]\ncheckpoint_key = "{KEY.verifier.vkey}"\n'
    ]
    for code, witness in WITNESSES.items():
        region = "Sichuan" if code in SICHUAN else "Chongqing"
        parts.append(
            f'[[member]]\ncode = "{code}"\nname_en = "{code}"\nname_zh = "{code}"\nregion = "{region}"\ncity = "-"\n'
            f'domain = "u{code}.example"\n[member.witness]\nvkey = "{witness.verifier.vkey}"\n'
        )
        if code in SIGNERS:
            public = base64.b64encode(SIGNERS[code].public).decode()
            parts.append(f'[[member.key]]\npublic = "{public}"\n')
    return "\n".join(parts)


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose ledger is ours alone."""
    with private_broker(tmp_path_factory.mktemp("log-broker")) as found:
        yield found.bootstrap


async def cosign(bootstrap: str, codes: list[str]) -> None:
    """Witnesses over Kafka: each checks that every checkpoint continues the one before, and cosigns it."""
    size, root = 0, EMPTY_ROOT
    async with (
        plain_reader(bootstrap, [(topics.CHECKPOINTS, 0)], "witnesses") as reader,
        producer(bootstrap, "witnesses") as writer,
    ):
        while True:
            for message in await reader.batch(200, 500):
                if header(message.headers, KIND) != b"checkpoint":
                    continue
                request = AddCheckpoint.parse(message.value or b"")
                checkpoint, note = open_checkpoint(request.note, [KEY.verifier])
                assert request.old_size == size
                verify_consistency(size, checkpoint.size, root, checkpoint.root, request.proof)
                size, root = checkpoint.size, checkpoint.root
                lines = [
                    Outgoing(code.encode(), join_note(note.text, [WITNESSES[code].cosign(note.text, 1_790_000_000)]), [])
                    for code in codes
                ]  # fmt: skip
                await asyncio.gather(*await writer.send(topics.COSIGNATURES, lines))


def offers(count: int, name: str) -> list[Sent]:
    desk = Ledger()
    return [
        sent(desk.record("offering.changed", host=MEMBERS[n % 4], offering_id=f"{name}-{n}", id=f"{name}-{n}"))
        for n in range(count)
    ]  # fmt: skip


async def entries_of(bootstrap: str) -> list[tuple[Entry, bytes]]:
    found = []
    for message in await read(bootstrap, topics.LEDGER_ENTRIES):
        entry = read_entry(message.value)
        assert entry is not None
        found.append((entry, message.value or b""))
    return found


async def proven(bootstrap: str, policy: Policy) -> dict[int, str]:
    """Member by index of every receipt in the inboxes; each is verified, as its member would."""
    found: dict[int, str] = {}
    for code in WITNESSES:
        for message in await read(bootstrap, topics.inbox(code)):
            if header(message.headers, KIND) != b"receipts":
                continue
            assert header(message.headers, LEDGER_SEQ) is None
            record = decode(message.value or b"")
            assert isinstance(record, Receipts)
            logged = verify_checkpoint(record.checkpoint.encode(), policy)
            assert len(logged.witnesses) == 11
            for one in record.proofs:
                verify_inclusion(
                    one.index, logged.checkpoint.size, leaf_hash(one.entry), one.path, logged.checkpoint.root
                )  # fmt: skip
                found[one.index] = code
    return found


@pytest.mark.kafka
def test_a_quorum_makes_final_what_the_log_signed_whatever_is_killed(
    bootstrap: str, tmp_path: Path
) -> None:
    """Ten of twenty: checkpoints go on, nothing is final. With the eleventh every outcome has its receipt."""
    asyncio.run(_quorum(bootstrap, tmp_path))


async def _quorum(bootstrap: str, folder: Path) -> None:
    path = folder / "alliance.toml"
    path.write_text(configuration(), encoding="utf-8")
    (folder / "hub-keys").mkdir()
    (folder / "hub-keys" / "log.key").write_text(KEY.private_text)
    policy = load_alliance(path).policy()
    await apply_all(bootstrap, path)
    supervisor = Supervisor(
        folder / "log",
        {"ALLIANCE_FILE": str(path), "ALLIANCE_BOOTSTRAP": bootstrap, "ALLIANCE_STATE": str(folder)},
    )  # fmt: skip
    running, files = Hub(bootstrap, folder, supervisor), LogFiles(folder / "tlog")
    codes = list(TEN)
    witnesses = asyncio.create_task(cosign(bootstrap, codes))

    def signed() -> int:
        note = files.read_if_there(CHECKPOINT)
        return open_checkpoint(note, [KEY.verifier])[0].size if note else 0

    def witnessed() -> int:
        note = files.read_if_there(WITNESSED)
        return verify_checkpoint(note, policy).checkpoint.size if note else 0

    async def kinds() -> list[bytes | None]:
        return [header(m.headers, KIND) for m in await read(bootstrap, topics.CHECKPOINTS)]

    try:
        for part in (*PARTS, "signer", "receipts"):
            await running.start(part)
        first, second, third = offers(300, "a"), offers(300, "b"), offers(300, "c")
        await publish(bootstrap, first, slices=3)
        await running.until("the first entries are signed", lambda: signed() == 300)
        await publish(bootstrap, second, slices=3)
        await running.until("the second entries are signed", lambda: signed() == 600)
        assert b"witnessed" not in await kinds()
        assert len(await kinds()) >= 2
        assert await proven(bootstrap, policy) == {}

        codes.append(ELEVENTH)
        await publish(bootstrap, third[:100])
        running.kill("signer")
        running.kill("receipts")
        await publish(bootstrap, third[100:200])
        await asyncio.sleep(1.5)
        running.kill("receipts")
        running.kill("signer")
        await publish(bootstrap, third[200:])
        await running.until("all is signed", lambda: signed() == 900)
        await running.until("all is witnessed", lambda: witnessed() == 900)
        if witnesses.done():
            await witnesses  # raises what it found

        entries = await entries_of(bootstrap)
        assert [entry.outcome for entry, _ in entries] == ["applied"] * 900
        assert await proven(bootstrap, policy) == {n: e.member for n, (e, _) in enumerate(entries)}
        checkpoint = verify_checkpoint(files.read(WITNESSED), policy).checkpoint
        reader = TileReader(files.read, 900, checkpoint.root)
        assert [reader.entry(index) for index in range(900)] == [value for _, value in entries]
    finally:
        witnesses.cancel()
        with suppress(asyncio.CancelledError):
            await witnesses
        await supervisor.stop()
