"""Nobody can change a copy of the log unseen: every kind of damage to every kind of file is found and named.

The attacker here holds the files, or the log's own key, but neither a member's key nor those of a quorum of witnesses.
Each case starts from a sound copy (the first test), so a check that is taken out makes its cases pass as sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hub.verify.outcome import Code, Failure
from hub.verify.trust import open_signed
from schemas.tlog.note import Signer as LogSigner
from tests.support.ledger import HOME, HOST, OTHER
from tests.support.verified_log import (
    LOG,
    ORIGIN,
    Log,
    alliance,
    alliance_toml,
    checkpoint_note,
    log_of,
    place_of,
    rechained,
    seed,
    small_ledger,
    small_log,
    tiles_of,
    verify,
)

FULL, EDGE, ABOVE = "tile/0/000", "tile/0/002.p/{width}", "tile/1/000.p/2"
BUNDLE, LAST_BUNDLE = "tile/entries/000", "tile/entries/002.p/{width}"


def named(path: str) -> str:
    """A path of the small log: the width of its last files follows from its size."""
    return path.format(width=len(small_log().entries) % 256)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A sound copy, beside the configuration and a checkpoint kept from before."""
    (tmp_path / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    (tmp_path / "kept").write_bytes(checkpoint_note(small_log().entries[:300]))
    return small_log().write(tmp_path / "log")


def mirror(copy: Path, *more: str | Path) -> tuple[int, str]:
    code, values = verify(
        "mirror", "--tiles", copy, "--alliance", copy.parent / "alliance.toml", *more
    )
    return code, place_of(values) if "failure" in values else ""


def test_a_sound_copy_is_found_sound(copy: Path) -> None:
    """What all cases below start from: two full tiles, their edges, the tile above, all entries."""
    code, values = verify(
        "mirror", "--tiles", copy, "--alliance", copy.parent / "alliance.toml", "--since", copy.parent / "kept"
    )  # fmt: skip
    assert code == Code.OK, values
    assert (values["tiles"], values["bundles"]) == (4, 3)
    assert values["entries"] == len(small_log().entries) > 512


# Single bytes


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("path", [FULL, EDGE, ABOVE])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_a_flipped_byte_of_a_hash_tile_is_found(copy: Path, path: str, where: float) -> None:
    """Edge tiles are held against the root together, a full one against the hash above it."""
    target = copy / named(path)
    data = target.read_bytes()
    target.write_bytes(flipped(data, int(where * (len(data) - 1))))
    code, place = mirror(copy)
    assert code == Code.PROOF
    assert named(path) in place if path == FULL else "partial tiles" in place


def spots(bundle: bytes) -> dict[str, int]:
    """One byte of every kind in the first entry of a bundle."""
    entry = small_ledger().entries[0].entry
    event = bundle.index(entry.event)
    return {
        "length, high": 0,
        "length, low": 1,
        "frame": 2,
        "schema id": 6,
        "seq": 7,
        "prev_hash": 9,
        "event id": bundle.index(entry.event_id.encode()),
        "member": bundle.index(entry.member.encode()),
        "event": event + len(entry.event) // 2,
        "key id": bundle.index(entry.key_id.encode()),
        "signature": bundle.index(entry.signature) + 5,
        "second length": 2 + int.from_bytes(bundle[:2], "big"),
        "last": len(bundle) - 1,
    }


@pytest.mark.parametrize("spot", spots(small_log().files[BUNDLE]))
def test_a_flipped_byte_of_a_bundle_is_found(copy: Path, spot: str) -> None:
    """Lengths, header fields, event, signature: the leaf is the whole entry."""
    target = copy / BUNDLE
    data = target.read_bytes()
    target.write_bytes(flipped(data, spots(data)[spot]))
    code, place = mirror(copy)
    assert code == Code.PROOF
    assert BUNDLE in place


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint.witnessed"])
def test_every_flipped_byte_of_a_checkpoint_is_found(name: str) -> None:
    """Origin, size, root, blank line, dash, name, key id, time, signature: all of it is signed, or says who signed."""
    policy, data = alliance().policy(), small_log().files[name]
    log_alone = name == "checkpoint"
    open_signed(data, policy, name, log_alone=log_alone)
    for at in range(len(data)):
        with pytest.raises(Failure, match=name) as caught:
            open_signed(flipped(data, at), policy, name, log_alone=log_alone)
        assert caught.value.code in (Code.MALFORMED, Code.SIGNATURE), at


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint.witnessed"])
@pytest.mark.parametrize("line", range(6))
def test_a_damaged_checkpoint_stops_every_command(copy: Path, name: str, line: int) -> None:
    """Nothing is read under a checkpoint that is not sound; the file is named."""
    data = (copy / name).read_bytes()
    starts = [0, *(at + 1 for at, byte in enumerate(data[:-1]) if byte == 10)]
    target = starts[min(line, len(starts) - 1)]
    (copy / name).write_bytes(flipped(data, target))
    for command in (("mirror", "--tiles"), ("replay", "--entries")):
        code, values = verify(
            *command, copy, "--alliance", copy.parent / "alliance.toml", "--invariants", "I5"
        ) if command[0] == "replay" else verify(
            *command, copy, "--alliance", copy.parent / "alliance.toml"
        )  # fmt: skip
        assert code in (Code.MALFORMED, Code.SIGNATURE)
        assert f"log/{name}" in place_of(values)


# Lengths


def cuts(length: int) -> list[int]:
    """What may be left of a file: nothing, a byte, a part, all but one hash, all but a byte."""
    return sorted({0, 1, length // 3, length // 2, length - 32, length - 1})


FILES = (FULL, EDGE, ABOVE, BUNDLE, LAST_BUNDLE, "checkpoint", "checkpoint.witnessed")


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("cut", range(6))
def test_a_file_cut_short_is_found(copy: Path, path: str, cut: int) -> None:
    """A disk that was full, a copy that was interrupted."""
    target = copy / named(path)
    data = target.read_bytes()
    target.write_bytes(data[: cuts(len(data))[min(cut, len(cuts(len(data))) - 1)]])
    code, place = mirror(copy)
    signed = path.startswith("checkpoint")
    assert code in ((Code.MALFORMED, Code.SIGNATURE) if signed else (Code.PROOF,))
    edge = path in (EDGE, ABOVE)
    assert (f"log/{path}" if signed else named(path)) in place or (edge and "partial" in place)


@pytest.mark.parametrize("path", FILES)
def test_a_file_with_more_behind_it_is_found(copy: Path, path: str) -> None:
    """Bytes that nobody signed must not ride along."""
    with (copy / named(path)).open("ab") as file:
        file.write(b"\0" * 32)
    assert mirror(copy)[0] in (Code.MALFORMED, Code.SIGNATURE, Code.PROOF)


@pytest.mark.parametrize("path", FILES)
def test_a_missing_file_is_named(copy: Path, path: str) -> None:
    """Incomplete is not false: another code, and the file to fetch again."""
    (copy / named(path)).unlink()
    code, place = mirror(copy)
    if path == "checkpoint":  # only the cosigned one is needed
        assert code == Code.OK
        return
    assert code == Code.UNREADABLE
    assert named(path).split(".p/")[0] in place


# Whole files


@pytest.mark.parametrize(
    ("one", "other"),
    [(FULL, "tile/0/001"), (BUNDLE, "tile/entries/001"), (FULL, BUNDLE), (EDGE, ABOVE), ("checkpoint", "checkpoint.witnessed")],
)  # fmt: skip
def test_swapped_files_are_found(copy: Path, one: str, other: str) -> None:
    """Right contents in the wrong place."""
    first, second = copy / named(one), copy / named(other)
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    code, _ = mirror(copy)
    assert code == (Code.SIGNATURE if one == "checkpoint" else Code.PROOF)


def test_a_stray_file_is_named(copy: Path) -> None:
    """A copy holds the log and nothing else; a partial tile of an older tree must be the beginning of the full one."""
    (copy / "tile/0/notes.txt").write_text("x", encoding="utf-8")
    assert mirror(copy) == (Code.MALFORMED, f"{copy}/tile/0/notes.txt")
    (copy / "tile/0/notes.txt").unlink()
    old = copy / "tile/0/000.p/100"
    old.parent.mkdir()
    old.write_bytes(small_log().files[FULL][: 100 * 32])
    assert mirror(copy)[0] == Code.OK
    old.write_bytes(small_log().files[FULL][32 : 101 * 32])
    code, place = mirror(copy)
    assert code == Code.PROOF
    assert "hash 0 of tile/0/000.p/100" in place


# Checkpoints that somebody made


def test_a_checkpoint_of_another_key_is_refused(copy: Path) -> None:
    """Same origin, same root, a key that the configuration does not name; with or without true cosignatures."""
    forger = LogSigner(ORIGIN, seed("forger"))
    for witnesses in ((), (HOME, HOST)):
        note = checkpoint_note(small_log().entries, forger, witnesses)
        (copy / "checkpoint.witnessed").write_bytes(note)
        code, place = mirror(copy)
        assert code == Code.SIGNATURE
        assert "log/checkpoint.witnessed" in place


@pytest.mark.parametrize("witnesses", [(), (HOME,), (HOST,), (HOME, OTHER)])
def test_too_few_cosignatures_are_refused(copy: Path, witnesses: Sequence[str]) -> None:
    """One of each region: no region alone can vouch for the log."""
    (copy / "checkpoint.witnessed").write_bytes(
        checkpoint_note(small_log().entries, witnesses=witnesses)
    )
    assert mirror(copy)[0] == Code.SIGNATURE
    (copy / "checkpoint.witnessed").unlink()
    assert mirror(copy)[0] == Code.UNREADABLE
    assert mirror(copy, "--unwitnessed")[0] == Code.OK  # who asks for less gets it


def test_cosignatures_of_another_checkpoint_do_not_count(copy: Path) -> None:
    """Lines lifted from an older checkpoint."""
    old = checkpoint_note(small_log().entries[:400]).decode().splitlines(keepends=True)
    fresh = checkpoint_note(small_log().entries, witnesses=())
    (copy / "checkpoint.witnessed").write_bytes(fresh + "".join(old[-2:]).encode())
    assert mirror(copy)[0] == Code.SIGNATURE


def test_another_log_under_our_name_is_refused(copy: Path) -> None:
    """The log's key signs for its own origin alone."""
    other = checkpoint_note(small_log().entries, origin="elsewhere.test/ledger")
    (copy / "checkpoint.witnessed").write_bytes(other)
    assert mirror(copy)[0] == Code.SIGNATURE


def rewritten_tail(dropped: int) -> Log:
    """The log with another end, as the holder of the log's key could write it: the last entries are gone, one is new."""
    entries = [written.entry for written in small_ledger().entries]
    forged = log_of(rechained([*entries[:-dropped], entries[5]]))
    forged.files["checkpoint.witnessed"] = small_log().files["checkpoint.witnessed"]
    return forged


def test_a_rewritten_tail_contradicts_what_the_quorum_saw(copy: Path) -> None:
    """The attacker has the log's key: two roots of one size, both signed by it, are evidence against it."""
    rewritten_tail(1).write(copy)
    code, place = mirror(copy)
    assert code == Code.EQUIVOCATION
    assert "log/checkpoint.witnessed" in place


def test_a_second_root_is_equivocation_whatever_the_tiles_are(copy: Path) -> None:
    """The files are those the quorum saw, the log's own checkpoint of the same size is not."""
    (copy / "checkpoint").write_bytes(rewritten_tail(1).files["checkpoint"])
    code, place = mirror(copy)
    assert code == Code.EQUIVOCATION
    assert place.endswith("log/checkpoint")


def test_a_shorter_rewritten_tail_is_not_what_the_quorum_saw(copy: Path) -> None:
    """The copy no longer holds the tree that was cosigned."""
    rewritten_tail(3).write(copy)
    for old in ("tile/0/002.p/{width}", "tile/entries/002.p/{width}"):
        (copy / named(old)).unlink()
    code, place = mirror(copy)
    assert code == Code.UNREADABLE
    assert "tile/0/002" in place


def test_a_longer_rewritten_log_is_equivocation(copy: Path) -> None:
    """More entries than before, another beginning, everything of it sound: only the cosigned checkpoint tells."""
    entries = [written.entry for written in small_ledger().entries]
    longer = log_of(rechained([*entries[5:], *entries]))
    longer.files["checkpoint.witnessed"] = small_log().files["checkpoint.witnessed"]
    longer.write(copy)
    code, place = mirror(copy)
    assert code == Code.EQUIVOCATION
    assert "checkpoint.witnessed" in place


def test_a_rewritten_log_with_every_signature_contradicts_a_kept_checkpoint(copy: Path) -> None:
    """The whole quorum helps: whoever kept one checkpoint from before still sees it, and can show it."""
    entries = [written.entry for written in small_ledger().entries]
    log_of(rechained([*entries[:100], *entries[101:]])).write(copy)
    for path in copy.rglob("*.p"):
        for stale in path.iterdir():
            if f"{stale.relative_to(copy)}" not in tiles_of(entries_of(copy))[1]:
                stale.unlink()
    assert mirror(copy)[0] == Code.OK
    kept = copy.parent / "kept"
    code, place = mirror(copy, "--since", kept)
    assert code == Code.EQUIVOCATION
    assert str(kept) in place
    evidence = copy.parent / "evidence.json"
    given = ("--alliance", copy.parent / "alliance.toml")
    code, values = verify("equivocation", kept, copy / "checkpoint", "--tiles", copy, "--out", evidence, *given)  # fmt: skip
    assert (code, values["equivocation"]) == (Code.EQUIVOCATION, True)
    assert verify("equivocation", evidence, *given)[0] == Code.EQUIVOCATION


def entries_of(copy: Path) -> list[bytes]:
    """The entries a rewritten copy has: those of the small log less one."""
    entries = [written.entry for written in small_ledger().entries]
    return rechained([*entries[:100], *entries[101:]])


def test_an_old_copy_is_found_by_who_saw_more(copy: Path) -> None:
    """Everything is signed and sound, and behind: a log never shrinks (I13)."""
    newer = copy.parent / "newer"
    newer.write_bytes(checkpoint_note(small_log().entries))
    old = log_of(small_log().entries[:300]).write(copy.parent / "old")
    (old / "alliance.toml").unlink(missing_ok=True)
    assert mirror(old)[0] == Code.OK
    code, place = mirror(old, "--since", newer)
    assert code == Code.INVARIANT
    assert place.startswith("I13")


def test_the_logs_own_checkpoint_may_be_ahead(copy: Path) -> None:
    """A quorum answers later than the log signs: ahead is no fault, and is checked to be an extension."""
    (copy / "checkpoint.witnessed").write_bytes(checkpoint_note(small_log().entries[:400]))
    assert mirror(copy)[0] == Code.OK
    (copy / "checkpoint.witnessed").write_bytes(
        checkpoint_note(small_log().entries[:400][::-1], LOG)
    )
    assert mirror(copy)[0] == Code.EQUIVOCATION
