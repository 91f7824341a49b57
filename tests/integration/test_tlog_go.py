"""What schemas.tlog makes, verified by code that shares no line with it: Go's packages of the checksum database.

Needs Go; the module is fetched by Go itself. Without Go the tests are skipped, with the reason. Where CI=true and Go is
there, a build that fails is a failure.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from schemas.tlog.note import Signer
from schemas.tlog.tiles import TileReader, Tiles
from tests.support.transparency import KEY, bench, entries

SOURCE = Path(__file__).parents[1] / "support" / "tlog_go"
LOG = Signer("alliance.example/ledger", bytes(range(32)))
WITNESS = CosignatureSigner("w1.example/witness", ED25519_COSIGNATURE, bytes(32))
SIZE = 70_000
Check = dict[str, Any]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier, built from tests/support/tlog_go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go on this machine: the second verifier is not built")
    built = tmp_path_factory.mktemp("tlog_go") / "tlogcheck"
    done = subprocess.run(
        [go, "build", "-mod=readonly", "-o", str(built), "."], cwd=SOURCE, capture_output=True, text=True, check=False, timeout=300
    )  # fmt: skip
    if done.returncode != 0:
        reason = f"go build failed: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return built


@pytest.fixture(scope="module")
def tree() -> tuple[Tiles, dict[str, bytes], list[bytes]]:
    """Three levels of tiles, and the leaf hashes."""
    entries = [f"entry {number}".encode() for number in range(SIZE)]
    tiles, files = Tiles().grow(entries)
    return tiles, files, [leaf_hash(entry) for entry in entries]


def asked(program: Path, checks: list[Check]) -> list[dict[str, Any]]:
    """The answers, one for each check."""
    done = subprocess.run(
        [str(program)], input=json.dumps(checks, default=spelled), capture_output=True, text=True, check=True, timeout=120
    )  # fmt: skip
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(answers) == len(checks)
    return answers


def spelled(value: bytes) -> str:
    """Bytes as Go's JSON reads them."""
    return b64encode(value).decode("ascii")


def verdicts(program: Path, checks: list[Check]) -> list[bool]:
    return [answer["ok"] for answer in asked(program, checks)]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_go_opens_our_checkpoints(
    program: Path, tree: tuple[Tiles, dict[str, bytes], list[bytes]]
) -> None:
    """Signed by the log alone, then with a witness, whose line Go verifies too."""
    checkpoint = Checkpoint(LOG.name, SIZE, tree[0].root(), ("extension",))
    line = WITNESS.cosign(checkpoint.text(), 1_700_000_000)
    alone, together = sign_checkpoint(checkpoint, [LOG]), sign_checkpoint(checkpoint, [LOG], [line])
    answers = asked(
        program,
        [
            {"kind": "note", "note": alone.decode(), "key": LOG.verifier.vkey},
            {"kind": "note", "note": together.decode(), "key": LOG.verifier.vkey},
            {"kind": "cosignature", "note": together.decode(), "key": WITNESS.verifier.vkey},
        ],
    )
    assert [answer["text"] for answer in answers] == [checkpoint.text()] * 3


def test_go_refuses_a_changed_checkpoint(
    program: Path, tree: tuple[Tiles, dict[str, bytes], list[bytes]]
) -> None:
    """Another size, root, time or name; a key of someone else."""
    checkpoint = Checkpoint(LOG.name, SIZE, tree[0].root())
    note = sign_checkpoint(
        checkpoint, [LOG], [WITNESS.cosign(checkpoint.text(), 1_700_000_000)]
    ).decode()
    lies = [
        note.replace("70000", "70001"),
        note.replace("ledger\n", "ledgex\n"),
        note.replace("\n\n", "\n\n\n"),
        note[:-1],
        note.replace("=\n", "\n"),
    ]
    keys = [("note", LOG.verifier.vkey), ("cosignature", WITNESS.verifier.vkey)]
    checks = [{"kind": kind, "note": lie, "key": key} for lie in lies for kind, key in keys]
    checks.append({"kind": "note", "note": note, "key": Signer(LOG.name, bytes(32)).verifier.vkey})
    assert not any(verdicts(program, checks))


def test_go_verifies_our_inclusion_proofs_and_refuses_changed_ones(
    program: Path, tree: tuple[Tiles, dict[str, bytes], list[bytes]]
) -> None:
    """Every place of small trees, chosen places of a large one; one bit anywhere is too much."""
    tiles, files, leaves = tree
    chosen = random.Random(1)
    good: list[Check] = []
    for size in [*range(1, 40), 255, 256, 257, SIZE]:
        small, small_files = (
            Tiles().grow([f"entry {number}".encode() for number in range(size)])
            if size < SIZE
            else (tiles, files)
        )
        reader = TileReader(small_files.__getitem__, size, small.root())
        for index in range(size) if size < 40 else chosen.sample(range(size), 20):
            proof = inclusion_proof(index, size, reader.read_hash)
            good.append(
                {
                    "kind": "record",
                    "size": size,
                    "root": small.root(),
                    "index": index,
                    "leaf": leaves[index],
                    "hashes": proof,
                }
            )
    assert all(verdicts(program, good))
    bad = [check | {"leaf": flipped(check["leaf"], chosen.randrange(256))} for check in good]
    bad += [check | {"root": flipped(check["root"], chosen.randrange(256))} for check in good]
    bad += [
        check | {"hashes": [flipped(one, 7) for one in check["hashes"]]}
        for check in good
        if check["hashes"]
    ]
    bad += [check | {"hashes": check["hashes"][1:]} for check in good if check["hashes"]]
    bad += [check | {"index": check["index"] ^ 1} for check in good if check["size"] > 1]
    assert not any(verdicts(program, bad))


