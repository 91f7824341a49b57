"""connector.toml: each refusal names file, key and fix, and all of them come at once."""

import pytest

from connectors.http_poll.conformance import changes
from connectors.reference.conformance import both_ways
from connectors.sdk.config import FILE, load_config
from connectors.sdk.contract import ConfigError
from connectors.sdk.discovery import kinds
from connectors.sdk.testing import US, write_alliance, write_folder


@pytest.fixture
def folder(tmp_path):
    write_alliance(tmp_path)
    write_folder(tmp_path, changes())
    return tmp_path


def edit(folder, old, new):
    path = folder / FILE
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def refusal(folder, environ=None):
    with pytest.raises(ConfigError) as caught:
        load_config(folder, environ or {})
    return str(caught.value)


def test_kinds_are_found_by_folder():
    """Nobody lists them, so nobody forgets to."""
    assert {"http_poll", "http_push", "reference"} <= set(kinds())
    assert kinds()["http_push"].source is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('path = "/changes"', 'pathh = "/changes"', "source.campus.pathh: no such key; did you mean path?"),
        ('path = "/changes"', "", "source.campus.path: missing; add it"),
        ('kind = "http_poll"', 'kind = "http_pull"', "did you mean http_poll? write one of"),
        ('kind = "http_poll"', 'kind = "http_push"', "write [sink.campus]"),
        ('cursor = "number"', "", 'write either cursor = "..."'),
        ('cursor = "number"', 'cursor = "a["', "is no JMESPath"),
        ('mapping = "mapping/offering.toml"', "", "write either mapping"),
        ("mapping/offering.toml", "mapping/gone.toml", "gone.toml: No such file"),
        (f'code = "{US}"', 'code = "99999"', "member.code: 99999 is not in"),
        (f"{US}.key", "10610.key", "so the hub would refuse every event"),
        (f"{US}.key", "gone.key", "run: alliance members keygen"),
        ("[kafka]", "[kafka]\nbootstrp = 1", "kafka.bootstrp: no such key; did you mean bootstrap?"),
        ("[source.campus]", "[source.campus]\nevery_s = 0", "source.campus.every_s: found 0"),
        ("[source.campus]", "[source.campus", "not TOML"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_file_key_and_fix(folder, old, new, said):
    """Two people set this up in an hour; each riddle costs ten minutes of it."""
    edit(folder, old, new)
    message = refusal(folder)
    assert said in message
    assert str(folder) in message


def test_a_fault_names_its_line(folder):
    """An editor opens `connector.toml:12` where the fault is; a missing key is looked for at its table."""
    text = (folder / FILE).read_text("utf-8").splitlines()
    edit(folder, 'path = "/changes"', 'pathh = "/changes"')
    message = refusal(folder)
    path, table = text.index('path = "/changes"') + 1, text.index("[source.campus]") + 1
    assert f"{folder / FILE}:{path}: source.campus.pathh: no such key" in message
    assert f"{folder / FILE}:{table}: source.campus.path: missing" in message


def test_an_unset_variable_hides_no_other_fault(folder):
    """And is one fault, not one for the value and one for what the value is not."""
    edit(folder, 'base_url = "http://campus.example"', 'base_url = { env = "SIS" }')
    edit(
        folder,
        'path = "/changes"',
        'path = "/changes"\npathh = "x"\nauth = { type = "bearer", token = { env = "SIS" } }',
    )
    said = [
        line for line in refusal(folder).splitlines() if "auth.token: the variable SIS" not in line
    ]
    assert len(said) == 2
    assert "the variable SIS is not set" in said[0]
    assert "pathh: no such key" in said[1]


def test_all_faults_come_at_once(folder):
    """Nobody should have to run it five times to hear of five faults."""
    edit(folder, 'path = "/changes"', "")
    edit(folder, f'code = "{US}"', 'code = "99999"')
    assert len(refusal(folder).splitlines()) == 2


def test_values_may_come_from_the_environment_and_from_files(folder):
    """Passwords stay out of the file that is mailed around."""
    lines = 'auth = { type = "bearer", token = { file = "token" } }\nbase_url = { env = "SIS" }'
    edit(folder, 'base_url = "http://campus.example"', lines)
    assert "the variable SIS is not set" in refusal(folder)
    assert "cannot read token" in refusal(folder, {"SIS": "http://sis"})
    (folder / "token").write_text("s3cret\n", "utf-8")
    options = load_config(folder, {"SIS": "http://sis"}).sources[0].options
    assert options.base_url == "http://sis"
    assert options.auth.token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(options)


def test_a_variable_may_have_a_default(tmp_path):
    """The sample folder starts with two variables set instead of five."""
    write_alliance(tmp_path)
    write_folder(tmp_path, both_ways())
    edit(tmp_path, '"127.0.0.1:1"', '{ env = "B", default = "broker:9092" }')
    assert load_config(tmp_path, {}).kafka.bootstrap == "broker:9092"
    assert load_config(tmp_path, {"B": "other:1"}).kafka.bootstrap == "other:1"
