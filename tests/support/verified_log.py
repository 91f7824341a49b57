"""A small log that is really signed: events by their members, checkpoints by the log, cosignatures by witnesses.

Four members, two in each of two regions, one witness of each region in the quorum. Everything repeats from run to run:
keys come from the codes, times are the ledger's own.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from hub.events import rules
from hub.ledger.apply import Written, apply
from hub.ledger.state import Input, State
from hub.verify.cli import main
from schemas import records as r
from schemas.codec import encode
from schemas.members import Alliance, Member
from schemas.signing import Signer, new_signer, sign_page
from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.merkle import inclusion_proof, leaf_hash
from schemas.tlog.note import Signer as LogSigner
from schemas.tlog.proof import LogProof
from schemas.tlog.tiles import TileReader, Tiles
from tests.support.ledger import FOURTH, HOME, HOST, MEMBERS, OTHER, Ledger

ORIGIN = "alliance.test/ledger"
REGIONS = {HOME: "north", HOST: "south", OTHER: "north", FOURTH: "south"}
WITNESSED_S = 1_790_000_000


def seed(name: str) -> bytes:
    """A secret that repeats."""
    return sha256(f"test {name}".encode()).digest()


@cache
def signer_of(member: str) -> Signer:
    """A member's first key."""
    return new_signer(seed(f"events {member}"))


LOG = LogSigner(ORIGIN, seed("log"))
PROMISES = new_signer(seed("promises"))
WITNESSES = {
    code: CosignatureSigner(f"{code}.test/witness", ED25519_COSIGNATURE, seed(f"witness {code}"))
    for code in MEMBERS
}


def alliance(log: LogSigner = LOG) -> Alliance:
    """The configuration that everybody has."""
    members = {
        code: Member(
            code,
            f"University {code}",
            f"大学{code}",
            REGIONS[code],
            "City",
            f"{code}.test",
            {signer_of(code).key_id: signer_of(code).public},
            WITNESSES[code].verifier.vkey,
        )
        for code in MEMBERS
    }
    return Alliance(
        "Test", ORIGIN, members, log.verifier.vkey, PROMISES.public, {"north": 1, "south": 1}
    )


