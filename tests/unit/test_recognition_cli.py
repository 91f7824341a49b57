"""`alliance rules` as people and programs use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.recognition.builtin import default_text
from hub.recognition.language import text_hash
from hub.run.rules_cli import app

EXAMPLE = Path(__file__).parents[2] / "hub" / "recognition" / "examples" / "undergraduate.toml"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def answer(*words: str | Path, code: int = 0) -> Any:
    done = call(*words, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.toml"
    path.write_text(default_text().replace("version = 1", "version = 0"), encoding="utf-8")
    return path


def test_lint_is_content_with_a_fit_rule_set() -> None:
    """It says which one it saw, with the hash that tells it from another."""
    done = call("lint", EXAMPLE)
    assert done.exit_code == 0
    assert "10610-undergraduate version 3 (13 rules) is fit; SHA-256" in done.stdout
    (found,) = answer("lint", EXAMPLE)["files"]
    assert found == {
        "file": str(EXAMPLE), "fit": True, "id": "10610-undergraduate", "version": 3,
        "sha256": text_hash(EXAMPLE.read_text(encoding="utf-8")), "findings": [],
    }  # fmt: skip


def test_lint_names_every_error_and_ends_with_one(broken: Path) -> None:
    """Of several files, the fit ones are told too."""
    done = call("lint", broken, EXAMPLE)
    assert done.exit_code == 1
    assert "found 0, wanted 1 to 999999; correct it" in done.stdout
    assert "is fit" in done.stdout
    bad, good = answer("lint", broken, EXAMPLE, code=1)["files"]
    assert (bad["fit"], good["fit"]) == (False, True)
    assert bad["findings"][0]["where"] == "version"
    assert bad["findings"][0]["line"] == 4


def test_a_warning_is_no_error(tmp_path: Path) -> None:
    """The pipeline of a university must not stop on advice. Brackets in it are not markup."""
    path = tmp_path / "rules.toml"
    path.write_text(default_text().replace("request_days = 14\n", ""), encoding="utf-8")
    done = call("lint", path)
    assert done.exit_code == 0
    assert "warning" in done.stdout
    assert "add them under [deadlines]" in done.stdout


@pytest.mark.parametrize("command", ["lint", "test", "explain"])
def test_a_file_that_cannot_be_read_ends_with_two(command: str, tmp_path: Path) -> None:
    """Not there, a folder, or saved in another encoding: said without a stack trace."""
    assert "No such file" in call(command, tmp_path / "none.toml").stderr
    assert call(command, tmp_path / "none.toml").exit_code == 2
    assert call(command, tmp_path).exit_code == 2
    path = tmp_path / "gbk.toml"
    path.write_bytes("# 学分".encode("gbk"))
    done = call(command, path)
    assert done.exit_code == 2
    assert "is not UTF-8 at byte 4; save it as UTF-8" in done.stderr


def test_line_ends_are_hashed_as_they_are(tmp_path: Path) -> None:
    """The signed text is the file, byte for byte."""
    path = tmp_path / "crlf.toml"
    text = default_text().replace("\n", "\r\n")
    path.write_bytes(text.encode())
    assert answer("lint", path)["files"][0]["sha256"] == text_hash(text)


def test_cases_beside_the_rules_are_run() -> None:
    """Nothing to name, nothing to forget."""
    done = call("test", EXAMPLE)
    assert done.exit_code == 0
    assert "14 cases, 0 failed" in done.stdout
    assert "no case reaches" not in done.stdout
    report = answer("test", EXAMPLE)
    assert (report["failed"], report["unreached"]) == (0, [])
    assert report["cases"][0]["reason"] == "below_pass"


def test_a_failing_case_ends_with_one_and_rules_without_a_case_are_named(tmp_path: Path) -> None:
    """What differs, and what nobody tried."""
    cases = tmp_path / "cases.toml"
    cases.write_text(
        '[[case]]\nname = "n"\nfacts = { passed = false }\nexpect = { outcome = "positive" }\n'
    )
    done = call("test", EXAMPLE, cases)
    assert done.exit_code == 1
    assert "outcome negative, expected positive" in done.stdout
    assert "no case reaches rule 13 equivalent; add one" in done.stdout
    report = answer("test", EXAMPLE, cases, code=1)
    assert report["cases"][0]["wrong"] == [
        {"what": "outcome", "expected": "positive", "found": "negative"}
    ]
    assert {"clause": 13, "name": "equivalent"} in report["unreached"]


def test_rules_or_cases_with_an_error_end_with_one(broken: Path, tmp_path: Path) -> None:
    """They were read; they are wrong."""
    assert answer("test", broken, code=1)["findings"][0]["where"] == "version"
    assert call("explain", broken).exit_code == 1
    cases = tmp_path / "cases.toml"
    cases.write_text("[[case]]\n")
    done = call("test", EXAMPLE, cases)
    assert done.exit_code == 1
    assert "name is missing; add it" in done.stdout


def test_explain_tells_which_rule_decides_and_why() -> None:
    """For the office in a table, for the student in two languages, for a program in thousandths."""
    words = ("explain", EXAMPLE, "--facts", "overlap_percent=50", "host_credits=2.5", "passed=true")
    done = call(*words)
    assert done.exit_code == 0
    assert "DECIDES" in done.stdout
    assert "rule 4 too little overlap" in done.stdout
    assert "Rule 8 “less than two thirds overlap” of 10610-undergraduate version 3" in done.stdout
    assert "至多记2.5学分" in done.stdout
    found = answer(*words)
    assert (found["clause"], found["limit_milli"], found["category"]) == (8, 2500, "elective")
    assert found["because"] == [{"fact": "overlap_percent", "wanted": "< 67", "found": "50"}]
    assert found["zh"].startswith("适用10610-undergraduate第3版第8条")


def test_explain_without_awarded_credits_says_what_is_missing() -> None:
    """At most 0 credits would look like a decision."""
    assert "host_credits is not given" in call("explain", EXAMPLE).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--facts", "overlap=1"], "facts.overlap: unknown fact"),
        (["--facts", "overlap_percent"], "wanted each fact once as name=value"),
        (["--facts", "awards=1", "awards=2"], "wanted each fact once"),
        (["--facts", "passed=yes"], "wanted true or false"),
    ],
)
def test_a_fact_that_is_wrong_ends_with_two(words: list[str], said: str) -> None:
    """A misspelled fact would count as not known, and another rule would seem to decide."""
    done = call("explain", EXAMPLE, *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_the_help_tells_the_exit_codes() -> None:
    """Scripts depend on them."""
    said = call("--help").stdout
    assert "Exit code 0: all is well" in said
    for command in ("lint", "test", "explain"):
        assert "Exit code 1" in call(command, "--help").stdout
