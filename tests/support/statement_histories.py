"""Random histories of the alliance with periods closed on the way, as statements are made from them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

from hub.events import Names, rules, sentence
from hub.ledger.apply import apply
from hub.ledger.state import Input
from hub.ledger.statement import Pair, StatementFold, everything
from schemas.codec import decode, encode
from schemas.records import Close, Entry
from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.merkle import inclusion_proof
from schemas.tlog.note import Signer, split_note
from schemas.tlog.policy import Policy
from schemas.tlog.proof import LogProof
from schemas.tlog.tiles import TileReader, Tiles
from tests.support.histories_catalogue import THEME_NAMES, THEMES, drawn
from tests.support.histories_twins import Twins
from tests.support.histories_world import DAYS, Step
from tests.support.ledger import Ledger

DAY_MS = 86_400_000


def close(ledger: Ledger, name: str) -> list[Entry]:
    """Operators ask to close a period; returns the entries that the request makes."""
    ledger.at_ms += 1000
    asked = Close(period=name, clock="hub.operator.1", number=len(ledger.inputs))
    given = Input(
        len(ledger.inputs), ledger.at_ms, asked, asked.EVENT, encode(asked), "", b"", "", 0, 0, ledger.at_ms
    )  # fmt: skip
    ledger.inputs.append(given)
    written = apply(ledger.state, given, rules())
    ledger.entries += written
    ledger.last = [item.entry for item in written]
    return ledger.last


def lived(seed: int, periods: int = 2, length: int = 60, themes: int = 3) -> Ledger:
    """A ledger of twenty members after several stories at once, with so many closed periods and a running one behind."""
    rng = random.Random(seed)
    twins = Twins(0)
    steps = [
        step
        for number in range(themes)
        for step in drawn(
            seed * len(THEME_NAMES) + rng.randrange(len(THEME_NAMES)) + number, length
        )
    ]
    rng.shuffle(steps)
    share = len(steps) // (periods + 1)
    for number in range(periods + 1):
        for step in steps[number * share : (number + 1) * share]:
            twins.take(step)
        if number < periods:
            close(twins.ledger, f"P{number + 1}")
    return twins.ledger


def pair_in_two_periods() -> Ledger:
    """A host awards 3 and 2 credits in the first period; in the second the home recognizes 2 of the 3. The rest stays open."""
    ledger = Ledger()
    ledger.awarded("w1", "3")
    ledger.awarded("w2", "2")
    close(ledger, "autumn")
    ledger.at_ms += 10 * DAY_MS
    ledger.applied(ledger.ask("r1", ["w1"]))
    ledger.applied(ledger.rule("r1", "2"))
    return ledger


@cache
def busy(rounds: int = 30) -> Ledger:
    """A ledger in which much moves: the usual next steps of every domain and single events in turn, two closed periods."""
    rng = random.Random(5)
    twins = Twins(0)
    usual = sorted({what for theme in THEMES.values() for what in theme})
    for number in range(rounds):
        for what in usual:
            for which in range(4):
                days = rng.randrange(len(DAYS) - 1)
                twins.take(
                    Step(what, which, rng.choice((0, 0, 0, 1, 2, 3)), rng.choice((0, 0, 3)), days)
                )
        twins.take(Step("tick", choice=rng.randrange(3, 6)))
        if number in (rounds // 3, 2 * rounds // 3):
            close(twins.ledger, f"P{1 + (number > rounds // 3)}")
    return twins.ledger


def said(entry: Entry) -> tuple[str, str] | None:
    """An entry in words, with codes for names."""
    event: Any = decode(entry.event)
    return tuple(sentence(event, Names({}))) if entry.member else None  # type: ignore[return-value]


def folded(
    ledger: Ledger,
    periods: Callable[[str], bool] = everything,
    pairs: Callable[[Pair], bool] = everything,
) -> StatementFold:
    """The fold over all entries."""
    fold = StatementFold(periods, pairs, said)
    for written in ledger.entries:
        fold.see(written.entry)
    return fold


# The log that the ledger is published in

LOG = Signer("statements.example/ledger", bytes(range(32)))
WITNESS = CosignatureSigner("10610", ED25519_COSIGNATURE, bytes(range(1, 33)))
POLICY = Policy.parse(
    f"log {LOG.verifier.vkey}\nwitness 10610 {WITNESS.verifier.vkey}\nquorum 10610\n".encode()
)


def published(ledger: Ledger) -> dict[str, bytes]:
    """The files of a log with all entries, cosigned by its one witness."""
    tiles, files = Tiles().grow([written.value for written in ledger.entries])
    checkpoint = Checkpoint(LOG.name, tiles.size, tiles.root())
    line = WITNESS.cosign(checkpoint.text(), 1_800_000_000)
    return files | {"checkpoint.witnessed": sign_checkpoint(checkpoint, [LOG], [line])}


def proof_of(files: dict[str, bytes], seq: int) -> bytes:
    """The tlog-proof of an entry."""
    note = files["checkpoint.witnessed"]
    checkpoint = Checkpoint.parse(split_note(note)[0])
    reader = TileReader(files.__getitem__, checkpoint.size, checkpoint.root)
    hashes = inclusion_proof(seq - 1, checkpoint.size, reader.read_hash)
    return LogProof(seq - 1, hashes, note).to_bytes()
