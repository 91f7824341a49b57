"""`alliance statement`: what a member and another moved in a period, to print, to check, or for hledger.

From the hub's Kafka, or offline from the published files of the log (`--entries`). Either way every entry is recomputed
from the signed events first.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import typer
from rich.console import Console
from rich.progress import Progress

from hub.errors import LedgerCorrupt, RetryLater, SettingsError
from hub.events import Names, rules, sentence
from hub.flow.log import replay_log
from hub.ledger.journal import journal
from hub.ledger.replay import Replay
from hub.ledger.state import State
from hub.ledger.statement import (
    OPEN,
    Pair,
    PeriodContent,
    StatementFold,
    statement,
    statements,
)
from hub.ledger.statement_text import page, plain_text
from hub.settings import Settings, read_settings, require_bootstrap
from schemas.codec import decode
from schemas.members import Alliance, load_alliance
from schemas.records import CaseFlagged, Entry
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import inclusion_proof
from schemas.tlog.note import open_note, split_note
from schemas.tlog.policy import Policy
from schemas.tlog.proof import LogProof, verify_checkpoint
from schemas.tlog.tiles import TILE_WIDTH, Read, TileReader

app = typer.Typer(help="Statements of account of a member.", no_args_is_help=True)

Watch: TypeAlias = Callable[[int, int], None]
CHECKPOINTS = ("checkpoint.witnessed", "checkpoint")
FETCH_WITHIN_S = 20.0  # a bundle has up to 16 MB
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class Form(StrEnum):
    """What is written."""

    TEXT = "text"
    HTML = "html"
    JSON = "json"
    HLEDGER = "hledger"


SUFFIXES = {Form.TEXT: "txt", Form.HTML: "html", Form.JSON: "json", Form.HLEDGER: "journal"}


@dataclass(frozen=True, slots=True)
class Published:
    """A log's files: the tree under a checkpoint, which `policy` was held against if there is one."""

    reader: TileReader
    note: bytes
    checkpoint: Checkpoint

    def proof(self, seq: int) -> bytes:
        """A C2SP tlog-proof of an entry; nothing when the checkpoint is older than it."""
        if seq > self.checkpoint.size:
            return b""
        hashes = inclusion_proof(seq - 1, self.checkpoint.size, self.reader.read_hash)
        return LogProof(seq - 1, hashes, self.note).to_bytes()


