"""Every byte of what is handed around counts: receipts, policies, evidence, statements, a campus's own file.

Each test flips or cuts all of a sound file, so a field that nobody checks would be found as a byte that may be anything.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.state.file import Answered, Outgoing, State, Taken
from connectors.sdk.trust.proofs import Held, Promised, Proven
from hub.ledger.statement import StatementFold, statement
from hub.verify.outcome import Code, Failure
from hub.verify.proofs import check_receipt
from schemas import topics
from schemas.codec import decode, encode
from schemas.envelope import from_millis
from schemas.promises import promise
from schemas.records import Entry
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import leaf_hash
from schemas.tlog.policy import Policy
from schemas.tlog.proof import LogProof
from tests.support.ledger import HOME, HOST
from tests.support.verified_log import (
    ORIGIN,
    PROMISES,
    alliance,
    alliance_toml,
    checkpoint_note,
    log_of,
    place_of,
    rechained,
    small_ledger,
    small_log,
    verify,
)

INDEX = 1
POLICY = alliance().policy()
FALSE = (Code.MALFORMED, Code.SIGNATURE, Code.PROOF, Code.ENTRY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    (tmp_path / "policy").write_bytes(POLICY.to_bytes())
    return tmp_path


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Receipts


def receipt() -> LogProof:
    return small_log().proof(INDEX)


def refused(path: Path, data: bytes, **given: Any) -> Failure:
    path.write_bytes(data)
    with pytest.raises(Failure, match=path.name) as caught:
        check_receipt(str(path), POLICY, **given)
    return caught.value


def test_every_flipped_byte_of_a_receipt_is_found(folder: Path) -> None:
    """Header, entry, index, every hash of the path, the checkpoint with its signatures."""
    path, data = folder / "one.tlog-proof", receipt().to_bytes()
    path.write_bytes(data)
    assert check_receipt(str(path), POLICY).index == INDEX
    for at in range(len(data)):
        assert refused(path, flipped(data, at)).code in FALSE, at


def test_a_receipt_cut_anywhere_is_found(folder: Path) -> None:
    """At every length."""
    path, data = folder / "one.tlog-proof", receipt().to_bytes()
    for length in range(len(data)):
        assert refused(path, data[:length]).code in FALSE, length


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda p: replace(p, index=p.index + 1), Code.PROOF),
        (lambda p: replace(p, hashes=p.hashes[:-1]), Code.PROOF),
        (lambda p: replace(p, hashes=(p.hashes[1], p.hashes[0], *p.hashes[2:])), Code.PROOF),
        (lambda p: replace(p, extra=small_log().entries[2]), Code.PROOF),
        (lambda p: replace(p, checkpoint=checkpoint_note(small_log().entries[:300])), Code.PROOF),
        (lambda p: replace(p, checkpoint=checkpoint_note(small_log().entries, witnesses=[HOME])), Code.SIGNATURE),
        (lambda p: replace(p, checkpoint=checkpoint_note(small_log().entries, witnesses=())), Code.SIGNATURE),
    ],
)  # fmt: skip
def test_a_receipt_of_other_parts_is_refused(
    folder: Path, change: Callable[[LogProof], LogProof], code: Code
) -> None:
    """Each part is true somewhere; together they prove nothing."""
    assert refused(folder / "one.tlog-proof", change(receipt()).to_bytes()).code == code


def test_a_receipt_is_for_one_event(folder: Path) -> None:
    """Other bytes than the member signed, by a byte."""
    path, event = folder / "one.tlog-proof", small_ledger().entries[INDEX].entry.event
    data = receipt().to_bytes()
    path.write_bytes(data)
    check_receipt(str(path), POLICY, event=event)
    assert refused(path, data, event=flipped(event, 20)).code == Code.PROOF
    bare = replace(receipt(), extra=b"").to_bytes()
    assert refused(path, bare, event=event).code == Code.UNREADABLE  # the entry itself is missing
    assert refused(path, bare, entry=small_log().entries[2]).code == Code.PROOF


def test_a_receipt_of_an_event_that_its_member_did_not_sign_is_refused(folder: Path) -> None:
    """A quorum that cosigned a forged entry: the member's key still tells."""
    entries = [written.entry for written in small_ledger().entries[:4]]
    entries[INDEX] = replace(entries[INDEX], signature=bytes(64))
    path = folder / "one.tlog-proof"
    path.write_bytes(log_of(rechained(entries)).proof(INDEX).to_bytes())
    code, values = verify("receipt", path, "--alliance", folder / "alliance.toml")
    assert code == Code.SIGNATURE
    assert f"entry {INDEX + 1}, field signature" in place_of(values)


