"""Key pairs: made once, private ones readable by their owner alone, public ones in the configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hub.errors import SettingsError
from hub.security.keys import keygen
from schemas.members import load_alliance
from schemas.signing import load_signer, new_signer

ALLIANCE = """# The members: one [[member]] each. A university's "[[member]]" table may have keys.

[alliance]
name = "Two"
origin = "two.example/ledger"

[[member]]
code = "10610"  # 四川大学
name_en = "Sichuan University"
name_zh = "四川大学"
region = "Sichuan"
city = "成都"
domain = "scu.edu.cn"

[[ member ]]
code = "M-AMU"
name_en = "Army Medical University"
name_zh = "陆军军医大学"
region = "Chongqing"
city = "重庆"
domain = "tmmu.edu.cn"
# the end
"""


@pytest.fixture
def alliance(tmp_path: Path) -> Path:
    path = tmp_path / "alliance.toml"
    path.write_text(ALLIANCE, encoding="utf-8")
    return path


def test_each_member_gets_a_key_that_the_configuration_knows(
    alliance: Path, tmp_path: Path
) -> None:
    """The private half signs, the public half verifies, the file still says all it said."""
    made = keygen(alliance, tmp_path / "keys")
    read = load_alliance(alliance)
    assert set(made) == {"10610", "M-AMU"}
    for code, key in made.items():
        assert list(read.members[code].keys) == [key]
        signer = load_signer(tmp_path / "keys" / f"{code}.key")
        assert signer.key_id == key
        assert read.verifier().valid(key, b"body", signer.sign(b"body"))
    kept = [
        line
        for line in alliance.read_text().splitlines()
        if "key" not in line and "public" not in line
    ]
    assert [line for line in kept if line] == [
        line for line in ALLIANCE.splitlines() if line and "key" not in line
    ]


def test_private_keys_are_readable_by_their_owner_alone(alliance: Path, tmp_path: Path) -> None:
    """Whoever has one speaks for the university."""
    keygen(alliance, tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_asking_again_makes_nothing_new(alliance: Path, tmp_path: Path) -> None:
    """A key that is in use is never written over."""
    keygen(alliance, tmp_path / "keys")
    before = alliance.read_text(), (tmp_path / "keys" / "10610.key").read_bytes()
    assert keygen(alliance, tmp_path / "keys") == {}
    assert (alliance.read_text(), (tmp_path / "keys" / "10610.key").read_bytes()) == before


def test_keys_are_made_for_the_members_asked_for(alliance: Path, tmp_path: Path) -> None:
    """One university joins, the others keep theirs."""
    assert set(keygen(alliance, tmp_path / "keys", ["M-AMU"])) == {"M-AMU"}
    assert set(keygen(alliance, tmp_path / "keys")) == {"10610"}
    assert all(len(member.keys) == 1 for member in load_alliance(alliance).members.values())


def test_a_key_in_a_new_folder_is_added_beside_the_old_one(alliance: Path, tmp_path: Path) -> None:
    """Events signed with the old key must still verify."""
    keygen(alliance, tmp_path / "old", ["10610"])
    keygen(alliance, tmp_path / "new", ["10610"])
    assert len(load_alliance(alliance).members["10610"].keys) == 2


def test_a_private_key_whose_public_half_is_missing_is_registered(
    alliance: Path, tmp_path: Path
) -> None:
    """A crash between the two files, or a campus that brought its own key."""
    signer = new_signer()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "10610.key").write_bytes(signer.pem())
    assert keygen(alliance, tmp_path / "keys", ["10610"]) == {"10610": signer.key_id}
    assert list(load_alliance(alliance).members["10610"].keys) == [signer.key_id]


def test_a_key_for_a_stranger_is_refused_before_anything_is_written(
    alliance: Path, tmp_path: Path
) -> None:
    """The message names the file and who could be meant."""
    with pytest.raises(SettingsError, match=r"99999: not in .*alliance\.toml.*10610"):
        keygen(alliance, tmp_path / "keys", ["10610", "99999"])
    assert not (tmp_path / "keys").exists()
    assert alliance.read_text() == ALLIANCE


def test_the_configuration_stays_readable_for_other_programs(
    alliance: Path, tmp_path: Path
) -> None:
    """It is TOML, whatever was written into it."""
    keygen(alliance, tmp_path / "keys")
    values = tomllib.loads(alliance.read_text(encoding="utf-8"))
    assert [row["code"] for row in values["member"]] == ["10610", "M-AMU"]
