"""The two seams: a new event and a new kind of connector are folders, and nothing else is edited.

Tried on a copy of the sources, in processes of their own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hub.events import event_rules
from schemas.catalogue import catalogue

ROOT = Path(__file__).parents[2]

SCHEMA = {
    "type": "record",
    "name": "ArchiveLent",
    "namespace": "alliance.archive",
    "doc": "A member lends volumes of its archive to another.",
    "event": "archive.lent",
    "key": "volume_id",
    "subject": "loan_id",
    "writer": ["guest"],
    "clauses": ["S16"],
    "fields": [
        {"name": "envelope", "type": "alliance.types.Envelope"},
        {"name": "loan_id", "type": "string"},
        {"name": "volume_id", "type": "string"},
        {"name": "guest", "type": "string"},
        {"name": "host", "type": "string"},
        {"name": "days", "type": "int"},
    ],
}
RULE = '''"""archive.lent: days of a volume go to a guest."""

from hub.events import Sentence
from hub.ledger.posting import move
from hub.ledger.state import Applied

REASONS = frozenset()


def decide(event, view):
    days = move(event.days, "day", f"archive:{event.host}", f"guest:{event.guest}")
    return Applied(postings=(days,), audience=frozenset({event.host}))


def sentence(event, names):
    return Sentence(f"{names.en(event.guest)} borrowed a volume for {event.days} days", f"{event.days}")
'''
# What a user of the new event sees; run in the copy. Prints what was found as JSON.
ASK = """
import json
from hub.events import Names, rules, sentence
from hub.flow.admission import check
from hub.flow.delivery import deliveries
from hub.flow.plan import topic_plan
from schemas.catalogue import catalogue
from schemas.codec import decode, from_json, to_json
from schemas.records import Admitted
from tests.support.flow import ALLIANCE, sent
from tests.support.ledger import HOME, HOST, Ledger

ledger = Ledger()
record = ledger.record("archive.lent", loan_id="r1", volume_id="l1", guest=HOME, host=HOST, days=3)
admitted = check(sent(record).at(), list(ALLIANCE.members), ALLIANCE.verifier())
assert isinstance(admitted, Admitted), admitted
entry = ledger.applied(ledger.say(decode(admitted.event)))
assert from_json("archive.lent", to_json(record)) == record
print(json.dumps({
    "events": [schema.event for schema in catalogue().events()],
    "rules": sorted(rules().decide),
    "topics": [spec.name for spec in topic_plan(["10610"])],
    "postings": [posting.amount for posting in entry.postings],
    "told": [topic for topic, _ in deliveries(entry, ALLIANCE.members)],
    "sentence": sentence(record, Names({})).en,
}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources, to be added to."""
    for name in ("hub", "schemas", "connectors", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=copy, env={"PYTHONPATH": str(copy), "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def digests(copy: Path) -> dict[str, str]:
    return {
        str(path.relative_to(copy)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in copy.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def add_schema(copy: Path) -> None:
    folder = copy / "schemas" / "archive" / "lent"
    folder.mkdir(parents=True)
    (folder / "v1.avsc").write_text(json.dumps(SCHEMA), encoding="utf-8")
    envelope = json.loads(
        (copy / "schemas/enrollment/requested/example.json").read_text(encoding="utf-8")
    )["envelope"]
    example = {"envelope": envelope, "loan_id": "r", "volume_id": "l", "guest": "10610", "host": "10611", "days": 2}  # fmt: skip
    (folder / "example.json").write_text(json.dumps(example), encoding="utf-8")
    (folder / "README.md").write_text("A guest borrows a volume.\n", encoding="utf-8")


def add_rule(copy: Path) -> None:
    folder = copy / "hub" / "events" / "archive"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Rules of the archive events."""\n', encoding="utf-8")
    (folder / "lent.py").write_text(RULE, encoding="utf-8")


def test_a_new_event_is_one_schema_folder_and_one_rule_file(copy: Path) -> None:
    """Admission, ledger, delivery, topics and console text find it; only the generated files change."""
    before = digests(copy)
    add_schema(copy)
    add_rule(copy)
    built = run(copy, "-m", "schemas", "build")
    assert built.returncode == 0, built.stderr
    asked = run(copy, "-c", ASK)
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert "archive.lent" in found["events"]
    assert "archive.lent" in found["rules"]
    assert "alliance.archive" in found["topics"]
    assert found["postings"] == [3]
    assert set(found["told"]) == {"member.10610.in", "member.10611.in", "alliance.archive"}
    assert found["sentence"] == "10610 borrowed a volume for 3 days"
    after = digests(copy)
    edited = {name for name in before if after[name] != before[name]}
    assert edited == {"schemas/ids.toml", "schemas/records.py"}


def test_a_new_kind_of_connector_is_one_folder(copy: Path) -> None:
    """Runner and conformance suite find it; no file is edited."""
    before = digests(copy)
    shutil.copytree(copy / "connectors" / "reference", copy / "connectors" / "mirror")
    asked = run(copy, "-c", "from connectors.sdk.discovery import kinds; print(sorted(kinds()))")
    assert "'mirror'" in asked.stdout, asked.stderr
    collected = run(
        copy, "-m", "pytest", "-q", "--collect-only", "-c", "/dev/null", "--rootdir", ".",
        "-p", "no:cacheprovider", "--import-mode=importlib", "tests/conformance",
    )  # fmt: skip
    assert "[mirror: " in collected.stdout, collected.stdout[-2000:] + collected.stderr
    after = digests(copy)
    assert {name for name in before if after[name] != before[name]} == set()


@pytest.mark.parametrize("half", [add_schema, add_rule])
def test_half_an_event_is_refused_at_start(copy: Path, half: object) -> None:
    """A schema without a rule would halt the ledger at its first event; the message names both folders."""
    half(copy)  # type: ignore[operator]
    run(copy, "-m", "schemas", "build")
    asked = run(copy, "-c", "from hub.events import rules; rules()")
    assert asked.returncode != 0
    assert "archive.lent: a schema folder without a rule file, or the reverse" in asked.stderr


def test_every_schema_has_a_rule_file_and_every_rule_file_a_schema() -> None:
    """By the files themselves: a folder without `__init__.py` would be passed over in silence."""
    files = {
        f"{path.parent.name}.{path.stem.replace('_', '-')}"
        for path in (ROOT / "hub" / "events").glob("*/*.py")
        if not path.name.startswith("_")
    }
    published = {schema.event for schema in catalogue().events()}
    assert files == published == set(event_rules())
    assert {path.parent.name for path in (ROOT / "hub" / "events").glob("*/__init__.py")} == set(
        catalogue().domains()
    )


def test_every_rule_file_has_a_sentence_in_both_languages() -> None:
    """The console shows it instead of fields."""
    for name, rule in event_rules().items():
        assert callable(rule.decide), name
        assert callable(rule.sentence), name