@pytest.mark.parametrize(
    ("leaf", "code", "field"),
    [
        (lambda e: encode(replace(e, event_hash=bytes(32))), Code.ENTRY, "field event_hash"),
        (lambda e: encode(replace(e, seq=e.seq + 1)), Code.PROOF, "index"),
        (lambda e: e.event, Code.ENTRY, f"leaf {INDEX}"),
        (lambda _: b"junk", Code.ENTRY, f"leaf {INDEX}"),
    ],
)
def test_a_leaf_that_belies_itself_is_refused(
    folder: Path, leaf: Callable[[Entry], bytes], code: Code, field: str
) -> None:
    """Logged and cosigned, and still no entry about this event."""
    entries = list(small_log().entries[:4])
    entries[INDEX] = leaf(small_ledger().entries[INDEX].entry)
    failure = refused(folder / "one.tlog-proof", log_of(entries).proof(INDEX).to_bytes())
    assert failure.code == code
    assert failure.place.endswith(field)


# Policies


def test_every_flipped_byte_of_a_policy_is_found() -> None:
    """Keys carry their own check, names must be defined, a threshold cannot exceed its group."""
    data, note = POLICY.to_bytes(), small_log().files["checkpoint.witnessed"]
    from hub.verify.trust import open_signed

    for at in range(len(data)):
        try:
            policy = Policy.parse(flipped(data, at))
        except Forged:
            continue
        with pytest.raises(Failure):
            open_signed(note, policy, "checkpoint")


def test_a_policy_cut_anywhere_is_found() -> None:
    """A file that lost its end must not become a laxer policy."""
    data = POLICY.to_bytes()
    for length in range(len(data)):
        with pytest.raises(Forged):
            Policy.parse(data[:length])


def test_a_damaged_policy_is_named(folder: Path) -> None:
    """With the number of its line."""
    path = folder / "one.tlog-proof"
    path.write_bytes(receipt().to_bytes())
    data = (folder / "policy").read_bytes()
    assert verify("receipt", path, "--policy", folder / "policy")[0] == Code.OK
    (folder / "policy").write_bytes(flipped(data, data.index(b"+") + 3))
    code, values = verify("receipt", path, "--policy", folder / "policy")
    assert code == Code.MALFORMED
    assert f"{folder}/policy: policy line 1" in place_of(values)


# Evidence of two stories


def test_evidence_is_evidence_to_the_last_byte(folder: Path) -> None:
    """Made offline, checked by anyone who has the log's key; damaged, it shows nothing."""
    entries = [written.entry for written in small_ledger().entries]
    longer = log_of(rechained([*entries[5:], *entries])).write(folder / "log")
    (folder / "ours").write_bytes(small_log().files["checkpoint"])
    evidence, given = folder / "evidence.json", ("--alliance", folder / "alliance.toml")
    code, _ = verify(
        "equivocation", longer / "checkpoint", folder / "ours", "--tiles", longer, "--out", evidence, *given
    )  # fmt: skip
    assert code == Code.EQUIVOCATION
    sound = json.loads(evidence.read_text(encoding="utf-8"))
    assert verify("equivocation", evidence, *given)[0] == Code.EQUIVOCATION
    damages: list[tuple[str, Any]] = [
        ("first", sound["first"].replace("alliance", "Alliance", 1)),
        ("second", sound["second"][:-8] + "AAAA===\n"),
        ("root_at_size_of_first", "00" * 32),
        ("consistency_proof_to_second", sound["consistency_proof_to_second"][:-1]),
        ("consistency_proof_to_second", ["00" * 32, *sound["consistency_proof_to_second"][1:]]),
        ("format", "other"),
        ("first", None),
    ]
    for field, value in damages:
        evidence.write_text(json.dumps({**sound, field: value}), encoding="utf-8")
        assert verify("equivocation", evidence, *given)[0] in FALSE, field