@app.callback(invoke_without_command=True)
def make(
    member: str = typer.Option(help="Code of the member whose statement it is."),
    other: str = typer.Option(
        "", "--with", help="The other member. Without it: all, and itself alone."
    ),
    period: str = typer.Option(
        OPEN, help="Name of a closed period, `open` for the running one, `all` for each."
    ),
    unit: str = typer.Option("", help="Only this unit, such as credit.cn_credit, seat or hour."),
    form: Form = typer.Option(Form.TEXT, "--format", help="What to write."),
    entries: str = typer.Option(
        "", help="Folder or URL of the published log; without it the hub's Kafka is read."
    ),
    proof: Path = typer.Option(
        None, help="A .tlog-proof of the entry that closed the period, to put into JSON."
    ),
    out: Path = typer.Option(None, help="Write a file for each statement into this folder."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Make statements of account of a member, in English and Chinese, from the ledger's entries.

    For example: alliance statement --member 10610 --with 10611 --period 2026-2027-1 --format html
    """
    form = Form.JSON if as_json else form
    settings = read_settings()
    alliance = load_alliance(settings.alliance_file)
    for code in (member, *filter(None, [other])):
        if code not in alliance.members:
            raise SettingsError(f"{code!r} is no member of {settings.alliance_file}; use its code")
    if other == member:
        raise SettingsError(f"--with is {member} itself; leave it out")
    pair: Pair = tuple(sorted((member, other)))
    names = _names(alliance)
    fold = StatementFold(
        lambda name: period in ("all", name),
        (lambda found: found == pair) if other else (lambda found: member in found),
        lambda entry: _said(entry, names),
    )
    with Progress(transient=True, disable=as_json, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading the ledger", total=None)

        def watch(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        published = _read(entries, settings, alliance, fold, watch)
    made = [
        values
        for content in _contents(fold, period)
        for values in _statements(
            content, member, other, unit, _proof(content, proof, published), alliance
        )
    ]
    _write(made, form, out, names)


def _contents(fold: StatementFold, period: str) -> list[PeriodContent]:
    if period == "all":
        return [*fold.contents, fold.running()]
    content = fold.period(period)
    if content is None:
        raise SettingsError(
            f"period {period!r} is not closed; see `alliance period list`, or use {OPEN}"
        )
    return [content]


def _statements(
    content: PeriodContent, member: str, other: str, unit: str, log_proof: bytes, alliance: Alliance
) -> list[dict[str, Any]]:
    wanted, origin = unit or None, alliance.origin
    if other:
        return [statement(content, member, other, origin=origin, unit=wanted, log_proof=log_proof)]
    return statements(content, member, origin=origin, unit=wanted, log_proof=log_proof)


def _proof(content: PeriodContent, given: Path | None, published: Published | None) -> bytes:
    """The proof that the period's closing entry is in the log, as far as there is one."""
    if content.closed_entry is None:
        return b""
    if given is not None:
        try:
            return given.read_bytes()
        except OSError as error:
            raise SettingsError(f"--proof {given} cannot be read: {error.strerror}") from error
    return b"" if published is None else published.proof(content.closed_entry.seq)


def _names(alliance: Alliance) -> Names:
    return Names({code: (one.name_en, one.name_zh) for code, one in alliance.members.items()})


def _said(entry: Entry, names: Names) -> tuple[str, str]:
    """What an entry that moves something says: a member's event, or the deadline that set an amount free."""
    event: Any = decode(entry.event)
    if isinstance(event, CaseFlagged):
        return event.message_en, event.message_zh
    told = sentence(event, names)
    return told.en, told.zh


# Reading


def _read(
    entries: str, settings: Settings, alliance: Alliance, fold: StatementFold, watch: Watch
) -> Published | None:
    if not entries:
        members = frozenset(alliance.members)
        asyncio.run(replay_log(require_bootstrap(settings), members, rules(), fold.see, watch))
        return None
    published = open_log(files(entries), alliance)
    replay = Replay(rules(), State(frozenset(alliance.members)))
    size = published.checkpoint.size
    for index in range(-(-size // TILE_WIDTH)):
        try:
            values = published.reader.entries(index)
        except (Forged, FileNotFoundError, LookupError) as error:
            raise LedgerCorrupt(f"{entries}: {error}; fetch the log's files again") from error
        for value in values:
            entry = replay.feed(value)
            if entry is None:
                raise LedgerCorrupt(
                    f"{entries}: leaf {replay.head.seq + 1} does not extend entry {replay.head.seq}; the log is not a ledger"
                )
            fold.see(entry)
        watch(min((index + 1) * TILE_WIDTH, size), size)
    return published


def files(place: str) -> Read:
    """Reads the files of a log below a folder or URL."""
    if not place.startswith(("http://", "https://")):
        folder = Path(place)
        if not folder.is_dir():
            raise SettingsError(
                f"--entries {place} is no folder and no http URL; name the folder with `checkpoint` in it"
            )
        return lambda path: (folder / path).read_bytes()
    client = httpx.Client(timeout=FETCH_WITHIN_S, follow_redirects=True)

    def fetch(path: str) -> bytes:
        try:
            answer = client.get(f"{place.rstrip('/')}/{path}")
        except httpx.HTTPError as error:
            raise RetryLater(
                f"{place} does not answer ({type(error).__name__}); try again later"
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise FileNotFoundError(f"{place} has no {path}")
        if answer.status_code != httpx.codes.OK:
            raise RetryLater(f"{place}/{path} answers {answer.status_code}; try again later")
        return answer.content

    return fetch


def open_log(read: Read, alliance: Alliance) -> Published:
    """The newest checkpoint there is, the cosigned one first. Where the alliance has a log key, it must have signed it."""
    policy = alliance.policy() if alliance.log else None
    for name in CHECKPOINTS:
        try:
            note = read(name)
        except FileNotFoundError:
            continue
        try:
            checkpoint = _checked(note, policy, cosigned=name == CHECKPOINTS[0])
            return Published(TileReader(read, checkpoint.size, checkpoint.root), note, checkpoint)
        except (Forged, FileNotFoundError, LookupError) as error:
            raise LedgerCorrupt(
                f"{name} or the tree under it: {error}; fetch the log's files again"
            ) from error
    raise SettingsError(
        f"there is no {' and no '.join(CHECKPOINTS)}; name the folder or URL of a published log"
    )


def _checked(note: bytes, policy: Policy | None, *, cosigned: bool) -> Checkpoint:
    if policy is None:
        return Checkpoint.parse(split_note(note)[0])
    if cosigned:
        return verify_checkpoint(note, policy).checkpoint
    opened = open_note(note, policy.verifiers())
    checkpoint = Checkpoint.parse(opened.text)
    signers = {signature.key for signature in opened.verified}
    if not any(
        (key.name, key.key_id) in signers for key in policy.log_verifiers(checkpoint.origin)
    ):
        raise LedgerCorrupt(
            f"the checkpoint of {checkpoint.origin!r} is not signed by the alliance's log key; use its own files"
        )
    return checkpoint


# Writing


def _write(made: Sequence[dict[str, Any]], form: Form, out: Path | None, names: Names) -> None:
    if form is Form.HLEDGER and out is None:
        print(journal(made), end="")
    elif out is None and form is Form.JSON:
        print(json.dumps(made[0] if len(made) == 1 else made))
    elif out is None:
        print("\n".join(_text([values], form, names) for values in made))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for values in made:
            path = out / f"{file_stem(values)}.{SUFFIXES[form]}"
            path.write_text(_text([values], form, names), encoding="utf-8")
            print(path)


def _text(made: Sequence[dict[str, Any]], form: Form, names: Names) -> str:
    if form is Form.HLEDGER:
        return journal(made)
    if form is Form.JSON:
        return json.dumps(made[0]) + "\n"

    def name(code: str) -> tuple[str, str]:
        return names.en(code), names.zh(code)

    return (page if form is Form.HTML else plain_text)(made[0], name)


def file_stem(values: dict[str, Any]) -> str:
    """`10610-10611-2026-2027-1`; the first entry's number keeps names apart that differ in odd characters only."""
    parts = [
        values["member"],
        values["other"] or "alone",
        values["period"]["name"],
        str(values["period"]["first_seq"]),
    ]
    return "-".join(_UNFIT.sub("_", part) for part in parts)
