"""Key pairs: made once, private ones readable by their owner alone, public ones in the configuration."""

from __future__ import annotations

import base64
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.errors import SettingsError
from hub.security.keys import hub_keygen, keygen, set_quorum
from schemas.members import AllianceFileError, load_alliance
from schemas.signing import load_signer, new_signer
from schemas.tlog.cosignature import CosignatureSigner
from schemas.tlog.note import Signer as LogSigner
from schemas.tlog.policy import Policy

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
    said = alliance.read_text(encoding="utf-8").splitlines()
    assert [line for line in ALLIANCE.splitlines() if line not in said] == []


def test_each_member_gets_a_witness_and_an_encryption_key(alliance: Path, tmp_path: Path) -> None:
    """What cosigns checkpoints and what opens private parts are other keys than the one that signs events."""
    keys = tmp_path / "keys"
    keygen(alliance, keys)
    for code, member in load_alliance(alliance).members.items():
        signer = CosignatureSigner.from_private_text((keys / f"{code}.witness").read_text().strip())
        assert signer.verifier.vkey == member.witness
        private = X25519PrivateKey.from_private_bytes(
            base64.b64decode((keys / f"{code}.encryption").read_bytes())
        )
        assert private.public_key().public_bytes_raw() == member.encryption
        assert len({*member.keys.values(), member.encryption, signer.verifier.public_key}) == 3


def test_the_hub_has_keys_of_its_own_that_are_no_members(alliance: Path, tmp_path: Path) -> None:
    """One signs checkpoints, one promises; neither is among those whose events count."""
    keys = tmp_path / "hub"
    assert hub_keygen(alliance, keys) == ["log.key", "promises.key"]
    read = load_alliance(alliance)
    assert (
        LogSigner.from_private_text((keys / "log.key").read_text().strip()).verifier.vkey
        == read.log
    )
    promises = load_signer(keys / "promises.key")
    assert promises.public == read.promise_key
    assert read.verifier().owner(promises.key_id) is None
    assert hub_keygen(alliance, keys) == []
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in keys.iterdir())


def test_a_log_keeps_its_key(alliance: Path, tmp_path: Path) -> None:
    """Other keys in another folder would make another log of the same name."""
    hub_keygen(alliance, tmp_path / "hub")
    before = alliance.read_text(encoding="utf-8")
    with pytest.raises(SettingsError, match=r"\[log\] table with other keys"):
        hub_keygen(alliance, tmp_path / "elsewhere")
    assert alliance.read_text(encoding="utf-8") == before


QUORUM = "\n[quorum]\nSichuan = 1\nChongqing = 1\n"


def test_the_quorum_of_each_region_becomes_a_policy(alliance: Path, tmp_path: Path) -> None:
    """Every region must have cosigned, so no region alone can vouch for the log."""
    alliance.write_text(ALLIANCE + QUORUM, encoding="utf-8")
    keygen(alliance, tmp_path / "keys")
    hub_keygen(alliance, tmp_path / "hub")
    policy = load_alliance(alliance).policy()
    assert policy.met_by(["10610", "M-AMU"])
    assert not policy.met_by(["10610"])
    assert not policy.met_by(["M-AMU"])
    assert Policy.parse(policy.to_bytes()) == policy


@pytest.mark.parametrize(
    ("quorum", "said"),
    [
        ("[quorum]\nTibet = 1\n", r"quorum\.Tibet is 1; write a region \(Chongqing, Sichuan\)"),
        ("[quorum]\nSichuan = 0\n", r"quorum\.Sichuan is 0"),
        ("quorum = 3\n", r"quorum\.quorum is 3"),
        ("[log]\ncheckpoint_key = 'x'\n", r"log\.checkpoint_key: .*members keygen"),
        ("[log]\npromise_key = 'AAAA'\n", r"log\.promise_key is 'AAAA', wanted 32 bytes"),
    ],
)
def test_a_configuration_that_cannot_be_met_is_refused(
    alliance: Path, quorum: str, said: str
) -> None:
    """The message names the place and what to write."""
    alliance.write_text(f"{quorum}\n{ALLIANCE}", encoding="utf-8")
    with pytest.raises(AllianceFileError, match=said):
        load_alliance(alliance)


def test_the_quorum_is_set_in_its_table_alone(alliance: Path) -> None:
    """A pilot of two campuses has two witnesses; all else in the file stays."""
    set_quorum(alliance, {"Sichuan": 1})
    assert load_alliance(alliance).quorum == {"Sichuan": 1}
    text = alliance.read_text(encoding="utf-8")
    alliance.write_text(f"[quorum]\nSichuan = 6\n\n{ALLIANCE}", encoding="utf-8")
    set_quorum(alliance, {"Chongqing": 1, "Sichuan": 2})
    assert load_alliance(alliance).quorum == {"Chongqing": 1, "Sichuan": 2}
    assert ALLIANCE in alliance.read_text(encoding="utf-8")
    assert ALLIANCE.rstrip() in text
    with pytest.raises(AllianceFileError, match=r"quorum\.Tibet"):
        set_quorum(alliance, {"Tibet": 1})
    assert load_alliance(alliance).quorum == {"Chongqing": 1, "Sichuan": 2}


def test_a_quorum_of_more_witnesses_than_there_are_is_refused(
    alliance: Path, tmp_path: Path
) -> None:
    """Else no checkpoint would ever be final, and nobody would know why."""
    alliance.write_text(ALLIANCE + QUORUM, encoding="utf-8")
    hub_keygen(alliance, tmp_path / "hub")
    keygen(alliance, tmp_path / "keys", ["10610"])
    with pytest.raises(AllianceFileError, match=r"quorum\.Chongqing is 1, but 0 members"):
        load_alliance(alliance).policy()


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
