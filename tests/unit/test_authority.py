"""The authority matrix: whose key may state which event. Read off the catalogue, tried with every key there is."""

from __future__ import annotations

import base64
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from hub.domain.keys import REVOKED, MemberKey
from hub.events import COMMON_REASONS
from hub.flow.admission import Refusal, check
from hub.flow.keys import learn, unknown
from hub.ledger.apply import HUB
from hub.security.keys import hub_keygen, keygen
from schemas.catalogue import Schema, catalogue
from schemas.envelope import KEY_ID, SIGNATURE
from schemas.members import Alliance, load_alliance
from schemas.records import Admitted
from schemas.signing import KEY_TYPE, Signer, Verifier, load_signer, new_signer, possession_body
from tests.support.flow import SIGNERS, STRANGER, Sent, sent
from tests.support.histories_catalogue import THEME_NAMES, drawn
from tests.support.histories_twins import told
from tests.support.histories_world import CODES
from tests.support.ledger import HOME, HOST, MEMBERS, Ledger, assert_refused

EVENTS = catalogue().events()
every_event = pytest.mark.parametrize("schema", EVENTS, ids=lambda schema: schema.event)
RESERVE = new_signer(b"\x21" * 32)


def ours() -> Verifier:
    """Keys of the four members of these tests, new for each test: admission's verifier learns."""
    return Verifier({signer.key_id: (code, signer.public) for code, signer in SIGNERS.items()})


def written_by(schema: Schema, member: str, ledger: Ledger | None = None) -> Any:
    """An event of that type that this member is to state: a field that names a writer names it."""
    record = Ledger().record(schema.event)
    if member not in {getattr(record, field) for field in schema.writer}:
        record = replace(record, **{schema.writer[0]: member})
    said = {one.name: getattr(record, one.name) for one in fields(record) if one.name != "envelope"}
    return (ledger or Ledger()).record(schema.event, by=member, **said)


def refused(message: Sent, verifier: Verifier | None = None) -> str:
    found = check(message.at(), MEMBERS, verifier or ours())
    assert isinstance(found, Refusal), f"admitted: {found}"
    assert "; " in found.detail or "," in found.detail
    return found.reason.value


def test_the_matrix_has_a_row_for_every_event_type() -> None:
    """A type that no row looks at would be one that nobody guards."""
    assert len(EVENTS) == 27
    assert all(schema.writer for schema in EVENTS)


@every_event
def test_only_the_members_that_its_fields_name_may_state_an_event(schema: Schema) -> None:
    """Each with its own key, through its own outbox: the others' statement is not theirs to make."""
    for member in MEMBERS:
        record = Ledger().record(schema.event)
        entitled = {getattr(record, field) for field in schema.writer}
        message = sent(Ledger().record(schema.event, by=member))
        if member in entitled:
            assert isinstance(check(message.at(), MEMBERS, ours()), Admitted)
        else:
            assert refused(message) == "NOT_WRITER"


@every_event
def test_no_key_of_another_member_speaks_for_the_writer(schema: Schema) -> None:
    """Neither in the writer's outbox nor in the other's own."""
    record = written_by(schema, HOST)
    for code, signer in SIGNERS.items():
        if code == HOST:
            assert isinstance(check(sent(record, signer).at(), MEMBERS, ours()), Admitted)
            continue
        assert refused(sent(record, signer)) == "NOT_WRITER"
        assert refused(sent(record, signer).but(topic=f"member.{code}.out")) == "NOT_WRITER"


@every_event
def test_no_signature_and_no_known_key_is_nobodys_word(schema: Schema) -> None:
    message = sent(written_by(schema, HOST))
    assert refused(message.with_header(SIGNATURE, None)) == "SIGNATURE_INVALID"
    assert refused(message.with_header(KEY_ID, None)) == "SIGNATURE_INVALID"
    assert refused(sent(written_by(schema, HOST), STRANGER)) == "SIGNATURE_INVALID"
    forged = message.with_header(KEY_ID, SIGNERS[HOME].key_id.encode())
    assert refused(forged) == "SIGNATURE_INVALID"


@pytest.fixture(scope="module")
def other_keys(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Alliance, dict[str, Signer]]:
    """An alliance with all its keys, and those that are not for events, as if somebody signed one with them."""
    folder = tmp_path_factory.mktemp("keys")
    path = folder / "alliance.toml"
    shutil.copy(Path(__file__).parents[2] / "alliance.toml", path)
    keygen(path, folder / "keys", [HOST])
    hub_keygen(path, folder / "hub")
    return load_alliance(path), {
        "log": _of_note(folder / "hub" / "log.key"),
        "promises": load_signer(folder / "hub" / "promises.key"),
        "witness": _of_note(folder / "keys" / f"{HOST}.witness"),
    }


def _of_note(path: Path) -> Signer:
    """The Ed25519 key inside a signed note's private key: name, hash, then a byte for the kind and 32 of seed."""
    text = path.read_text(encoding="ascii").strip()
    return new_signer(base64.b64decode(text.split("+", 4)[4])[1:33])


@every_event
@pytest.mark.parametrize("role", ["log", "promises", "witness"])
def test_keys_that_are_for_something_else_sign_no_event(
    other_keys: tuple[Alliance, dict[str, Signer]], schema: Schema, role: str
) -> None:
    """The operators hold the keys of checkpoints and promises. With them they can state nothing and move nothing."""
    alliance, signers = other_keys
    message = sent(written_by(schema, HOST), signers[role])
    assert refused(message, alliance.verifier()) == "SIGNATURE_INVALID"
    assert alliance.verifier().owner(signers[role].key_id) is None


