"""`alliance verify erasure`: entries, payloads and checkpoints from where they lie, brought together for one student."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.verify.cli import main
from hub.verify.outcome import Code
from hub.verify.sources import Broker, Record
from schemas import topics
from schemas.records import PrivatePart
from tests.support.ledger import HOME
from tests.support.verified_log import (
    Log,
    SignedLedger,
    alliance,
    alliance_toml,
    checkpoint_note,
    log_of,
    place_of,
    rechained,
    verify,
)

SID = f"urn:alliance:student:{HOME}:0a1b"


def ledger(*, erased: bool = True, keys: tuple[str, ...] = ("k1",)) -> SignedLedger:
    """An enrollment and an award with private parts under one key; the home says that it is destroyed."""
    made = SignedLedger()
    made.offer(capacity=9)
    part = PrivatePart("k1", bytes(32), 64)
    made.applied(made.request("e1", student_id=SID, private=part))
    made.applied(made.decide("e1", "accepted"))
    if erased:
        at = datetime(2027, 1, 1, tzinfo=UTC)
        facts = {
            "student_id": SID,
            "home": HOME,
            "key_ids": keys,
            "erased_at": at,
            "backups_clear_at": at,
        }
        made.applied(made.tell("student.erased", **facts))
    made.offer("physics")
    return made


def log(made: SignedLedger) -> Log:
    return log_of([written.value for written in made.entries])


def erasure(folder: Path, made: SignedLedger, *more: str | Path) -> tuple[int, dict[str, Any]]:
    (folder / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    log(made).write(folder / "log")
    (folder / "payloads").mkdir(exist_ok=True)
    return verify(
        "erasure", "--student", SID, "--entries", folder / "log", "--alliance", folder / "alliance.toml",
        "--payloads", folder / "payloads", *more,
    )  # fmt: skip


def payload(folder: Path, student: str, event: str, value: bytes) -> None:
    path = folder / "payloads" / student / event
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value)


def test_an_erased_student_is_found_erased(tmp_path: Path) -> None:
    """Said and signed by the home, every key named, tombstones only; the tree is the one of before."""
    made = ledger()
    kept = tmp_path / "kept"
    kept.write_bytes(checkpoint_note(log(made).entries[:3]))
    payload(tmp_path, SID, "e-1", b"")
    payload(tmp_path, f"urn:alliance:student:{HOME}:ffff", "e-2", b"somebody else's")
    code, values = erasure(tmp_path, made, "--before", kept)
    assert code == Code.OK, values
    assert (values["erased_seqs"], values["keys_used"], values["payloads_seen"]) == ([4], ["k1"], 2)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"erased": False}, "NOT_ERASED"),
        ({"keys": ("k2",)}, "KEY_NOT_LISTED"),
    ],
)
def test_an_erasure_that_was_not_made_is_named(
    tmp_path: Path, told: dict[str, Any], name: str
) -> None:
    """Not said at all, or with a key left out."""
    code, values = erasure(tmp_path, ledger(**told))
    assert code == Code.ERASURE
    assert place_of(values).startswith(name)


def test_only_the_homes_own_signature_counts(tmp_path: Path) -> None:
    """Whoever holds the log's keys could write the entry; the home's key it does not have."""
    made = ledger()
    entries = [written.entry for written in made.entries]
    entries[3] = replace(entries[3], signature=bytes(64))
    (tmp_path / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    log_of(rechained(entries)).write(tmp_path / "log")
    code, values = verify(
        "erasure", "--student", SID, "--entries", tmp_path / "log", "--alliance", tmp_path / "alliance.toml"
    )  # fmt: skip
    assert (code, place_of(values)) == (Code.ERASURE, "NOT_BY_HOME: entry 4")


def test_a_payload_that_is_left_is_named(tmp_path: Path) -> None:
    """By its key, in whatever copy the auditor could read."""
    payload(tmp_path, SID, "e-1", b"cipher")
    code, values = erasure(tmp_path, ledger())
    assert (code, place_of(values)) == (Code.ERASURE, f"PAYLOAD_LEFT: {SID}/e-1")


def test_commitments_must_still_be_under_the_root_of_before(tmp_path: Path) -> None:
    """Erasing must not have touched the ledger."""
    other = log_of([written.value for written in ledger(keys=("k1", "k9")).entries])
    kept = tmp_path / "kept"
    kept.write_bytes(checkpoint_note(other.entries))
    code, values = erasure(tmp_path, ledger(), "--before", kept)
    assert code == Code.ERASURE
    assert place_of(values).startswith("OTHER_ROOT")


def test_a_topic_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest message of a key counts: a tombstone behind the payload erases it, not the other way around."""
    records: list[Record] = [
        (f"{SID}/e-1".encode(), b"cipher", ()),
        (f"{SID}/e-1".encode(), b"", ()),
    ]
    asked: list[str] = []

    def stored(_: Broker, topic: str) -> Any:
        asked.append(topic)
        return iter(records)

    monkeypatch.setattr(Broker, "records", stored)
    assert erasure(tmp_path, ledger(), "--payloads", "kafka://hub:9092")[0] == Code.OK
    records.reverse()
    assert erasure(tmp_path, ledger(), "--payloads", "kafka://hub:9092")[0] == Code.ERASURE
    assert asked == [topics.PRIVATE] * 2


def test_who_shows_no_payloads_is_told_that_none_were_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence must not look like an empty topic."""
    erasure(tmp_path, ledger())
    given = (
        "erasure",
        "--student",
        SID,
        "--entries",
        tmp_path / "log",
        "--alliance",
        tmp_path / "alliance.toml",
    )
    code, values = verify(*given)
    assert (code, values["payloads"], values["payloads_seen"]) == (Code.OK, "not looked at", None)
    assert main([*map(str, given)]) == Code.OK
    assert "payloads not looked at" in capsys.readouterr().out
    code, values = verify(*given, "--payloads", tmp_path / "payloads")
    assert (code, values["payloads"], values["payloads_seen"]) == (Code.OK, "looked at", 0)
    assert verify(*given, "--payloads", tmp_path / "none")[0] == Code.UNREADABLE
