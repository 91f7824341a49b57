"""One signer's log: what it writes, in which order, and what it refuses to sign. Without a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from hub.errors import LedgerCorrupt, SettingsError
from hub.ledger.head import GENESIS
from hub.transparency.files import CHECKPOINT, LogFiles
from hub.transparency.record import AnotherSigner, Signed, open_record
from schemas.codec import encode
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.tlog.merkle import EMPTY_ROOT, Frontier, leaf_hash
from schemas.tlog.tiles import TileReader, Tiles
from tests.support.entries import Told, entry, with_voids
from tests.support.transparency import (
    KEY,
    ORIGIN,
    Bench,
    Crash,
    CrashingFiles,
    CrashingRecord,
    as_read,
    bench,
    entries,
    other_key,
)

VALUES = entries(700)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def root(count: int, values: list[bytes] = VALUES) -> bytes:
    return Frontier().extend(leaf_hash(value) for value in values[:count]).root()


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of the log, those replaced by a full tile apart."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_a_checkpoint_stands_on_the_entries_that_count(place: Bench) -> None:
    """Leaf `seq - 1` is the entry's bytes as they stand in the topic; void records are no leaves."""
    log = with_voids(VALUES, seed=3)
    assert len(log) > len(VALUES)
    place.sign(log)
    note = place.files.read(CHECKPOINT)
    checkpoint, _ = open_checkpoint(note, [KEY.verifier])
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, 700, root(700))
    reader = TileReader(place.files.read, 700, checkpoint.root)
    assert [reader.entry(index) for index in range(0, 700, 50)] == VALUES[::50]
    place.assert_chain()


@settings(max_examples=12, deadline=None)
@given(cuts=st.sets(st.integers(1, 699), max_size=12), restarts=st.booleans())
def test_however_it_grew_the_files_are_the_same(cuts: set[int], *, restarts: bool) -> None:
    """Anyone may compare two mirrors byte for byte. Whole tiles and the last parts are those of one growth."""
    with TemporaryDirectory() as folder, bench(Path(folder)) as place:
        signing = place.open()
        for end in sorted({*cuts, len(VALUES)}):
            if restarts:
                signing = place.open()
            start = signing.next_offset if restarts else signing.size
            signing.feed(as_read(VALUES[:end], start))
            place.publish(signing, signing.step())
        wanted = Tiles().grow(VALUES)[1]
        held = files_of(place.files.folder)
        assert {path: held.get(path) for path in wanted} == wanted
        replaced = {path for path in held if ".p/" in path and path.split(".p/")[0] in held}
        assert replaced == set()
        place.assert_chain()


def test_nothing_is_signed_before_the_first_entry(place: Bench) -> None:
    """Size 0 proves nothing and would be the first checkpoint of every witness."""
    assert place.sign([]).signed == Signed()
    assert place.published == []
    assert not place.files.folder.exists()


