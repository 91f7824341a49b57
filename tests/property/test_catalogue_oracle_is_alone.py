"""The oracle proves something only as long as it shares nothing with what it judges."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hub.events import rules
from tests.support.ledger_oracle import RULES

SUPPORT = Path(__file__).parents[1] / "support"
ORACLE = sorted([SUPPORT / "ledger_oracle.py", *SUPPORT.glob("oracle_*.py")])
ALLOWED = ("tests.support.oracle_", "tests.support.ledger_oracle")
STANDARD = frozenset(
    {
        "__future__",
        "collections.abc",
        "dataclasses",
        "datetime",
        "decimal",
        "re",
        "tomllib",
        "typing",
    }
)


def imports(path: Path) -> set[str]:
    """Full names of everything a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            inner = module == "tests.support"
            found |= {f"{module}.{alias.name}" for alias in node.names} if inner else {module}
    return found


@pytest.mark.parametrize("path", ORACLE, ids=lambda path: path.stem)
def test_the_oracle_imports_nothing_of_the_hub(path: Path) -> None:
    """Neither rules nor words nor schemas; events come to it as they are, and it looks at their fields."""
    others = {name for name in imports(path) - STANDARD if not name.startswith(ALLOWED)}
    assert not others


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    """However it is written."""
    path = tmp_path / "oracle_bad.py"
    path.write_text(
        "def f():\n    from hub.domain import times\n    import hub.events as e\n", encoding="utf-8"
    )
    assert imports(path) == {"hub.domain", "hub.events"}


def test_the_oracle_knows_the_whole_catalogue() -> None:
    """A type without a second opinion is not compared."""
    assert RULES.keys() == rules().decide.keys()
