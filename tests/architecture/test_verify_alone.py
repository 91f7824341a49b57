"""The verifier installs alone and works alone: the standard library, `cryptography`, nothing of ours beside it.

An auditor should not have to install a hub to judge one.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import cryptography
import pytest

from tests.support.verified_log import (
    alliance,
    alliance_toml,
    checkpoint_note,
    small_ledger,
    small_log,
)

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "hub" / "verify"
# All that the fresh environment gets beside the wheel.
NEEDED = ("cryptography", "cffi", "_cffi_backend*", "pycparser")
STRANGERS = {
    "typer",
    "rich",
    "fastavro",
    "nacl",
    "aiokafka",
    "structlog",
    "httpx",
    "pydantic",
    "jmespath",
    "click",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this checkout, without network and without a build environment of its own."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=FOLDER, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = out.glob("alliance_verify-*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it, and of this one's packages only what the wheel says it needs."""
    place = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(place, with_pip=False)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--no-deps", "--no-index",
         "--disable-pip-version-check", "--quiet", str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    (packages,) = place.glob("lib/python*/site-packages")
    here = Path(cryptography.__file__).parents[1]
    for pattern in NEEDED:
        for found in here.glob(pattern):
            (packages / found.name).symlink_to(found)
    return place


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real small log with its configuration, a receipt, and a checkpoint from before."""
    folder = tmp_path_factory.mktemp("case")
    small_log().write(folder / "log")
    (folder / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    (folder / "old").write_bytes(checkpoint_note(small_log().entries[:300]))
    (folder / "one.tlog-proof").write_bytes(small_log().proof(1).to_bytes())
    (folder / "one.event").write_bytes(small_ledger().entries[1].entry.event)
    return folder


def run(fresh: Path, case: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [str(fresh / "bin" / "alliance-verify"), *arguments, "--json"],
        cwd=case, env={"PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("receipt", "one.tlog-proof", "--event", "one.event"),
        ("consistency", "old", "log/checkpoint.witnessed", "--tiles", "log"),
        ("mirror", "--tiles", "log", "--since", "old"),
        ("replay", "--entries", "log", "--since", "old"),
        ("equivocation", "old", "log/checkpoint", "--tiles", "log"),
    ],
)
def test_it_verifies_a_real_log_where_nothing_else_is_installed(
    fresh: Path, case: Path, arguments: tuple[str, ...]
) -> None:
    """Codec, signatures, rules and invariants, all without the libraries a hub has."""
    code, values = run(fresh, case, *arguments)
    assert (code, values["result"]) == (0, "ok"), values


def test_it_finds_damage_there_too(fresh: Path, case: Path, tmp_path: Path) -> None:
    """The environment must not decide what is true."""
    log = small_log().write(tmp_path / "log")
    bundle = log / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes()[:-1] + b"\0")
    code, values = run(fresh, case, "replay", "--entries", str(log))
    assert code == 11
    assert "tile/entries/001" in values["failure"]["place"]


def test_a_broker_needs_one_library_more_and_says_so(fresh: Path, case: Path) -> None:
    """The reader of files must not pull in a client of Kafka."""
    code, values = run(fresh, case, "replay", "--entries", "kafka://127.0.0.1:1")
    assert code == 3
    assert values["failure"]["place"] == "aiokafka"
    assert "pip install" in values["failure"]["next"]


def test_the_environment_really_is_empty(fresh: Path) -> None:
    """Else the tests above prove nothing."""
    script = (
        "import importlib.util as u\n"
        f"print([name for name in {sorted(STRANGERS)!r} if u.find_spec(name)])\n"
        "import hub, schemas\nprint(hub.__file__, schemas.__file__)"
    )
    done = subprocess.run(
        [str(fresh / "bin" / "python"), "-P", "-c", script],
        cwd="/", env={"PATH": ""}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found, places = done.stdout.splitlines()
    assert found == "[]"
    assert all(str(fresh) in place for place in places.split())


def test_the_wheel_holds_what_it_needs_and_no_more(wheel: Path) -> None:
    """No edge of the hub, nothing of connectors; every rule, schema and format."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (meta,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(meta).decode()
    below = {"/".join(name.split("/")[:2]) for name in names if name.startswith("hub/")}
    assert below == {
        "hub/__init__.py", "hub/errors.py", "hub/py.typed", "hub/domain", "hub/ledger", "hub/recognition", "hub/events",
        "hub/rebuild", "hub/verify",
    }  # fmt: skip
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"hub", "schemas"}
    wanted = {str(p.relative_to(ROOT)) for p in (ROOT / "schemas").rglob("*.avsc")}
    assert wanted <= set(names)
    requires = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert requires == [
        "Requires-Dist: cryptography>=50",
        "Requires-Dist: aiokafka<0.15,>=0.14; extra == 'kafka'",
    ]
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert [name for name in names if name.endswith("LICENSE")]


def test_both_packages_have_one_version() -> None:
    """The rules in them are the same, so must the number be that tells which."""
    versions = [
        tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"]
        for path in (ROOT / "pyproject.toml", FOLDER / "pyproject.toml")
    ]
    assert versions[0] == versions[1]


def test_the_verifier_imports_nothing_it_could_not_have() -> None:
    """Read off the sources: the test environment has every library, so a wrong import would work here."""
    allowed = {*sys.stdlib_module_names, "hub", "schemas", "cryptography"}
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] not in allowed]
    assert found == ["sources.py: aiokafka"]  # inside the one function that names the fix
