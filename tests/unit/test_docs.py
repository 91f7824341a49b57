"""The documents against the repository: links, paths, commands, variables, the first screen."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import fault

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in ("hub", "schemas", "connectors", "tests")
    for path in (ROOT / folder).rglob("*.md")
) + sorted(ROOT.glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
OUR_PATH = re.compile(r"(?:hub|schemas|connectors|tests)/[\w./-]*\w")


def each_document(found: list[Path] = DOCUMENTS):
    return pytest.mark.parametrize("path", found, ids=lambda path: str(path.relative_to(ROOT)))


def prose(text: str) -> str:
    """The text without fenced blocks."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """Headings as GitHub links to them: lower case, words and hyphens."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def spans(text: str) -> Iterator[str]:
    """Inline code, and the lines of blocks, comments taken off."""
    for block in FENCE.finditer(text):
        for line in block[2].splitlines():
            yield line.partition("  #")[0].removeprefix("$ ").strip()
    yield from CODE.findall(prose(text))


def alliance_words(span: str) -> list[str] | None:
    """The words after `alliance` of a command line; placeholders and what follows a shell operator are cut off."""
    words = shlex.split(re.split(r"\s(?:&&|\||>|<)\s?|[;…]", span)[0], comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    if words[:1] and Path(words[0]).name == "alliance":
        return [word for word in words[1:] if not word.startswith("[")]
    return None


def documented_commands(path: Path) -> list[str]:
    """Every span of a document that is a command line of `alliance`."""
    return [
        span
        for span in spans(path.read_text("utf-8"))
        if re.match(r"(?:[A-Z_]+=\S+ )*\S*\balliance ", span)
    ]


@each_document()
def test_links_lead_somewhere(path):
    """A reader who is sent to a page finds it, and the heading too."""
    for target in LINK.findall(prose(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, heading = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{target} leads nowhere"
        if heading:
            assert heading in anchors(found.read_text("utf-8")), f"{target}: no such heading"


@each_document()
def test_named_files_exist(path):
    """A path in the text is one to open; files that moved take their names along."""
    for span in CODE.findall(prose(path.read_text("utf-8"))):
        if OUR_PATH.fullmatch(span.rstrip("/")):
            assert (ROOT / span).exists() or (path.parent / span).exists(), f"{span} is not there"


@each_document()
def test_commands_exist(path):
    """Every `alliance ...` in the text is registered with these options; prose may leave arguments out."""
    for span in documented_commands(path):
        words = alliance_words(span)
        assert words is not None
        if words:
            assert fault(words) is None, span


def test_the_search_for_commands_finds_them():
    """The test above would pass on nothing."""
    found = [span for path in DOCUMENTS for span in documented_commands(path)]
    assert len(found) > 30
    assert any("ledger verify" in span for span in found)
    assert fault(["topics", "create"]) is not None
    assert fault(["demo", "--no-such-option"]) is not None


@each_document()
def test_make_targets_exist(path):
    """`make demo` is what people type first."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        found[1]
        for span in spans(path.read_text("utf-8"))
        if (found := re.match(r"make ([a-z]+)", span))
    }
    assert named <= targets


@each_document()
def test_variables_are_read_somewhere(path):
    """A setting that nothing reads does nothing."""
    code = "".join(
        source.read_text("utf-8")
        for folder in ("hub", "connectors", "tests")
        for kind in ("*.py", "*.toml")
        for source in (ROOT / folder).rglob(kind)
    )
    for name in re.findall(r"\bALLIANCE_[A-Z_]+[A-Z]\b", path.read_text("utf-8")):
        assert name in code, f"nothing reads {name}"


def test_the_first_screen_says_how_to_start():
    """Who arrives must not scroll for the two commands."""
    first = (ROOT / "README.md").read_text("utf-8").splitlines()[:25]
    for command in ("make demo", "make test"):
        assert any(line.startswith(command) for line in first)


def test_decisions_have_their_four_parts():
    """A decision without its price, or without what would reopen it, is an opinion."""
    for path in sorted((ROOT / "hub" / "decisions").glob("*.md")):
        text = path.read_text("utf-8")
        number = int(path.name[:4])
        assert text.startswith(f"# {number}. "), path.name
        titles = " ".join(re.findall(r"^## (.*)$", text, re.MULTILINE)).lower()
        for part in ("context", "choice", "gave up", "reopen"):
            assert part in titles, f"{path.name} has no heading with {part!r}"


def test_every_marker_is_explained():
    """A marker is only of use to those who know it."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    text = (ROOT / "tests" / "README.md").read_text("utf-8")
    for marker in options["markers"]:
        assert f"| `{marker.partition(':')[0]}` |" in text


def test_every_folder_of_tests_is_explained():
    """And no folder is promised that is not there."""
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "tests" / "README.md").read_text(), re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    markers = {"kafka", "browser", "slow"}
    assert set(table) - markers == folders


def test_every_decision_that_is_cited_is_there():
    """Code says "decision 2" where a number needs a reason."""
    there = {int(path.name[:4]) for path in (ROOT / "hub" / "decisions").glob("*.md")}
    cited = {
        int(number)
        for folder in ("hub", "schemas", "connectors", "tests")
        for source in (ROOT / folder).rglob("*.py")
        for number in re.findall(r"\b[Dd]ecision (\d+)\b", source.read_text("utf-8"))
    }
    assert cited <= there


def test_documents_are_committed_text():
    """UTF-8, no tabs, one line end at the end."""
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert "\t" not in text, path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert "\r" not in text, path
