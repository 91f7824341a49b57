"""The log over HTTP: its files and nothing else, and receipts as files that verify offline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httpx
import pytest
from starlette.applications import Starlette

from hub.api.overview import Watch
from hub.api.problems import HANDLERS
from hub.api.routes import Api
from hub.store import tables
from hub.store.fold import Taken, fold
from hub.store.queries import Reader
from hub.transparency.files import CHECKPOINT, WITNESSED
from schemas import topics
from schemas.tlog.checkpoint import open_checkpoint
from schemas.tlog.errors import BadProof
from schemas.tlog.merkle import leaf_hash
from schemas.tlog.note import join_note
from schemas.tlog.proof import LogProof, verify_proof
from schemas.tlog.tiles import TileReader, changed_bundles, changed_tiles
from tests.support.transparency import ALLIANCE, ELEVEN, KEY, T0_S, WITNESSES, Bench, bench, entries

VALUES = entries(600)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    """A log of 600 entries whose first 300 are witnessed."""
    with bench(tmp_path) as made:
        made.sign(VALUES[:300])
        note = open_checkpoint(made.files.read(CHECKPOINT), [KEY.verifier])[1]
        lines = [WITNESSES[code].cosign(note.text, T0_S) for code in ELEVEN]
        made.files.write({WITNESSED: join_note(note.text, (*note.verified, *lines))})
        made.sign(VALUES)
        yield made


@pytest.fixture
def app(place: Bench, tmp_path: Path) -> Iterator[Starlette]:
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    fold(
        engine,
        {},
        [Taken(topics.LEDGER_ENTRIES, 0, n, value, b"") for n, value in enumerate(VALUES)],
    )
    api = Api(Reader(engine), ALLIANCE, cast(Watch, None), place.files.folder)
    yield Starlette(routes=api.routes(), exception_handlers=HANDLERS)
    engine.dispose()


def get(app: Starlette, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.get(
                path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )

    return asyncio.run(ask())


def test_a_mirror_can_read_the_whole_log(app: Starlette, place: Bench) -> None:
    """Every file a tree of this size has, and with these the tree."""
    answer = get(app, "/log/checkpoint")
    checkpoint, _ = open_checkpoint(answer.content, [KEY.verifier])
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    for one in (*changed_tiles(0, 600), *changed_bundles(0, 600)):
        found = get(app, f"/log/{one.path}")
        assert found.status_code == 200
        assert found.content == place.files.read(one.path)
        assert found.headers["content-type"] == "application/octet-stream"
        assert "immutable" in found.headers["cache-control"]

    def read(path: str) -> bytes:
        return get(app, f"/log/{path}").raise_for_status().content

    reader = TileReader(read, checkpoint.size, checkpoint.root)
    assert [reader.entry(index) for index in (0, 299, 599)] == [VALUES[0], VALUES[299], VALUES[599]]


def test_an_unchanged_checkpoint_is_not_sent_again(app: Starlette) -> None:
    """A poll costs a line."""
    first = get(app, "/log/checkpoint.witnessed")
    again = get(app, "/log/checkpoint.witnessed", if_none_match=first.headers["etag"])
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    other = get(app, "/log/checkpoint", if_none_match=first.headers["etag"])
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/log/", "/log/.lock", "/log/signer.db", "/log/../signer.db", "/log/%2e%2e/signer.db",
        "/log/tile/../../signer.db", "/log/tile/0/../../../signer.db", "/log/..%2fsigner.db", "/log//etc/passwd",
        "/log/%2fetc/passwd", "/log/tile/0", "/log/tile/0/0", "/log/tile/0/000.p", "/log/tile/0/000.new",
        "/log/tile/0/009", "/log/tile/0/000.p/5", "/log/tile/64/000", "/log/tile/entries/000%00",
        "/log/checkpoint/",
    ],
)  # fmt: skip
def test_nothing_else_is_served(app: Starlette, place: Bench, path: str) -> None:
    """Not what lies beside the folder, not what lies in it under another name; the answer is a problem."""
    (place.files.folder.parent / "signer.db").touch()
    (place.files.folder / "signer.db").write_bytes(b"secret")
    (place.files.folder / "tile/0/000.new").write_bytes(b"half")
    answer = get(app, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "NOT_FOUND"


def test_before_the_first_checkpoint_the_log_says_so(app: Starlette, place: Bench) -> None:
    """404, as C2SP clients expect, with what to look at."""
    for name in (CHECKPOINT, WITNESSED):
        (place.files.folder / name).unlink()
        answer = get(app, f"/log/{name}")
        assert answer.status_code == 404
        assert "alliance run signer" in answer.json()["detail"]


def test_a_receipt_verifies_offline(app: Starlette) -> None:
    """With the policy alone; and for no other entry."""
    answer = get(app, "/api/v1/receipts/event-123")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    proof = LogProof.parse(answer.content)
    logged = verify_proof(proof, leaf_hash(VALUES[122]), ALLIANCE.policy())
    assert (proof.index, logged.checkpoint.size) == (122, 300)
    with pytest.raises(BadProof):
        verify_proof(proof, leaf_hash(VALUES[123]), ALLIANCE.policy())


def test_what_is_not_witnessed_yet_is_a_conflict_and_what_is_not_there_not_found(
    app: Starlette, place: Bench
) -> None:
    """The caller waits in the first case and looks for a mistake in the second."""
    early = get(app, "/api/v1/receipts/event-301")
    assert (early.status_code, early.json()["code"]) == (409, "NOT_WITNESSED")
    assert "is number 301, members have cosigned 300 entries" in early.json()["detail"]
    assert get(app, "/api/v1/receipts/event-601").status_code == 404
    assert get(app, "/api/v1/receipts/a/b%00c").status_code == 404
    (place.files.folder / WITNESSED).unlink()
    none = get(app, "/api/v1/receipts/event-1")
    assert (none.status_code, none.json()["code"]) == (409, "NOT_WITNESSED")


def test_spoilt_files_give_no_receipt(app: Starlette, place: Bench) -> None:
    """Nor a page of our source: a problem that says what operators do."""
    path = place.files.folder / "tile/0/000"
    path.write_bytes(bytes(32) + path.read_bytes()[32:])
    answer = get(app, "/api/v1/receipts/event-1")
    assert (answer.status_code, answer.json()["code"]) == (503, "LOG_UNREADABLE")
    assert "tile/0/000" in answer.json()["detail"]