def test_checkpoints_of_one_log_are_no_evidence(folder: Path) -> None:
    """Of different sizes they need the tiles, and nobody is accused without."""
    copy, given = small_log().write(folder / "log"), ("--alliance", folder / "alliance.toml")
    old = folder / "old"
    old.write_bytes(checkpoint_note(small_log().entries[:77]))
    pair = (old, copy / "checkpoint")
    assert verify("equivocation", *pair, *given)[0] == Code.UNREADABLE
    code, values = verify("equivocation", *pair, "--tiles", copy, *given)
    assert (code, values["equivocation"]) == (Code.OK, False)
    other = folder / "other"
    other.write_bytes(checkpoint_note(small_log().entries[::-1]))
    code, values = verify("equivocation", other, copy / "checkpoint", *given)
    assert (code, values["equivocation"]) == (Code.EQUIVOCATION, True)


def test_growth_between_checkpoints(folder: Path) -> None:
    """Unchanged, changed, backwards, of another log."""
    copy, given = small_log().write(folder / "log"), ("--alliance", folder / "alliance.toml")
    old, new = folder / "old", copy / "checkpoint.witnessed"
    old.write_bytes(checkpoint_note(small_log().entries[:77]))
    code, values = verify("consistency", old, new, "--tiles", copy, *given)
    assert code == Code.OK
    assert len(values["proof"]) > 3
    assert verify("consistency", new, old, "--tiles", copy, *given)[0] == Code.PROOF
    assert verify("consistency", new, new, *given)[0] == Code.OK
    old.write_bytes(checkpoint_note(small_log().entries[1:78]))
    assert verify("consistency", old, new, "--tiles", copy, *given)[0] == Code.EQUIVOCATION
    (copy / "tile/0/000").write_bytes(bytes(256 * 32))
    old.write_bytes(checkpoint_note(small_log().entries[:77]))
    assert verify("consistency", old, new, "--tiles", copy, *given)[0] == Code.PROOF


# Statements of account


def account() -> dict[str, Any]:
    """The home's statement of the first period, bound to the log."""
    fold = StatementFold()
    for written in small_ledger().entries:
        fold.see(written.entry)
    content = fold.contents[0]
    assert content.closed_entry is not None
    proof = replace(small_log().proof(content.closed_entry.seq - 1), extra=b"")
    return statement(content, HOME, HOST, origin=ORIGIN, log_proof=proof.to_bytes())


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in it that is no list or object."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    elif isinstance(values, list):
        for at, value in enumerate(values):
            yield from leaves(value, (*path, at))
    elif values is not None:
        yield path


