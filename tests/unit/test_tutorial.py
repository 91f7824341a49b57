"""The tutorial, done as it stands: its files are written, its commands run, and they say what it says they do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from connectors.sdk.discovery import ENTRY_POINTS

TUTORIAL = Path(__file__).parents[2] / "connectors" / "TUTORIAL.md"
BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)  # fmt: skip
FILE = re.compile(r"`([^`]+)`:$")


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Language, file (for what is written) and body of each fenced block, in order."""
    for found in BLOCK.finditer(text):
        name = FILE.search(found["before"])
        yield found["language"], name[1] if name else "", found["body"]


def environment(folder: Path) -> dict[str, str]:
    """Ours, but that packages are installed beside the test, and from no index."""
    site = str(folder / "site-packages")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALLIANCE_")}
    return {
        **kept,
        "PATH": path,
        "PYTHONPATH": site,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_TARGET": site,
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


def test_whoever_follows_it_gets_there(tmp_path):
    """A tutorial that fails at its third step has lost its reader for good."""
    work = tmp_path / "work"
    work.mkdir()
    env = environment(tmp_path)
    said = ""
    ran = 0
    for language, name, body in blocks(TUTORIAL.read_text("utf-8")):
        if language == "text":
            for line in body.splitlines():
                assert line in said, f"the tutorial promises {line!r}; found:\n{said}"
        elif language == "sh":
            done = subprocess.run(
                ["bash", "-eu", "-c", body], cwd=work, env=env, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            said = done.stdout
            assert done.returncode == 0, f"{body}\n{said}"
            ran += 1
        else:
            assert name, f"no file is named before: {body[:60]}"
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, "utf-8")
    assert ran >= 8
    assert not (work / "my-campus" / "state.db").exists()


def test_every_block_is_a_command_a_file_or_a_promise():
    """A block that no test looks at is one that nobody keeps right."""
    found = [language for language, _, _ in blocks(TUTORIAL.read_text("utf-8"))]
    assert len(found) == TUTORIAL.read_text("utf-8").count("\n```") // 2
    assert set(found) == {"sh", "python", "toml", "text"}


def test_it_names_the_entry_point_by_its_group():
    """The README of kinds says which one; a package under another is never found."""
    text = (TUTORIAL.parent / "README.md").read_text("utf-8")
    assert ENTRY_POINTS in text
