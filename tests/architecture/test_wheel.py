"""The wheel: all that is needed at run time is in it, and nothing else; a campus installs no stream processor."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("hub", "schemas", "connectors")
# What is installed with `pip install alliance-hub` stays without these: they are in the extras.
EXTRAS = ("faust", "mode", "sqlalchemy", "starlette", "jinja2", "uvicorn", "prometheus_client", "uvloop", "pg8000")  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this checkout, without network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel's files in a folder of their own."""
    target = wheel.parent / "target"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def held(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def tracked(*patterns: str) -> set[str]:
    """Files of the packages in this checkout."""
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for pattern in patterns
        for path in (ROOT / package).rglob(pattern)
        if "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_file_that_is_read_at_run_time(wheel: Path) -> None:
    """Sources run from a checkout find more than an installation has."""
    wanted = tracked(
        "*.py", "*.avsc", "example.json", "README.md", "*.toml", "*.html", "*.css", "*.js", "*.csv", "*.sha256",
        "pom.xml", "py.typed",
    )  # fmt: skip
    assert {"schemas/ids.toml", "hub/broker/pom.xml", "schemas/credit/awarded/v1.avsc"} <= wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= wanted
    assert any(name.startswith("hub/console/templates/") for name in wanted)
    assert wanted - held(wheel) == set()


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    """No tests, no state, no keys: whatever lies about in a checkout."""
    tops = {name.split("/")[0] for name in held(wheel)} - set(PACKAGES)
    assert all(top.endswith(".dist-info") for top in tops)
    bad = (".key", ".db", ".pyc", ".jar", ".log", ".new")
    assert [name for name in held(wheel) if name.endswith(bad) or "/.state" in name] == []
    ours = [
        name for name in held(wheel) if "/templates/" not in name
    ]  # what `new` writes has tests
    assert [name for name in ours if "test_" in name or name.startswith("tests")] == []


def python(code: str, path: str) -> subprocess.CompletedProcess[str]:
    """Run code without the editable installation: `-S` passes over `.pth` files."""
    return subprocess.run(
        [sys.executable, "-S", "-P", "-c", code], cwd="/", env={"PYTHONPATH": path, "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def site_packages() -> str:
    return str(Path(pytest.__file__).parents[1])


def test_what_the_wheel_installs_works_away_from_the_checkout(installed: Path) -> None:
    """Schemas, rules, connector kinds and templates are found in the installation."""
    done = python(
        "import hub, schemas, connectors, importlib, pathlib, tomllib\n"
        "from hub.events import rules\n"
        "from connectors.sdk.discovery import kinds\n"
        "from schemas.catalogue import catalogue, example, prose\n"
        "for schema in catalogue().events(): example(schema), prose(schema)\n"
        "assert len(rules().decide) == len(catalogue().events()) >= 24\n"
        "assert {'http_poll', 'http_push'} <= set(kinds())\n"
        "from hub.console.pages import *\n"
        "from hub.broker.jars import *\n"
        "from hub.cli import main\n"
        "for package in (hub, schemas, connectors): print(pathlib.Path(package.__file__).parents[1])\n",
        f"{installed}:{site_packages()}",
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {str(installed)}


def test_every_command_of_the_wheel_can_be_loaded(installed: Path) -> None:
    """Entry points name modules as text; nothing else would notice a wrong one."""
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["alliance.commands"]  # fmt: skip
    loads = "".join(
        f"from {module} import {name} as _{number}\n"
        for number, (module, name) in enumerate(value.split(":") for value in commands.values())
    )
    done = python(loads, f"{installed}:{site_packages()}")
    assert done.returncode == 0, done.stderr


def test_a_campus_needs_no_stream_processor_and_no_store(installed: Path) -> None:
    """The base installation runs every connector kind but the sandbox; here the extras cannot be imported at all.

    Of the SQL kinds it loads the options, so that `lint` works; opening one names the extra `sql`.
    """
    done = python(
        "import importlib, pkgutil, sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {EXTRAS!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import connectors, schemas\n"
        "names = []\n"
        "for package in (connectors, schemas):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        apart = 'sandbox' in module.name or module.name.endswith(('__main__', '.testing', '.conformance'))\n"
        "        sql = '.sql_' in module.name and not module.name.endswith('.kind')\n"
        "        if not apart and not sql:\n"
        "            names.append(module.name)\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names), 'hub' in sys.modules)\n",
        f"{installed}:{site_packages()}",
    )
    assert done.returncode == 0, done.stderr
    count, hub_too = done.stdout.split()
    assert int(count) > 25
    assert hub_too == "False"
