"""The benchmark's ladder: that it measures the ledger, and that its own ledger is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.bench import ledger, ledger_steps
from hub.bench.ledger_steps import (
    Workload,
    audit,
    log_file,
    read_log,
    start_alone,
    start_full,
    start_quick,
    tree,
    verify,
)
from hub.ledger.head import read_entry
from schemas.signing import SIGNATURE_BYTES, new_signer

SIZES = (100, 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of both kinds."""
    made = tmp_path_factory.mktemp("ladder")
    for paged in (False, True):
        ledger_steps.write(made, SIZES, paged=paged)
    return made


def test_every_event_of_the_workload_takes_effect(folder: Path) -> None:
    """A bench of refusals would be fast."""
    for paged in (False, True):
        values = [
            value for batch in read_log(log_file(folder, paged=paged), 300) for value in batch
        ]
        entries = [entry for value in values if (entry := read_entry(value))]
        assert [entry.seq for entry in entries] == list(range(1, 301))
        assert {entry.outcome for entry in entries} == {"applied"}
        assert any(len(entry.signature) > SIGNATURE_BYTES for entry in entries) == paged


def test_each_size_has_its_figures() -> None:
    """The rate at a size is that of the entries just before it."""
    marks = [(0, 0.0), (10_000, 1.0), (20_000, 3.0)]
    assert ledger_steps._at(marks) == {"apply_us": 200.0, "apply_us_over_all": 150.0}
    assert ledger_steps._at(marks[:2]) == {"apply_us": 100.0, "apply_us_over_all": 100.0}


@pytest.mark.parametrize("how", ["plain", "each", "paged"])
def test_an_audit_of_the_ladder_fails_on_what_is_not_signed(
    folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its figure would be that of an audit that checks nothing."""
    assert f"audit_{how}_us" in audit(folder, 300, how)
    monkeypatch.setattr(ledger_steps, "verifier", lambda: ledger_steps.Verifier({}))
    if how == "plain":
        audit(folder, 300, how)
    else:
        with pytest.raises(ValueError, match="breaches"):
            audit(folder, 300, how)


def test_a_quick_start_is_one_of_the_same_ledger(folder: Path) -> None:
    """It reads what the full one left, and fails when that is of another size."""
    assert start_full(folder, 300)["snapshot_mb"] > 0
    assert start_quick(folder, 300)["start_snapshot_s"] >= 0
    (folder / "snapshots-100").symlink_to(folder / "snapshots-300")
    with pytest.raises(ValueError, match="of entry 300, wanted 100"):
        start_quick(folder, 100)


def test_a_start_by_one_process_says_so(folder: Path) -> None:
    """The two figures are there to be compared, and each must be of the whole log."""
    assert start_alone(folder, 300).keys() == {
        "start_alone_wall_s",
        "start_alone_s",
        "start_alone_ahead_s",
    }
    cut = folder / "cut"
    cut.mkdir(exist_ok=True)
    values = next(iter(read_log(log_file(folder), 300)))
    log_file(cut).write_bytes(
        b"".join(len(value).to_bytes(4, "big") + value for value in [*values[:100], *values[150:]])
    )
    with pytest.raises(ValueError, match="ended at entry 100, wanted 250"):
        start_alone(cut, 250)


def test_the_check_of_everything_fails_on_what_is_not_signed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the audits above: a figure of checks that hold."""
    assert verify(folder, 300)["verify_s"] > 0
    log_file(folder, paged=True).rename(folder / "good")
    log_file(folder, paged=True).write_bytes(log_file(folder).read_bytes())
    verify(folder, 300)  # one signature each is good, too
    strangers = {code: new_signer(bytes(31) + b"?") for code in ledger_steps.MEMBERS}
    monkeypatch.setattr(ledger_steps, "signers", lambda: strangers)
    with pytest.raises(ValueError, match="does not hold"):
        verify(folder, 300)
    (folder / "good").replace(log_file(folder, paged=True))


def test_tree_and_tiles_of_the_ladder_agree(folder: Path) -> None:
    """The step compares their roots."""
    assert tree(folder, 300).keys() == {"encode_and_hash_us", "tree_us", "tiles_us"}


def test_the_workload_repeats() -> None:
    """Steps in several processes must speak of one ledger."""
    first, second = ([i.value for b in Workload(False).batches(200) for i in b] for _ in range(2))
    assert first == second


def test_a_step_that_fails_is_named(tmp_path: Path) -> None:
    """Not a report with a hole."""
    with pytest.raises(ledger.StepFailed, match="step tree of 5 entries"):
        ledger._run("tree", tmp_path, [5], lambda *_: None)


def test_both_ways_to_sign_are_checked_over_the_same_events(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ratio of the two is the point of signing pages; a signature that does not hold ends the step."""
    monkeypatch.setattr(ledger_steps, "SIGNED", 100)
    monkeypatch.setattr(ledger_steps, "PAGE", 20)
    found = ledger_steps.signatures(folder)
    assert found["check_paged_ratio"] == pytest.approx(
        found["check_each_us"] / found["check_paged_us"], abs=0.1
    )
    monkeypatch.setattr(ledger_steps, "sign_page", lambda key, bodies: [bytes(64)] * len(bodies))
    with pytest.raises(ValueError, match=r"does not hold \(paged\)"):
        ledger_steps.signatures(folder)
