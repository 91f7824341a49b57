"""`alliance statement` and `alliance period` as commands: from a published log, without a broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from hub.domain.period import Period
from hub.errors import HubError, LedgerCorrupt, SettingsError
from hub.flow.close import NAME, checked_name, request
from hub.ledger.statement import OPEN
from hub.ledger.statement_check import check_statement, succession_problems
from hub.run import periods_cli, statement_cli
from schemas.codec import decode
from schemas.records import Admitted, Close
from tests.support.histories_world import CODES
from tests.support.statement_histories import LOG, POLICY, WITNESS, busy, published


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published files of a ledger, and the alliance they are of."""
    rows = [
        f'[alliance]\norigin = "{LOG.name}"\n[log]\ncheckpoint_key = "{LOG.verifier.vkey}"\n[quorum]\nHere = 1\n'
    ]
    for code in CODES:
        rows.append(
            f'[[member]]\ncode = "{code}"\nname_en = "University {code}"\nname_zh = "大学{code}"\nregion = "Here"\n'
            f'city = "x"\ndomain = "x.example"\n'
        )
        if code == WITNESS.name:
            rows.append(f'[member.witness]\nvkey = "{WITNESS.verifier.vkey}"\n')
    (tmp_path / "alliance.toml").write_text("".join(rows), encoding="utf-8")
    monkeypatch.setenv("ALLIANCE_FILE", str(tmp_path / "alliance.toml"))
    folder = tmp_path / "log"
    for path, content in published(busy()).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def run(app: typer.Typer, *words: str) -> None:
    """The command as the one command `alliance` calls it."""
    typer.main.get_group(app)(list(words), standalone_mode=False)


def said(capsys: pytest.CaptureFixture[str], log: Path, *words: str) -> str:
    run(statement_cli.app, "--entries", str(log), *words)
    return capsys.readouterr().out


def test_a_member_makes_its_statements_offline(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the published files and public keys: each holds, is bound to the witnessed log, and goes on where the last ended."""
    text = said(capsys, log, "--member", "10610", "--with", "10614", "--period", "all", "--json")
    made: list[Any] = json.loads(text)
    assert [values["period"]["name"] for values in made] == ["P1", "P2", OPEN]
    for values in made:
        assert values["origin"] == LOG.name
        assert check_statement(values, POLICY) == []
    assert succession_problems(made[0], made[1]) == succession_problems(made[1], made[2]) == []
    assert any("zh" in entry for values in made for entry in values["entries"])


def test_all_statements_of_a_member_go_into_a_folder(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file for each other member, and one of its own; names in both languages."""
    out = tmp_path / "out"
    for form, suffix in (
        ("html", "html"),
        ("text", "txt"),
        ("json", "json"),
        ("hledger", "journal"),
    ):
        text = said(
            capsys, log, "--member", "10610", "--period", "P2", "--format", form, "--out", str(out)
        )
        files = [Path(line) for line in text.split()]
        assert len(files) > 1
        assert {path.suffix for path in files} == {f".{suffix}"}
        assert {path.stem.split("-")[1] for path in files} >= {"alone", "10614"}
    assert "大学10610" in (out / files[0].with_suffix(".html").name).read_text(encoding="utf-8")


def test_a_journal_of_all_pairs_comes_on_standard_output(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a pipe into hledger."""
    text = said(capsys, log, "--member", "10610", "--period", "all", "--format", "hledger")
    assert text.startswith("; Statements of account")
    assert text.count("balances at the end of") == 3


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--member", "99999"), "is no member"),
        (("--member", "10610", "--with", "99999"), "is no member"),
        (("--member", "10610", "--with", "10610"), "itself"),
        (("--member", "10610", "--period", "never"), "'never' is not closed"),
        (("--member", "10610", "--period", "P1", "--proof", "/nowhere"), "cannot be read"),
    ],
)
def test_a_wrong_question_is_told_what_to_ask(
    log: Path, words: tuple[str, ...], wanted: str
) -> None:
    """Found, wanted, next step."""
    with pytest.raises(SettingsError, match=wanted):
        run(statement_cli.app, "--entries", str(log), *words)


def test_a_place_without_a_log_is_named(log: Path, tmp_path: Path) -> None:
    """No checkpoint, no folder at all."""
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SettingsError, match="checkpoint"):
            run(statement_cli.app, "--entries", str(place), "--member", "10610")


@pytest.mark.parametrize("victim", ["checkpoint.witnessed", "tile/0", "tile/entries"])
def test_changed_files_make_no_statement(log: Path, victim: str) -> None:
    """One byte of a checkpoint, a tile or a bundle."""
    path = log / victim
    path = path if path.is_file() else next(one for one in sorted(path.rglob("*")) if one.is_file())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(LedgerCorrupt, match="fetch the log's files again"):
        run(statement_cli.app, "--entries", str(log), "--member", "10610")


def test_a_checkpoint_that_nobody_cosigned_must_be_the_logs_own(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before witnesses have answered there is `checkpoint` alone; its signature counts all the same."""
    note = (log / "checkpoint.witnessed").read_bytes()
    (log / "checkpoint.witnessed").unlink()
    (log / "checkpoint").write_bytes(note)
    assert json.loads(said(capsys, log, "--member", "10610", "--with", "10614", "--json"))
    lines = note.split(b"\n")
    unsigned = b"\n".join(line for line in lines if not line.startswith(f"— {LOG.name} ".encode()))
    (log / "checkpoint").write_bytes(unsigned)
    with pytest.raises(LedgerCorrupt, match="log key"):
        run(statement_cli.app, "--entries", str(log), "--member", "10610")


# Periods


def test_periods_are_listed_with_the_running_one() -> None:
    """In the order they were closed; the next begins behind the last."""
    found = periods_cli.listed(busy().state)
    assert [one["period"] for one in found["periods"]] == ["P1", "P2"]
    first, second = found["periods"]
    assert second["first_seq"] == first["last_seq"] + 1
    assert found["open"]["first_seq"] == second["last_seq"] + 1
    assert found["open"]["last_seq"] == busy().state.head.seq
    period = busy().state.find(Period, "P1")
    assert first["balances_root"] == period.balances_root.hex() if period else False


@pytest.mark.parametrize("name", ["", OPEN, "a\nb", "x" * 65, "\x00"])
def test_a_name_that_no_period_can_have_is_refused_before_anything_is_written(name: str) -> None:
    """A closed period keeps its name for ever."""
    with pytest.raises(HubError, match="period name"):
        checked_name(name)
    assert checked_name("2026-2027-1") == "2026-2027-1"


def test_the_request_is_an_input_that_nobody_signs() -> None:
    """As a tick is: it moves nothing, and the ledger's own rules say what the period holds."""
    asked = Close(period="autumn", clock=f"{NAME}.1", number=7)
    admitted = decode(request(asked).value)
    assert isinstance(admitted, Admitted)
    assert decode(admitted.event) == asked
    assert (admitted.key_id, admitted.signature, admitted.source_offset) == ("", b"", 7)
