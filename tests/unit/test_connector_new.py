"""`alliance connector new`: a package of one's own that works, is found once installed, and keeps every kind's rules."""

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from connectors.sdk import discovery
from connectors.sdk.cli.main import app
from connectors.sdk.cli.scaffold import package
from connectors.sdk.contract import ConfigError

PIP = (sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--quiet")
ABOUT = "from connectors.sdk.cli.main import app; app(['about', 'mysis', '--json'])"


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "connector-mysis"
    result = CliRunner().invoke(app, ["new", "mysis", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def run(*words, cwd, **env):
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass_and_ask_what_is_asked_of_every_kind(made):
    """Whoever changes it later begins with green, and the conformance suite is part of that."""
    said = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=made)
    passed = int(said.splitlines()[-1].split()[0])
    assert "passed" in said.splitlines()[-1]
    assert passed > 10


def test_its_wheel_is_installed_and_found(made, tmp_path):
    """By entry point alone, in whatever environment it lies: nothing of ours names it. Needs no network."""
    run(*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path), ".", cwd=made)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    run(*PIP, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=tmp_path)
    said = run(sys.executable, "-c", ABOUT, cwd=tmp_path, PYTHONPATH=str(site))
    told = json.loads(said)
    assert [one["name"] for one in told["source"]] == ["folder", "batch"]
    assert all(one["meaning"] for one in told["source"] + told["sink"])


def test_its_code_keeps_our_style(made):
    """It is copied as it stands."""
    config = str(Path(__file__).parents[2] / "pyproject.toml")
    run(sys.executable, "-m", "ruff", "check", "--no-cache", "--config", config, ".", cwd=made)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", "--config", config, ".", cwd=made)  # fmt: skip


@pytest.mark.parametrize("name", ["My", "1st", "my-sis", "class", "", "http_poll", "a" * 40])
def test_names_that_cannot_be_a_kind_are_refused(name):
    """A name becomes a module, and must not hide a kind of ours."""
    with pytest.raises(ConfigError, match="kind"):
        package(name)


def test_it_touches_no_folder_that_holds_something(made):
    """Somebody's work may be in it."""
    (made / "README.md").write_text("mine", "utf-8")
    result = CliRunner().invoke(app, ["new", "mysis", "--out", str(made)])
    assert result.exit_code == 2
    assert (made / "README.md").read_text("utf-8") == "mine"


def test_what_these_commands_copy_is_in_our_wheel(tmp_path):
    """An installation from an index has no repository beside it."""
    root = Path(__file__).parents[2]
    run(*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path), ".", cwd=root)  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(ZipFile(wheel).namelist())
    wanted = [
        path for path in (root / "connectors" / "sdk" / "templates").rglob("*") if path.is_file()
    ]
    wanted += (root / "connectors").glob("*/template.toml")
    wanted += (root / "connectors").glob("*/README.md")
    wanted += (root / "connectors" / "sandbox" / "connector_template").rglob("*.toml")
    assert len(wanted) > 40
    assert {str(path.relative_to(root)) for path in wanted} <= shipped


def test_a_package_that_cannot_be_loaded_is_named(monkeypatch):
    """Else every command of ours ends in somebody else's traceback."""
    monkeypatch.setattr(discovery, "_added", {"mysis": "connector_mysis_that_is_not_there"})
    discovery.kinds.cache_clear()
    try:
        result = CliRunner().invoke(app, ["about"])
    finally:
        discovery.kinds.cache_clear()
    assert result.exit_code == 2
    assert "the kind mysis cannot be loaded" in result.stderr