def alliance_toml(found: Alliance) -> str:
    """The same as the file `alliance.toml`."""

    def text(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    quorum = "".join(f"{region} = {count}\n" for region, count in found.quorum.items())
    promise = text(found.promise_key or b"")
    members = "".join(
        f'\n[[member]]\ncode = "{m.code}"\nname_en = "{m.name_en}"\nname_zh = "{m.name_zh}"\nregion = "{m.region}"\n'
        f'city = "{m.city}"\ndomain = "{m.domain}"\n'
        + "".join(f'  [[member.key]]\n  public = "{text(raw)}"\n' for raw in m.keys.values())
        + f'  [member.witness]\n  vkey = "{m.witness}"\n'
        for m in found.members.values()
    )
    return (
        f'[alliance]\nname = "{found.name}"\norigin = "{found.origin}"\n\n[log]\ncheckpoint_key = "{found.log}"\n'
        f'promise_key = "{promise}"\n\n[quorum]\n{quorum}{members}'
    )


class SignedLedger(Ledger):
    """A ledger whose events their members really signed. `pages` signs as connectors do, several events at once."""

    def __init__(self, members: Sequence[str] = MEMBERS) -> None:
        super().__init__(members)
        self.signers: dict[str, Signer] = {code: signer_of(code) for code in members}

    def say(self, record: Any, signature: tuple[str, bytes] | None = None) -> r.Entry:
        """Put an event before the ledger, signed by its member, or as told."""
        self.at_ms += 1000
        value = encode(record)
        signer = self.signers[record.envelope.member]
        key_id, made = signature or (signer.key_id, signer.sign(value))
        return self._take(
            Input(
                offset=len(self.inputs), timestamp_ms=self.at_ms, event=record, event_type=record.EVENT, value=value,
                key_id=key_id, signature=made, source_topic=f"member.{record.envelope.member}.out",
                source_partition=0, source_offset=len(self.inputs), published_ms=self.at_ms,
            )
        )  # fmt: skip

    def say_page(self, records: Sequence[Any]) -> list[r.Entry]:
        """Several events of one member under one page signature."""
        signer = self.signers[records[0].envelope.member]
        made = sign_page(signer, [encode(record) for record in records])
        return [
            self.say(record, (signer.key_id, one))
            for record, one in zip(records, made, strict=True)
        ]

    def close(self, period: str) -> list[r.Entry]:
        """Operators close a period."""
        self.at_ms += 1000
        record = r.Close(period, "operators", len(self.inputs))
        self._take(
            Input(
                len(self.inputs), self.at_ms, record, record.EVENT, encode(record), "", b"", "", 0, 0, self.at_ms
            )
        )  # fmt: skip
        return self.last


@cache
def small_ledger(offerings: int = 530) -> SignedLedger:
    """More entries than two tiles hold: a study with its recognition, a ticking clock, two closed periods.

    Shared by tests: nobody says anything more to it.
    """
    ledger = SignedLedger()
    ledger.in_case("r1", "3", "2")
    ledger.rule("r1", "4", "5")
    ledger.close("2026-2027-1")
    ledger.say_page(
        [
            ledger.record("offering.changed", by=HOST, **_offering(f"page-{number}"))
            for number in range(3)
        ]
    )
    for number in range(offerings):
        ledger.offer(f"o{number}", capacity=number + 1)
    ledger.say(ledger.inputs[0].event)  # a repeat: its outcome is `duplicate`
    ledger.close("2026-2027-2")
    ledger.awarded("w9", "1.5")  # pending in the open period
    ledger.tick()
    return ledger


def _offering(offering_id: str) -> dict[str, Any]:
    return {"offering_id": offering_id, "host": HOST}


@dataclass(frozen=True, slots=True)
class Log:
    """The files of a log: tiles, bundles, both checkpoints."""

    entries: tuple[bytes, ...]
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Into a folder."""
        for path, data in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return folder

    def read(self, path: str) -> bytes:
        """As a reader of tiles wants it."""
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def proof(self, index: int) -> LogProof:
        """The receipt of one entry, with the entry inside."""
        tiles = tiles_of(self.entries)[0]
        reader = TileReader(self.read, tiles.size, tiles.root())
        path = inclusion_proof(index, tiles.size, reader.read_hash)
        return LogProof(index, path, self.files["checkpoint.witnessed"], self.entries[index])


def tiles_of(entries: Sequence[bytes]) -> tuple[Tiles, dict[str, bytes]]:
    """The tree over entries, and its files."""
    return Tiles().grow(entries)


def checkpoint_note(
    entries: Sequence[bytes],
    log: LogSigner = LOG,
    witnesses: Sequence[str] = (HOME, HOST),
    origin: str = ORIGIN,
) -> bytes:
    """The signed checkpoint over entries, cosigned by these members."""
    tiles, _ = tiles_of(entries)
    checkpoint = Checkpoint(origin, tiles.size, tiles.root())
    lines = [WITNESSES[code].cosign(checkpoint.text(), WITNESSED_S + at) for at, code in enumerate(witnesses)]  # fmt: skip
    signed = sign_checkpoint(checkpoint, [log])
    return signed + "".join(line.line() for line in lines).encode()


def log_of(entries: Sequence[bytes]) -> Log:
    """The log of these entries with everything signed by everybody who should."""
    _, files = tiles_of(entries)
    files |= {
        "checkpoint": checkpoint_note(entries, witnesses=()),
        "checkpoint.witnessed": checkpoint_note(entries),
    }
    return Log(tuple(entries), files)


@cache
def small_log() -> Log:
    """The log of the small ledger."""
    return log_of([written.value for written in small_ledger().entries])


def written_again(inputs: Sequence[Input]) -> list[Written]:
    """What the rules make of inputs, as an operator could who holds every key of the hub, and none of a member."""
    state = State(frozenset(MEMBERS))
    out: list[Written] = []
    for offset, item in enumerate(inputs):
        out += apply(state, replace(item, offset=offset), rules())
    return out


def rechained(entries: Sequence[r.Entry]) -> list[bytes]:
    """Entries as bytes again, each naming the hash of the one before it and its own place: all an editor can mend."""
    out: list[bytes] = []
    head = bytes(32)
    for seq, entry in enumerate(entries, 1):
        out.append(encode(replace(entry, seq=seq, prev_hash=head)))
        head = leaf_hash(out[-1])
    return out


def verify(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Run `alliance verify ... --json` in this process: exit code and what it printed."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = main([*map(str, arguments), "--json"])
    values: dict[str, Any] = json.loads(out.getvalue())
    return code, values


def place_of(values: dict[str, Any]) -> str:
    """The place that a failed check names."""
    return str(values["failure"]["place"])
