"""`alliance connector about`: options as the code has them, words as the READMEs have them, and that both agree."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.sdk.cli.about import Option, options_of, summary, table
from connectors.sdk.cli.about import readme as text_of
from connectors.sdk.cli.main import app
from connectors.sdk.discovery import kinds

ROOT = Path(__file__).parents[2]
BOTH = [
    (kind.name, direction)
    for kind in kinds().values()
    for direction in ("source", "sink")
    if options_of(kind, direction)
]


def call(*words):
    return CliRunner().invoke(app, ["about", *words])


@pytest.mark.parametrize(("name", "direction"), BOTH)
def test_every_option_is_explained(name, direction):
    """An option without words might as well not be there."""
    unexplained = [one.name for one in options_of(kinds()[name], direction) if not one.meaning]
    assert unexplained == [], f"connectors/{name}/README.md does not tell of them"


@pytest.mark.parametrize("name", sorted(kinds()))
def test_a_readme_tells_of_no_option_that_is_not_there(name):
    """People type what the table says, and are refused."""
    kind = kinds()[name]
    known = {
        one.name.partition(".")[0]
        for direction in ("source", "sink")
        for one in options_of(kind, direction)
    }
    told = {
        row.name.partition(".")[0] for row in table(text_of(kind)) if not row.name.startswith("…")
    }
    assert told <= known


def plain(text: str) -> str:
    """A default without quotes, brackets and spaces: READMEs write for people."""
    return re.sub(r"[\[\]\"'`\s]", "", text).replace("{", "").replace("}", "")


def agrees(option: Option, told: str) -> bool:
    """Whether the README's default is the code's. Where the code has none, words may say what stands in for it."""
    if option.default is None:
        return plain(told) == ""
    if option.default in ("none", '""') or "," in option.default or "=" in option.default:
        return True  # words, lists and tables are told in a shorter form
    return plain(told).startswith(plain(option.default))


@pytest.mark.parametrize(("name", "direction"), BOTH)
def test_a_readme_tells_the_defaults_of_the_code(name, direction):
    """A default that was changed in one place only misleads for years."""
    kind = kinds()[name]
    rows = {row.name: row for row in table(text_of(kind)) if not row.shared and row.default}
    wrong = [
        (one.name, one.default, rows[one.name].default)
        for one in options_of(kind, direction)
        if one.name in rows and not agrees(one, rows[one.name].default)
    ]
    assert wrong == []


def test_the_comparison_of_defaults_sees_a_difference():
    """The test above would pass on nothing."""
    option = Option("timeout_s", "number", "5", "")
    assert agrees(option, "5")
    assert not agrees(option, "10")
    assert not agrees(Option("path", "text", None, ""), "`/x`")


@pytest.mark.parametrize("name", sorted(kinds()))
def test_a_kind_has_a_sentence_about_itself(name):
    """The list of kinds, and init's question, show nothing else."""
    assert 20 < len(summary(kinds()[name])) < 200


def test_about_lists_kinds_and_describes_one():
    """What a program reads is what people read."""
    listed = json.loads(call("--json").stdout)
    assert {one["name"] for one in listed} == set(kinds())
    told = json.loads(call("http_poll", "--format", "json").stdout)
    assert told["sink"] is None
    options = {one["name"]: one for one in told["source"]}
    assert options["timeout_s"]["default"] == "5"
    assert options["base_url"]["default"] is None
    assert "| `timeout_s` | number | `5` |" in call("http_poll", "--format", "markdown").stdout
    assert "base_url (text; required)" in call("http_poll").stdout


def test_unknown_kinds_and_formats_are_plain_errors():
    """With what would be right."""
    assert call("http_pull").exit_code == 2
    assert "http_poll" in call("http_pull").stderr
    assert call("http_poll", "--format", "xml").exit_code == 2


def test_the_readme_of_connectors_names_every_kind_of_ours():
    """It is where people choose; `about` comes later."""
    text = (ROOT / "connectors" / "README.md").read_text("utf-8")
    for direction in ("source", "sink"):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{direction}.<name>.kind`"))  # fmt: skip
        for kind in kinds().values():
            if kind.module.startswith("connectors.") and getattr(kind, direction) is not None:
                assert f"`{kind.name}`" in row