def other_value(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    changed = {"0": "1", "1": "2", "2": "3", "9": "8", "a": "b", "A": "B"}
    last = value[-1] if value else "x"
    return f"{value[:-1]}{changed.get(last, '0')}"


# Told to people, and repeated in entries that anyone can look up: no sum rests on them.
UNCHECKED = {
    "sentence",
    "seq",
    "event_id",
    "event_type",
    "member",
    "subject",
    "effective_at",
    "ledger_at",
}


def test_every_changed_value_of_a_statement_is_found(folder: Path) -> None:
    """Sums, proofs, the period, the log: whatever says an amount or where it comes from."""
    path, given = folder / "statement.json", ("--alliance", folder / "alliance.toml")
    sound = account()
    path.write_text(json.dumps(sound), encoding="utf-8")
    assert verify("statement", path, *given) == (
        Code.OK, {"verify": "statement", "result": "ok", "exit": 0, "statements": 1, "problems": []},
    )  # fmt: skip
    tried = 0
    for leaf in leaves(sound):
        if set(leaf[:1]) == {"entries"} and set(leaf) & UNCHECKED:
            continue
        forged = json.loads(json.dumps(sound))
        inner = forged
        for key in leaf[:-1]:
            inner = inner[key]
        inner[leaf[-1]] = other_value(inner[leaf[-1]])
        path.write_text(json.dumps(forged), encoding="utf-8")
        code, values = verify("statement", path, *given)
        assert code == Code.STATEMENT, (leaf, values)
        assert place_of(values).startswith(str(path))
        tried += 1
    assert tried > 60


def test_a_statement_that_is_no_json_is_refused(folder: Path) -> None:
    """At any length."""
    path, text = folder / "statement.json", json.dumps(account())
    for length in (0, 1, len(text) // 2, len(text) - 1):
        path.write_text(text[:length], encoding="utf-8")
        assert (
            verify("statement", path, "--alliance", folder / "alliance.toml")[0] == Code.MALFORMED
        )


# A campus's own file

NOW_MS = 1_800_000_000_000
TIME = "2027-01-15T08:00:00Z"  # the same


def outgoing(entry: Entry) -> Outgoing:
    return Outgoing(entry.event_id, entry.event_type, topics.outbox(HOME), b"k", entry.event, [])


def held(number: int, **other: Any) -> Held:
    """The receipt of an entry as a connector stores it."""
    entry, proof = small_ledger().entries[number].entry, small_log().proof(number)
    values: dict[str, Any] = {
        "event_id": entry.event_id,
        "index": number,
        "outcome": entry.outcome,
        "event_hash": entry.event_hash,
        "leaf_hash": leaf_hash(proof.extra),
        "entry": proof.extra,
        "path": proof.hashes,
        "size": len(small_log().entries),
        "checkpoint": proof.checkpoint,
    }
    return Held(**(values | other))


def written(path: Path, *receipts: Held, promised_ms: int | None = None) -> Path:
    """A connector's file with two events sent an hour ago, the second without a receipt."""
    state = State(path)
    entries = [small_ledger().entries[INDEX].entry, small_ledger().entries[INDEX + 1].entry]
    _publish(state, [outgoing(entry) for entry in entries])
    proven = Proven(receipts=list(receipts))
    if promised_ms is not None:
        said = promise(PROMISES, HOME, [one.event for one in entries], from_millis(NOW_MS - 3_600_000), from_millis(promised_ms))  # fmt: skip
        hashes = [sha256(one.event).digest() for one in entries]
        proven.promises.append(Promised(encode(said), promised_ms, hashes))
    state.commit_inbox(Taken(1, 0, proven=proven), NOW_MS, receipts=True)
    state.close()
    return path


def _publish(state: State, events: list[Outgoing]) -> None:
    for event in events:
        state._db.execute(  # as its own commit of a page does
            "INSERT INTO outbox (event_id, event, topic, key, value, headers, hash, sent_at) VALUES (?, ?, ?, ?, ?, '[]', ?, ?)",
            (event.event_id, event.event, event.topic, event.key, event.value, sha256(event.value).digest(), NOW_MS - 3_600_000),
        )  # fmt: skip


def mine(folder: Path, path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    return verify("mine", "--outbox", path, "--alliance", folder / "alliance.toml", "--at", TIME, *more)  # fmt: skip


def test_events_with_receipts_or_time_left_are_in_order(folder: Path) -> None:
    """A receipt for one, a promise that is not over for the other."""
    path = written(folder / "state.db", held(INDEX), promised_ms=NOW_MS + 1000)
    code, values = mine(folder, path)
    assert code == Code.OK, values
    assert (values["receipts"], values["proven"], values["in_time"]) == (1, 1, 1)


def test_an_event_whose_promise_is_over_is_named(folder: Path) -> None:
    """The promise is signed by the hub, so it is proof of a dropped event."""
    path = written(folder / "state.db", held(INDEX), promised_ms=NOW_MS - 1)
    code, values = mine(folder, path)
    event_id = small_ledger().entries[INDEX + 1].entry.event_id
    assert code == Code.MISSING
    assert event_id in place_of(values)
    assert [one["event_id"] for one in values["overdue_events"]] == [event_id]


def test_an_event_that_nobody_promised_is_overdue_in_the_end(folder: Path) -> None:
    """Sent an hour ago, and not a word."""
    path = written(folder / "state.db", held(INDEX))
    assert mine(folder, path, "--promise-after-s", "3601")[0] == Code.OK
    assert mine(folder, path, "--promise-after-s", "3600")[0] == Code.MISSING


def test_an_outcome_without_its_receipt_is_overdue(folder: Path) -> None:
    """What the hub told, and does not show."""
    path = written(folder / "state.db", promised_ms=NOW_MS + 10_000_000)
    state = State(path)
    entry = small_ledger().entries[INDEX].entry
    told = Taken(2, 0, done=[Answered(entry.event_id, "applied", entry.seq)])
    state.commit_inbox(told, NOW_MS - 600_000, receipts=True)
    state.close()
    code, values = mine(folder, path)
    assert (code, len(values["overdue_events"])) == (Code.MISSING, 1)
    assert mine(folder, path, "--receipt-after-s", "601")[0] == Code.OK


@pytest.mark.parametrize(
    "forged",
    [
        {"path": small_log().proof(INDEX + 1).hashes},
        {"path": small_log().proof(INDEX).hashes[:-1]},
        {"index": INDEX + 1},
        {"outcome": "rejected"},
        {"event_hash": bytes(32)},
        {"entry": small_log().entries[INDEX + 1]},
        {"event_id": small_ledger().entries[INDEX + 1].entry.event_id},
        {"checkpoint": checkpoint_note(small_log().entries, witnesses=(HOME,))},
        {"checkpoint": checkpoint_note(small_log().entries[:300])},
    ],
)
def test_a_forged_receipt_in_the_file_is_found(folder: Path, forged: dict[str, Any]) -> None:
    """The connector checked it when it came; nobody has to trust the connector's disk."""
    path = written(folder / "state.db", held(INDEX, **forged), promised_ms=NOW_MS + 1000)
    code, values = mine(folder, path)
    assert code in FALSE
    assert "receipt of event" in place_of(values)


def test_a_forged_promise_is_found(folder: Path) -> None:
    """Of another key, of another time, of other events."""
    path = written(folder / "state.db", held(INDEX), promised_ms=NOW_MS + 1000)
    assert mine(folder, path)[0] == Code.OK
    with sqlite3.connect(path) as db:
        (value,) = db.execute("SELECT value FROM promise_notes").fetchone()
        said: Any = decode(value)
        db.execute("UPDATE promise_notes SET value = ?", (encode(replace(said, signature=bytes(64))),))  # fmt: skip
    db.close()
    code, values = mine(folder, path)
    assert code == Code.SIGNATURE
    assert "promise of event" in place_of(values)


def test_kept_evidence_is_not_passed_over(folder: Path) -> None:
    """What the connector found against the hub is a finding here, too; two stories of one log are the worst of it."""
    path = written(folder / "state.db", held(INDEX), promised_ms=NOW_MS + 1000)
    for kind, code in (("outcome", Code.MISSING), ("equivocation", Code.EQUIVOCATION)):
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM evidence")
            db.execute(
                "INSERT INTO evidence (at, kind, event_id, reason, brief, payload, digest) VALUES (0, ?, 'e', 'why', 'why', x'00', x'00')",
                (kind,),
            )
        db.close()
        assert mine(folder, path)[0] == code


def test_the_file_is_read_and_not_changed(folder: Path) -> None:
    """An auditor's look leaves no trace, and what is no such file is said."""
    path = written(folder / "state.db", held(INDEX), promised_ms=NOW_MS + 1000)
    before = path.read_bytes()
    mine(folder, path)
    assert path.read_bytes() == before
    assert mine(folder, folder / "nothing.db")[0] == Code.UNREADABLE
    path.write_bytes(b"no database at all" * 100)
    assert mine(folder, path)[0] == Code.UNREADABLE