def test_go_verifies_our_consistency_proofs_and_refuses_changed_ones(
    program: Path, tree: tuple[Tiles, dict[str, bytes], list[bytes]]
) -> None:
    """All pairs of small sizes, chosen pairs of large ones. Go does not ask about size 0."""
    tiles, files, leaves = tree
    chosen = random.Random(2)
    reader = TileReader(files.__getitem__, SIZE, tiles.root())
    sizes = [*range(1, 30), *sorted(chosen.sample(range(30, SIZE), 10)), SIZE]
    frontier, roots = Frontier(), {}
    for size in sizes:
        frontier = frontier.extend(leaves[frontier.size : size])
        roots[size] = frontier.root()
    good: list[Check] = [
        {"kind": "tree", "old_size": old, "size": new, "old_root": roots[old], "root": roots[new], "hashes": consistency_proof(old, new, reader.read_hash)}
        for new in sizes
        for old in sizes
        if old <= new
    ]  # fmt: skip
    assert all(verdicts(program, good))
    bad = [
        check | {"old_root": flipped(check["old_root"], chosen.randrange(256))} for check in good
    ]
    bad += [check | {"root": flipped(check["root"], chosen.randrange(256))} for check in good]
    bad += [
        check | {"hashes": [flipped(one, 7) for one in check["hashes"]]}
        for check in good
        if check["hashes"]
    ]
    bad += [check | {"hashes": [*check["hashes"], check["root"]]} for check in good]
    assert not any(verdicts(program, bad))


def test_go_reads_our_tiles_and_makes_the_same_proofs(
    program: Path, tree: tuple[Tiles, dict[str, bytes], list[bytes]]
) -> None:
    """Go checks every tile against the root as it reads; a tile with one other bit is refused."""
    tiles, files, _ = tree
    hash_tiles = {path: data for path, data in files.items() if "entries" not in path}
    reader = TileReader(files.__getitem__, SIZE, tiles.root())
    places = [(0, SIZE), (255, SIZE), (65_536, SIZE), (SIZE - 1, SIZE), (300, 40_000)]
    check: Check = {"kind": "tiles", "size": SIZE, "root": tiles.root()}
    needed = {
        path: hash_tiles[path]
        for path in hash_tiles
        if not path.startswith("tile/0/")
        or path[7:10] in ("000", "001", "156", "255", "256", "273")
    }
    answers = asked(
        program,
        [check | {"files": needed, "index": index, "proof_size": size} for index, size in places],
    )
    for (index, size), answer in zip(places, answers, strict=True):
        assert answer["error"] == ""
        assert answer["proof"] == [
            spelled(one) for one in inclusion_proof(index, size, reader.read_hash)
        ]
    spoilt = [
        needed | {path: flipped(needed[path], 3)}
        for path in ("tile/0/000", "tile/1/000", "tile/2/000.p/1", "tile/0/273.p/112")
    ]
    assert not any(
        verdicts(
            program, [check | {"files": one, "index": 0, "proof_size": SIZE} for one in spoilt]
        )
    )


def test_go_verifies_a_folder_that_the_signer_wrote(program: Path, tmp_path: Path) -> None:
    """Checkpoint, tiles and entries as they lie on the disk after many steps and restarts."""
    values = entries(1500)
    with bench(tmp_path) as place:
        for size in (1, 255, 256, 700, 1100, 1500):
            place.sign(values[:size])
        folder = place.files.folder
        note = place.files.read("checkpoint").decode()
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.glob("tile/[0-9]*/**/*")
            if path.is_file()
        }
    [opened] = asked(program, [{"kind": "note", "note": note, "key": KEY.verifier.vkey}])
    checkpoint = Checkpoint.parse(opened["text"])
    assert checkpoint.size == 1500
    tiles: Check = {
        "kind": "tiles",
        "size": 1500,
        "root": checkpoint.root,
        "files": files,
        "proof_size": 1500,
    }
    indices = (0, 255, 256, 1279, 1280, 1499)
    proofs = asked(program, [tiles | {"index": index} for index in indices])
    assert [answer["error"] for answer in proofs] == [""] * len(indices)
    records: list[Check] = [
        {"kind": "record", "size": 1500, "root": checkpoint.root, "index": index, "leaf": leaf_hash(values[index]), "hashes": [b64decode(one) for one in answer["proof"]]}
        for index, answer in zip(indices, proofs, strict=True)
    ]  # fmt: skip
    assert all(verdicts(program, records))
    spoilt = files | {"tile/0/002": flipped(files["tile/0/002"], 9)}
    assert verdicts(program, [tiles | {"index": 600, "files": spoilt}]) == [False]
    assert verdicts(program, [tiles | {"index": 600}]) == [True]
