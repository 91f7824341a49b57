"""`alliance connector init`: a folder that lints, with few lines left to people, whatever kinds it is for."""

import base64
import json
import re
import shutil
import stat
import subprocess
import tomllib

import pytest
import yaml
from pydantic import Field, SecretStr
from typer.testing import CliRunner

from connectors.sdk.cli import init
from connectors.sdk.cli.lint import EDIT, findings_of
from connectors.sdk.cli.main import app
from connectors.sdk.config import FILE, load_config
from connectors.sdk.contract import Options
from connectors.sdk.testing import THEM, US, write_alliance
from schemas.members import load_alliance
from schemas.signing import load_signer

MOST_EDITS = 6
KINDS = [(kind.name, "none") for kind in init.choices("source")]
KINDS += [("none", kind.name) for kind in init.choices("sink")]
KINDS += [("http_poll", "http_push"), ("file_drop", "sql_upsert"), ("ewp", "ewp")]


@pytest.fixture
def place(tmp_path):
    """An alliance, and our keys in a folder of their own."""
    write_alliance(tmp_path)
    (tmp_path / "keys").mkdir()
    for path in tmp_path.glob(f"{US}.*"):
        path.rename(tmp_path / "keys" / path.name)
    return tmp_path


def call(place, *words, text=""):
    given = ["--alliance", str(place / "alliance.toml")]
    return CliRunner().invoke(app, ["init", str(place / "campus"), *given, *words], input=text)


@pytest.mark.parametrize(("source", "sink"), KINDS)
def test_what_it_writes_loads_and_lints(place, source, sink):
    """Whoever begins has nothing to repair first; that holds for every kind, also for those to come."""
    result = call(place, "--member", US, "--source", source, "--sink", sink, "--yes")
    assert result.exit_code == 0, result.output
    config = load_config(place / "campus", {"CAMPUS_DSN": "sqlite:///campus.db"})
    assert [one for one in findings_of(config) if one.severity == "warning"] == []
    assert len(config.sources) + len(config.sinks) == (source != "none") + (sink != "none")


@pytest.mark.parametrize(("source", "sink"), KINDS)
def test_few_lines_are_left_to_people(place, source, sink):
    """The hour is for their system, not for our file."""
    assert call(place, "--member", US, "--source", source, "--sink", sink, "--yes").exit_code == 0
    text = (place / "campus" / FILE).read_text("utf-8")
    assert text.count(EDIT) <= MOST_EDITS


def test_its_cases_pass(place):
    """They show how a case looks; one that failed would show how a case fails."""
    assert call(place, "--member", US, "--yes").exit_code == 0
    tried = CliRunner().invoke(app, ["test", str(place / "campus")])
    assert tried.exit_code == 0, tried.output
    assert (place / "campus" / "cases" / "offering").is_dir()


def test_it_writes_the_mappings_of_the_events_asked_for(place):
    """And passes over the rest by name, so that nothing is parked for want of a mapping."""
    call(place, "--member", US, "--yes", "--events", "offering.changed")
    values = tomllib.loads((place / "campus" / FILE).read_text("utf-8"))["source"]["campus"]
    assert values["mappings"] == {"offering": "mapping/offering.toml"}
    assert "profile" in values["ignore"]
    assert "offering" not in values["ignore"]
    assert [path.name for path in (place / "campus" / "mapping").iterdir()] == ["offering.toml"]


def test_all_events_leave_nothing_to_pass_over(place):
    """A campus of `alliance up` tells of everything."""
    call(place, "--member", US, "--yes", "--events", "all")
    values = tomllib.loads((place / "campus" / FILE).read_text("utf-8"))["source"]["campus"]
    assert "ignore" not in values
    assert len(values["mappings"]) > 20


def test_it_asks_what_was_not_given(place):
    """With each kind in a sentence, and defaults that fit."""
    answers = f"{US}\nfile_drop\n\n\n\n\n"
    result = call(place, text=answers)
    assert result.exit_code == 0, result.output
    assert "reads files that a campus system leaves" in result.output
    assert 'kind = "file_drop"' in (place / "campus" / FILE).read_text("utf-8")


def test_where_nobody_answers_it_says_so(place):
    """A script that forgot an option must not hang, nor guess who we are."""
    assert "give all options" in call(place).stderr
    result = call(place, "--yes")
    assert result.exit_code == 2
    assert "member" in result.stderr


def test_it_makes_a_key_where_there_is_none(place):
    """Readable by its owner alone; the public half is shown, and nothing of the private one."""
    keys = place / "new-keys"
    result = call(place, "--member", THEM, "--keys", str(keys), "--yes")
    path = keys / f"{THEM}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = re.search(r'public = "(.+)"', result.output)
    assert public is not None
    assert path.read_text("ascii").splitlines()[1] not in result.output
    assert load_signer(path).public == base64.b64decode(public[1])
    lint = CliRunner().invoke(app, ["lint", str(place / "campus")])
    assert lint.exit_code == 2
    assert "is not listed for" in lint.stderr


def test_a_key_that_is_there_is_kept(place):
    """It is who we are."""
    before = (place / "keys" / f"{US}.key").read_bytes()
    call(place, "--member", US, "--yes")
    assert (place / "keys" / f"{US}.key").read_bytes() == before