def crash_points() -> list[tuple[str, int]]:
    """Every file of the second step, both sides of the record, both sides of the topic."""
    files = len(set(Tiles().grow(VALUES)[1]) - set(Tiles().grow(VALUES[:300])[1])) + 1
    return [
        *(("file", number) for number in range(1, files + 1)),
        ("before", 0), ("after", 0), ("topic", 0), ("told", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("where", "number"), crash_points())
def test_after_a_crash_anywhere_the_next_start_repairs(
    place: Bench, where: str, number: int
) -> None:
    """Order: files, record, checkpoint file, topic. No size is signed twice, nothing signed stays unsaid."""
    place.sign(VALUES[:300])
    files = CrashingFiles(place.files.folder, number if where == "file" else 0)
    record = CrashingRecord(place.record, where)
    signing = place.open(files=files, record=record)
    signing.feed(as_read(VALUES, signing.next_offset))
    try:
        publication = signing.step()
        assert publication is not None
        assert where in (
            "topic",
            "told",
        )  # it dies before Kafka has the checkpoint, or before it hears of it
        if where == "told":
            place.published.append(publication.request)
    except Crash:
        assert where in ("file", "before", "after")
    signed_before_crash = place.record.newest()
    place.sign(VALUES)
    place.assert_chain()
    assert place.record.newest().size == place.in_topic.size == 700  # type: ignore[union-attr]
    assert open_checkpoint(place.files.read(CHECKPOINT), [KEY.verifier])[0].root == root(700)
    assert signed_before_crash.root == root(signed_before_crash.size)
    wanted = Tiles().grow(VALUES)[1]
    held = files_of(place.files.folder)
    assert {path: held.get(path) for path in wanted} == wanted


def test_the_crash_points_are_those_of_the_step(place: Bench) -> None:
    """The list above covers the last file, which is the checkpoint: one more does not crash."""
    place.sign(VALUES[:300])
    last = [number for where, number in crash_points() if where == "file"][-1]
    signing = place.open(files=CrashingFiles(place.files.folder, last))
    signing.feed(as_read(VALUES, signing.next_offset))
    with pytest.raises(Crash, match="checkpoint"):
        signing.step()


def test_of_two_signers_one_stops_and_no_size_has_two_roots(tmp_path: Path) -> None:
    """They may run on two machines with folders of their own: the record decides."""
    with bench(tmp_path) as one:
        two = Bench(LogFiles(tmp_path / "other"), one.record, one.published)
        first, second = one.open(), two.open()
        first.feed(as_read(VALUES[:300]))
        second.feed(as_read(VALUES[:400]))
        one.publish(first, first.step())
        with pytest.raises(AnotherSigner, match=r"is at size 300 .* wanted size 0 "):
            second.step()
        with pytest.raises(FileNotFoundError):
            two.files.read(CHECKPOINT)
        two.sign(VALUES)  # started again it goes on from the record
        first.feed(as_read(VALUES, 300))
        with pytest.raises(AnotherSigner, match="another signer works for this log"):
            first.step()
        one.assert_chain()
        assert [
            Checkpoint.parse(
                open_checkpoint(two.files.read(CHECKPOINT), [KEY.verifier])[1].text
            ).size
        ] == [700]


def test_the_record_changes_only_from_what_it_holds(tmp_path: Path) -> None:
    """Size and root are both compared; the loser has changed nothing."""
    with open_record(f"sqlite:///{tmp_path}/signer.db", ORIGIN) as record:
        nothing = record.newest()
        assert nothing == Signed(0, EMPTY_ROOT, bytes(32), -1)
        first = Signed(3, bytes([3]) * 32, bytes([4]) * 32, 7)
        record.advance(nothing, first)
        for wrong in (nothing, replace(first, root=bytes(32)), replace(first, size=2)):
            with pytest.raises(AnotherSigner):
                record.advance(wrong, Signed(9, bytes(32), bytes(32), 9))
        assert record.newest() == first
    with open_record(f"sqlite:///{tmp_path}/signer.db", "other.example/log") as record:
        assert record.newest() == Signed()


def test_an_entry_that_is_too_long_for_a_bundle_is_named(place: Bench) -> None:
    """Ledgers from before entries had a limit may hold one."""
    value = encode(replace(entry(GENESIS, Told()), event=bytes(65_536)))
    with pytest.raises(LedgerCorrupt, match="an entry from seq 1 on cannot be a leaf"):
        place.sign([value])


def test_only_a_database_that_can_hold_the_record_is_taken() -> None:
    """The setting is named."""
    with (
        pytest.raises(SettingsError, match="ALLIANCE_SIGNER_DATABASE names 'mysql'"),
        open_record("mysql://x/y", ORIGIN),
    ):
        pass


def test_a_folder_has_one_signer(tmp_path: Path) -> None:
    """On one machine the second does not even begin."""
    files = LogFiles(tmp_path / "tlog")
    second = LogFiles(tmp_path / "tlog")
    with (
        files.locked(),
        pytest.raises(AnotherSigner, match="another signer works in"),
        second.locked(),
    ):
        pass
    with files.locked():
        pass


def gone(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def inner_tile_gone(folder: Path) -> None:
    (folder / "tile/0/000").unlink()


def inner_tile_cut(folder: Path) -> None:
    (folder / "tile/0/001").write_bytes((folder / "tile/0/001").read_bytes()[:-1])


def inner_bundle_empty(folder: Path) -> None:
    (folder / "tile/entries/001").write_bytes(b"")


def edge_gone(folder: Path) -> None:
    (folder / "tile/1/000.p/2").unlink()


def edge_flipped(folder: Path) -> None:
    path = folder / "tile/0/002.p/188"
    path.write_bytes(bytes(32) + path.read_bytes()[32:])


def last_bundle_cut(folder: Path) -> None:
    path = folder / "tile/entries/002.p/188"
    path.write_bytes(path.read_bytes()[:-10])


def checkpoint_gone(folder: Path) -> None:
    (folder / "checkpoint").unlink()


@pytest.mark.parametrize(
    "spoil",
    [gone, inner_tile_gone, inner_tile_cut, inner_bundle_empty, edge_gone, edge_flipped, last_bundle_cut, checkpoint_gone],
)  # fmt: skip
def test_lost_files_are_made_anew_from_the_ledger(
    place: Bench, spoil: Callable[[Path], None]
) -> None:
    """The topic holds all that the files hold; the record says which root must come out."""
    place.sign(VALUES)
    before, published = files_of(place.files.folder), list(place.published)
    spoil(place.files.folder)
    signing = place.open()
    assert bool(signing.why_rebuilt) == (spoil is not checkpoint_gone)
    place.run(signing, VALUES)
    assert {path: files_of(place.files.folder).get(path) for path in before} == before
    assert place.published == published  # nothing new was signed
    assert place.record.newest().size == 700


def test_files_that_are_there_are_not_read_again_from_the_ledger(place: Bench) -> None:
    """A start costs the last entry and what is new, however long the log is."""
    place.sign(with_voids(VALUES[:600], seed=1))
    signing = place.open()
    assert signing.why_rebuilt == ""
    assert signing.size == 600
    assert signing.next_offset >= 599


def test_lost_files_of_a_changed_ledger_are_not_signed_again(place: Bench) -> None:
    """The record is the memory of what was promised."""
    place.sign(VALUES)
    gone(place.files.folder)
    with pytest.raises(LedgerCorrupt, match=f"{root(700).hex()} was signed for that size"):
        place.sign(entries(700, seed=2))
    assert place.record.newest().root == root(700)


def test_another_ledger_behind_good_files_is_noticed_by_its_last_entry(place: Bench) -> None:
    """Before anything is added to the tree."""
    place.sign(VALUES)
    other = [*VALUES[:650], *entries(100, seed=2)]
    with pytest.raises(LedgerCorrupt, match="this is another ledger than the one signed"):
        place.sign(other)


def test_a_lost_record_is_found_again_in_what_was_published(tmp_path: Path) -> None:
    """Topic and folder remember; a new record first has to reach the same root."""
    with bench(tmp_path) as place:
        place.sign(VALUES[:300])
        published = place.published
    (tmp_path / "signer.db").unlink()
    with bench(tmp_path) as place:
        place.published = published
        signing = place.open()
        assert signing.behind is not None
        assert signing.behind.size == 300
        signing.feed(as_read(VALUES[:200]))
        assert signing.step() is None  # no checkpoint of a size below one that was published
        assert place.record.newest().size == 0
        signing.feed(as_read(VALUES, 200))
        while signing.pending:
            place.publish(signing, signing.step())
        place.assert_chain()
        assert place.record.newest().size == 700
    (tmp_path / "signer.db").unlink()
    with bench(tmp_path) as place:
        place.published = published
        with pytest.raises(LedgerCorrupt, match="was signed for that size"):
            place.sign(entries(700, seed=2))


def test_a_size_the_topic_has_with_another_root_stops_the_signer(place: Bench) -> None:
    """That is the one thing a log must never do; it says so and signs nothing more."""
    place.sign(VALUES[:300])
    lie = Checkpoint(ORIGIN, 300, root(300, entries(300, seed=2)))
    with pytest.raises(LedgerCorrupt, match=f"size 300 .* {root(300).hex()}|{lie.root.hex()}"):
        place.open(in_topic=lie)


def test_a_tree_that_does_not_continue_the_record_is_not_signed(tmp_path: Path) -> None:
    """Sizes and roots are named. Here the record was changed by hand between two steps."""
    url = f"sqlite:///{tmp_path / 'signer.db'}"
    with bench(tmp_path) as place:
        signing = place.sign(VALUES[:300])
        lie = replace(signing.signed, root=root(300, entries(300, seed=2)))
        signing.signed = lie
        signing.feed(as_read(VALUES, 300))
        with pytest.raises(LedgerCorrupt) as found:
            signing.step()
        for named in (
            "size 700",
            root(700).hex(),
            "size 300",
            lie.root.hex(),
            "nothing was signed",
        ):
            assert named in str(found.value)
        assert place.record.newest().size == 300
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("update signed set root = zeroblob(32)"))
    engine.dispose()
    with bench(tmp_path) as place, pytest.raises(LedgerCorrupt, match="size 300"):
        place.sign(VALUES)


class BadDisk(LogFiles):
    """Keeps something else than it was given, for one path."""

    def _put(self, path: Path, content: bytes) -> set[Path]:
        spoilt = path.match("tile/0/002.p/*")
        return super()._put(path, bytes(32) + content[32:] if spoilt else content)


def test_files_that_do_not_hold_the_tree_are_noticed_before_signing(place: Bench) -> None:
    """The proof that the new tree continues the old one is made from the files as they lie there."""
    place.sign(VALUES[:600])
    signing = place.open(files=BadDisk(place.files.folder))
    signing.feed(as_read(VALUES, signing.next_offset))
    with pytest.raises(LedgerCorrupt, match=r"cannot be used: .*; nothing was signed"):
        signing.step()
    assert place.record.newest().size == 600


def test_a_checkpoint_file_of_another_log_is_not_overwritten(place: Bench) -> None:
    """The folder may be the wrong one."""
    place.sign(VALUES[:300])
    foreign = sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), [other_key(KEY)])
    (place.files.folder / CHECKPOINT).write_bytes(foreign)
    with pytest.raises(LedgerCorrupt, match=r"is not a checkpoint of test\.example/ledger"):
        place.open()
    assert place.files.read(CHECKPOINT) == foreign