def test_the_key_of_the_test_above_is_the_one_in_the_configuration(
    other_keys: tuple[Alliance, dict[str, Signer]],
) -> None:
    """Else it would prove that unknown keys are refused, and nothing more."""
    alliance, signers = other_keys
    assert alliance.promise_key == signers["promises"].public
    assert alliance.log is not None
    assert base64.b64decode(alliance.log.split("+", 2)[2])[1:] == signers["log"].public
    witness = alliance.members[HOST].witness or ""
    # Of a cosignature key the verifier's text ends with a byte for the kind and the public half.
    assert base64.b64decode(witness.split("+", 2)[2])[1:] == signers["witness"].public


@every_event
def test_a_revoked_key_states_nothing_in_the_ledger(schema: Schema) -> None:
    """Whatever it would have been: not even the order of its versions is looked at."""
    ledger = Ledger()
    key = RESERVE
    ledger.applied(ledger.tell("member.key-changed", **added(key)))
    gone = added(key) | {
        "action": "revoke", "public_key": None, "possession": None, "reason": "lost",
    }  # fmt: skip
    ledger.applied(ledger.tell("member.key-changed", **gone))
    assert ledger.find(MemberKey, key.key_id).state == REVOKED
    record = written_by(schema, HOST, ledger)
    assert_refused(ledger.say(record, key.key_id), "KEY_REVOKED", key.key_id)


def added(key: Signer, code: str = HOST) -> dict[str, Any]:
    return {
        "code": code,
        "action": "add",
        "key_id": key.key_id,
        "public_key": key.public,
        "replaces": None,
        "possession": key.sign_as(KEY_TYPE, possession_body(code, key.key_id)),
        "reason": None,
    }


def test_what_the_hub_says_itself_moves_no_value() -> None:
    """Ticks, flags, periods and their closing: at most they void what waits. Over histories of every kind."""
    seen: set[str] = set()
    voids, themes = 0, len(THEME_NAMES)
    rules = THEME_NAMES.index("rules")  # where awards expire, which voids what is pending
    for seed in (*range(4 * themes), *range(rules, rules + 60 * themes, themes)):
        for written in told(drawn(seed, 40), seed % len(CODES)).ledger.entries:
            entry = written.entry
            if entry.member != HUB:
                assert entry.key_id
                continue
            seen.add(entry.event_type)
            assert (entry.key_id, entry.signature) == ("", b"")
            assert {posting.action for posting in entry.postings} <= {"void"}
            voids += len(entry.postings)
    assert {"ledger.tick", "hub.case-flagged"} <= seen
    assert voids > 0


# Keys that came later


def test_an_added_key_speaks_for_its_member_once_admission_has_learned_it() -> None:
    """From the topic of what was applied, by an event that a known key signed."""
    verifier = ours()
    record = Ledger().record("offering.changed", host=HOST)
    message = sent(record, RESERVE).at()
    assert unknown([message], verifier) == {RESERVE.key_id}
    brought = sent(Ledger().record("member.key-changed", **added(RESERVE)))
    assert learn(brought.at(), MEMBERS, verifier) == RESERVE.key_id
    assert unknown([message], verifier) == set()
    assert isinstance(check(message, MEMBERS, verifier), Admitted)
    foreign = sent(Ledger().record("offering.changed", host=HOME), RESERVE)
    assert refused(foreign, verifier) == "NOT_WRITER"


@pytest.mark.parametrize("signer", [STRANGER, SIGNERS[HOME], RESERVE])
def test_a_key_is_learned_from_its_own_member_only(signer: Signer) -> None:
    """Whoever could write the topic could else bring in keys, even one that signs its own arrival."""
    verifier = ours()
    brought = sent(Ledger().record("member.key-changed", **added(RESERVE)), signer)
    assert learn(brought.at(), MEMBERS, verifier) is None
    assert verifier.owner(RESERVE.key_id) is None


def test_what_brings_no_key_is_passed_over() -> None:
    """The topic holds profiles, too; and rubbish must not stop a worker."""
    verifier = ours()
    profile = sent(Ledger().record("member.profile-changed", code=HOST))
    revoked = added(RESERVE) | {
        "action": "revoke", "public_key": None, "possession": None, "reason": "lost",
    }  # fmt: skip
    for message in (
        profile,
        profile.but(value=b"rubbish"),
        profile.but(value=None),
        sent(Ledger().record("member.key-changed", **revoked)),
        sent(Ledger().record("member.key-changed", **added(RESERVE))).with_header(
            SIGNATURE, bytes(64)
        ),
    ):
        assert learn(message.at(), MEMBERS, verifier) is None


def test_nobody_takes_over_or_revokes_a_first_key_of_another() -> None:
    """The ledger does not know whose the keys of the configuration are; admission does."""
    first = SIGNERS[HOME].key_id
    stolen = added(RESERVE) | {
        "action": "revoke", "key_id": first, "public_key": None, "possession": None, "reason": "lost",
    }  # fmt: skip
    assert refused(sent(Ledger().record("member.key-changed", **stolen))) == "NOT_WRITER"
    rotated = added(RESERVE) | {"action": "rotate", "replaces": first}
    assert refused(sent(Ledger().record("member.key-changed", **rotated))) == "NOT_WRITER"
    own = added(RESERVE) | {"action": "rotate", "replaces": SIGNERS[HOST].key_id}
    message = sent(Ledger().record("member.key-changed", **own))
    assert isinstance(check(message.at(), MEMBERS, ours()), Admitted)


def test_a_revoked_key_is_one_of_the_reasons_any_event_can_meet() -> None:
    assert {"KEY_REVOKED", "DISPUTED"} <= {reason.value for reason in COMMON_REASONS}