def test_it_touches_no_folder_that_holds_something(place):
    """Somebody's connector may be in it."""
    (place / "campus").mkdir()
    (place / "campus" / "notes.txt").write_text("mine", "utf-8")
    result = call(place, "--member", US, "--yes")
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert [path.name for path in (place / "campus").iterdir()] == ["notes.txt"]


def test_all_wrong_answers_are_told_at_once(place):
    """With what would be right; nothing is written."""
    wrong = ("--member", "1", "--source", "htp", "--sink", "x", "--events", "y", "--bootstrap", "b")
    result = call(place, *wrong, "--yes")
    assert len(result.stderr.splitlines()) == 5
    assert not (place / "campus").exists()


def test_an_alliance_that_is_not_there_is_asked_for(tmp_path):
    """It comes from the hub's operators; without it there is nobody to belong to."""
    folder, gone = str(tmp_path / "campus"), str(tmp_path / "gone.toml")
    result = CliRunner().invoke(app, ["init", folder, "--yes", "--member", US, "--alliance", gone])
    assert result.exit_code == 2
    assert f"--alliance: {gone} is not there" in result.stderr


def test_secrets_and_state_stay_out_of_version_control(place):
    """The folder is committed within the week."""
    call(place, "--member", US, "--source", "elmo", "--yes")
    campus = place / "campus"
    subprocess.run(["git", "init", "-q", campus], check=True)
    for name in ("state.db", "private.db", ".env", f"{US}.key", "spool-courses/a"):
        (campus / name).parent.mkdir(exist_ok=True)
        (campus / name).touch()
    said = subprocess.run(
        ["git", "-C", campus, "status", "--porcelain", "-uall"], check=True, capture_output=True, text=True
    )  # fmt: skip
    shown = {line[3:] for line in said.stdout.splitlines()}
    assert {"connector.toml", ".env.example", "mapping/awarded.toml"} <= shown
    assert not [name for name in shown if name.endswith((".db", ".key", ".env")) or "spool" in name]
    assert stat.S_IMODE((campus / "award.key").stat().st_mode) == 0o600


def test_the_unit_and_the_snippet_name_this_folder(place):
    """They are copied, not edited. systemd reads the unit where it is installed."""
    call(place, "--member", US, "--yes")
    campus = place / "campus"
    unit = (campus / "alliance-connector.service").read_text("utf-8")
    assert f'connector run "{campus}"' in unit
    assert "Restart=on-failure" in unit
    service = yaml.safe_load((campus / "compose.yaml").read_text("utf-8"))["services"]
    (connector,) = service.values()
    assert f"{campus}:{campus}" in connector["volumes"]
    assert f"{place / 'keys'}:{place / 'keys'}:ro" in connector["volumes"]
    assert (campus / ".env.example").read_text("utf-8").splitlines()[1:] == ["CAMPUS_TOKEN=", "KAFKA_PASSWORD="]  # fmt: skip
    if shutil.which("systemd-analyze"):
        path = campus / f"alliance-connector-{US}.service"
        path.write_text(unit, "utf-8")
        subprocess.run(["systemd-analyze", "verify", path], check=True)


def test_records_of_another_shape_get_mappings_that_read_them(place):
    """An outbox keeps the campus's fields in `payload` and the change in columns."""
    call(place, "--member", US, "--source", "sql_outbox", "--yes")
    mapping = tomllib.loads((place / "campus" / "mapping" / "offering.toml").read_text("utf-8"))
    assert mapping["envelope"]["event_id"] == "id"
    assert mapping["fields"]["offering_id"]["path"] == "payload.offeringId"
    assert not (place / "campus" / "cases").exists()


class Required(Options):
    """Options of a kind that ships no template."""

    place: str
    password: SecretStr
    size: int = Field(default=3, ge=1)


def test_a_kind_without_template_gets_its_required_options_as_placeholders():
    """The author of a private kind need not write one."""
    lines = init.placeholders("mysis", Required).splitlines()
    assert lines[0] == 'kind = "mysis"'
    assert lines[1].startswith('place = "..."')
    assert EDIT in lines[1]
    assert 'password = { env = "CAMPUS_PASSWORD" }' in lines[2]
    assert lines[3] == "# size = 3"


def test_paths_outside_the_folder_are_absolute(place):
    """Relative ones break when the folder is moved, or linked."""
    answers = init.Answers(US, "http_poll", "none", "b:1", place / "alliance.toml", place / "keys")
    machine = init.Machine("/usr/bin/alliance", "hub", 1, 1)
    alliance = load_alliance(place / "alliance.toml")
    found = init.prepare(place / "campus", answers, alliance, machine).files[FILE]
    assert tomllib.loads(found)["member"]["alliance"] == str(place / "alliance.toml")
    inside = init.prepare(place, answers, alliance, machine).files[FILE]
    assert tomllib.loads(inside)["member"]["alliance"] == "alliance.toml"


def test_it_tells_programs_what_it_made(place):
    """Whoever sets up twenty campuses reads no sentences."""
    result = call(place, "--member", THEM, "--keys", str(place / "new"), "--yes", "--json")
    told = json.loads(result.stdout)
    lines = (place / "campus" / FILE).read_text("utf-8").splitlines()
    assert all(lines[edit["line"] - 1] == edit["text"] for edit in told["edits"])
    assert "mapping/offering.toml" in told["files"]
    assert base64.b64decode(told["publicKey"]) == load_signer(place / "new" / f"{THEM}.key").public
