"""Who may import whom, and what the rules must not touch."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
PURE = ("hub/domain", "hub/ledger", "hub/recognition", "hub/events", "schemas/tlog")
# Modules that know the time, chance, the machine or the world outside.
IMPURE = frozenset(
    {
        "asyncio", "concurrent", "glob", "httpx", "io", "locale", "logging", "multiprocessing", "os", "pathlib",
        "platform", "random", "secrets", "signal", "socket", "sqlite3", "structlog", "subprocess", "tempfile",
        "threading", "time", "uuid", "zoneinfo",
    }
)  # fmt: skip
CLOCKS = frozenset({"now", "utcnow", "today"})


def test_the_arrows_point_as_the_contracts_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five contracts in pyproject.toml; a broken one names the import."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the linter adds the working folder
    assert lint_imports(no_cache=True) == 0


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("hub/flow/plan.py", "import connectors.sdk"),
        ("schemas/topics.py", "import hub.settings"),
        ("hub/ledger/head.py", "import hub.events"),
        ("hub/flow/log.py", "import faust"),
        ("hub/domain/credit.py", "import httpx"),
    ],
)
def test_an_arrow_the_wrong_way_is_found(tmp_path: Path, module: str, line: str) -> None:
    """One wrong import for each contract, in a copy: a check that never fails proves nothing."""
    for name in ("hub", "schemas", "connectors"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert " 0 broken" not in done.stdout
    assert "BROKEN" in done.stdout


def pure_files() -> list[Path]:
    return [path for name in PURE for path in sorted((ROOT / name).rglob("*.py"))]


def impurities(source: str) -> Iterator[str]:
    """What a source says that another run, machine or day might answer differently."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from (f"{line}: {a.name}" for a in node.names if a.name.split(".")[0] in IMPURE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in IMPURE:
            yield f"{line}: {node.module}"
        elif isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            yield f"{line}: a clock, .{node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{line}: the float {node.value}"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield f"{line}: float"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("hash", "id", "open"):
            yield f"{line}: {ast.unparse(node)}"
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
            yield f"{line}: a true division"


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rules_know_no_clock_no_chance_and_no_float(path: Path) -> None:
    """Replaying the same events must give the same bytes, on any machine and any day."""
    assert list(impurities(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time", "from random import random", "x = datetime.now(UTC)", "x = date.today()", "x = 0.5", "x: float",
        "x = a / b", "x /= 2", "x = hash(y)", "open('f')", "from os.path import join",
    ],
)  # fmt: skip
def test_what_is_not_pure_is_found(source: str) -> None:
    """One line of each kind."""
    assert list(impurities(source))


def test_the_rules_see_no_order_of_sets() -> None:
    """Python shuffles sets of strings from run to run: under two hash seeds, the log has the same hash."""
    script = (
        "from tests.support.ledger import *\n"
        "ledger = Ledger()\n"
        "ledger.in_case('r1', '3', '2')\n"
        "ledger.rule('r1', '4', '5')\n"
        "ledger.project('p1', *MEMBERS)\n"
        "ledger.tell('member.profile-changed', code=HOST)\n"
        "ledger.project('p1', HOST, '99999', '99998', '99997')\n"
        "print(ledger.state.head.hash.hex())\n"
    )
    heads = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(heads) == 1
