"""`alliance verify`, and `alliance-verify` where only this is installed: checks for those who trust nobody.

Owns words on the command line and what is printed; every check is elsewhere. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from hub.errors import LedgerCorrupt
from hub.ledger.statement_check import check_statement
from hub.rebuild.ahead import CHUNK
from hub.verify import mine, proofs
from hub.verify.erasure import Report, check_erasure
from hub.verify.mirror import bundles, check_copy
from hub.verify.outcome import MEANING, Code, Failure, failure_of, reading
from hub.verify.progress import Progress
from hub.verify.recompute import INVARIANTS, Recompute, Verdict, feed_all
from hub.verify.sources import Broker, is_broker, open_files
from hub.verify.trust import (
    Copy,
    Signed,
    open_copy,
    open_signed,
    read_alliance,
    read_policy,
    read_signed,
)
from schemas import topics
from schemas.envelope import KIND, header, to_millis
from schemas.members import AllianceFileError
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import consistency_proof
from schemas.tlog.policy import Policy
from schemas.tlog.witness import AddCheckpoint

_CODES = "exit codes:\n" + "\n".join(f"  {code:2}  {meaning}" for code, meaning in MEANING.items())
_PIPE_CLOSED = 141  # as the shell says it of a program that wrote to nobody


@dataclass(frozen=True, slots=True)
class Found:
    """What a command says: lines for people, values for `--json`, and what was wrong, if anything."""

    lines: Sequence[str]
    values: dict[str, Any]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand: what it is for, how it is called, what it takes, what it does."""

    help: str
    example: str
    options: Callable[[argparse.ArgumentParser], None]
    check: Callable[[argparse.Namespace], Found]


# Options that several commands share


def _trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", metavar="FILE", help="C2SP tlog-policy: whose signatures count")
    _alliance(parser)


def _alliance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alliance",
        metavar="FILE",
        help="members and their public keys; without --policy also whose signatures count "
        "(default: ALLIANCE_FILE, or alliance.toml here)",
    )


def _tiles(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "--tiles",
        metavar="DIR|URL",
        required=required,
        help="the files of the log (C2SP tlog-tiles)",
    )


def _copy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unwitnessed",
        action="store_true",
        help="believe a checkpoint that the log alone signed; without, a quorum of members must have cosigned it",
    )
    parser.add_argument(
        "--since",
        metavar="CHECKPOINT",
        action="append",
        default=[],
        help="a signed checkpoint kept from before: the log must have grown from it; may be given again",
    )


# receipt


def _receipt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("proof", metavar="FILE.tlog-proof")
    parser.add_argument(
        "--entry", metavar="FILE", help="the entry; default: the one inside the proof"
    )
    parser.add_argument("--event", metavar="FILE", help="the framed event that the entry must hold")
    _trust(parser)


def _receipt(given: argparse.Namespace) -> Found:
    policy = read_policy(given.policy, given.alliance)
    alliance = None if given.policy and not given.alliance else read_alliance(given.alliance)
    receipt = proofs.check_receipt(
        given.proof,
        policy,
        entry=_bytes(given.entry),
        event=_bytes(given.event),
        alliance=alliance,
    )
    entry = receipt.entry
    values = {
        "seq": entry.seq,
        "index": receipt.index,
        "event_id": entry.event_id,
        "event_type": entry.event_type,
        "member": entry.member,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "signature": receipt.signature,
        "checkpoint": receipt.signed.values(),
    }
    about = f"{entry.event_type} {entry.event_id} of {entry.member or 'the hub'}"
    lines = [
        f"in the ledger: entry {entry.seq}, {about}, {entry.outcome}",
        f"under: {receipt.signed.sentence()}",
        f"member's signature: {receipt.signature}",
    ]
    return Found(lines, values)


# consistency


def _consistency_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="signed checkpoint")
    parser.add_argument("new", metavar="NEW", help="signed checkpoint of the same log, later")
    _tiles(parser, required=False)
    parser.add_argument(
        "--unwitnessed", action="store_true", help="the log's own signature is enough"
    )
    _trust(parser)


def _consistency(given: argparse.Namespace) -> Found:
    policy = read_policy(given.policy, given.alliance)
    old, new = (
        read_signed(path, policy, log_alone=given.unwitnessed) for path in (given.old, given.new)
    )
    files = open_files(given.tiles) if given.tiles else None
    proof = proofs.check_growth(old, new, files)
    lines = [f"the log of {new.size} entries begins with the {old.size} of before, unchanged"]
    values = {
        "old": old.values(),
        "new": new.values(),
        "proof": [one.hex() for one in proof],
    }
    return Found(lines, values)


# mirror


def _mirror_options(parser: argparse.ArgumentParser) -> None:
    _tiles(parser)
    _copy(parser)
    _trust(parser)


def _mirror(given: argparse.Namespace) -> Found:
    policy = read_policy(given.policy, given.alliance)
    copy = _opened(given, given.tiles, policy)
    signed = copy.signed
    progress = Progress("reading the log", copy.top.size, quiet=given.json)
    try:
        found = check_copy(copy, progress)
    finally:
        progress.end()
    values = {
        "checkpoint": signed.values(),
        "tiles": found.tiles,
        "bundles": found.bundles,
        "entries": found.entries,
        "beyond": found.beyond,
    }
    lines = [
        f"{signed.sentence()}",
        f"{found.tiles} hash tiles and {found.bundles} bundles are those of that root, "
        f"{found.beyond} files are of later entries",
    ]
    return Found(lines, values)


def _opened(given: argparse.Namespace, place: str, policy: Policy) -> Copy:
    """The copy of the log there, held against every checkpoint at hand."""
    kept = [read_signed(path, policy, log_alone=True) for path in given.since]
    return open_copy(open_files(place), policy, kept, log_alone=given.unwitnessed)


# replay


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--entries",
        metavar="DIR|URL|kafka://HOST:PORT",
        required=True,
        help="the entries: files of the log, or the broker's topics",
    )
    parser.add_argument(
        "--invariants",
        "--inv",
        metavar="all|I1,I4",
        default="all",
        help="which to check (default: all); I8, that rules and events give these entries, always is",
    )
    _copy(parser)
    _trust(parser)


def _replay(given: argparse.Namespace) -> Found:
    asked = _asked(given.invariants)
    alliance = read_alliance(given.alliance)
    policy = read_policy(given.policy, given.alliance)
    if is_broker(given.entries):
        signed, roots = _broker_checkpoints(given, policy)
        work = Recompute(alliance, asked, roots)
        feed = partial(_feed_broker, given, signed)
    else:
        copy = _opened(given, given.entries, policy)
        signed = copy.signed
        work = Recompute(alliance, asked, {signed.size: (signed.root, signed.place)})
        feed = partial(_feed_copy, copy)
    progress = Progress("recomputing", signed.size, quiet=given.json)
    try:
        feed(work, progress)
        verdicts, failure = work.finish()
    except Failure as error:
        failure, verdicts = work.stopped(error)
    finally:
        progress.end()
    return _replayed(signed, work, verdicts, failure)


def _asked(text: str) -> frozenset[str]:
    names = INVARIANTS if text == "all" else [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in INVARIANTS]
    if unknown:
        raise Failure(
            Code.USAGE,
            "--invariants",
            ", ".join(unknown),
            "all, or some of " + ",".join(INVARIANTS),
        )
    return frozenset({*names, "I8"})


def _feed_copy(copy: Copy, work: Recompute, progress: Progress) -> None:
    feed_all(work, bundles(copy, progress), copy.signed.size, void_allowed=False)


def _feed_broker(
    given: argparse.Namespace, signed: Signed, work: Recompute, progress: Progress
) -> None:
    """All there is; what stands behind the checkpoint is recomputed, too."""
    broker = Broker.parse(given.entries)
    progress.total = broker.end(topics.LEDGER_ENTRIES)
    feed_all(work, _chunks(broker, progress), progress.total, void_allowed=True)
    if work.head.seq < signed.size:
        raise Failure(
            Code.PROOF, f"{given.entries}, {topics.LEDGER_ENTRIES}", f"{work.head.seq} entries that count",
            f"at least the {signed.size} under {signed.place}", "entries were dropped, or a broker forgot them",
        )  # fmt: skip


def _chunks(broker: Broker, progress: Progress) -> Iterator[list[bytes]]:
    """The records of the log, some at a time."""
    values: list[bytes] = []
    try:
        for _, value, _ in broker.records(topics.LEDGER_ENTRIES):
            values.append(value)
            progress.add()
            if len(values) == CHUNK:
                yield values
                values = []
    except Failure:
        yield values  # what is wrong there comes first
        raise
    yield values


def _broker_checkpoints(
    given: argparse.Namespace, policy: Policy
) -> tuple[Signed, dict[int, tuple[bytes, str]]]:
    """The newest checkpoint that counts, and every root that the log ever signed, by size.

    The quorum that is wanted is today's: older cosigned checkpoints are held to the log's signature, and to their roots.
    """
    top: Signed | None = None
    roots: dict[int, tuple[bytes, str]] = {}
    last = 0
    signed = [read_signed(path, policy, log_alone=True) for path in given.since]
    for at, (_, value, headers) in enumerate(
        Broker.parse(given.entries).records(topics.CHECKPOINTS)
    ):
        place = f"{topics.CHECKPOINTS}, record {at}"
        witnessed = header(headers, KIND) == b"witnessed"
        with reading(place):
            note = value if witnessed else AddCheckpoint.parse(value).note
        one = open_signed(note, policy, place, log_alone=True)
        if not witnessed and one.size < last:
            raise Failure(Code.INVARIANT, f"I13: {place}", f"size {one.size}", f"at least {last}")
        last = last if witnessed else one.size
        signed.append(one)
        if (witnessed or given.unwitnessed) and (top is None or one.size >= top.size):
            top = one
    for one in signed:
        known = roots.setdefault(one.size, (one.root, one.place))
        if known[0] != one.root:
            raise Failure(
                Code.EQUIVOCATION, f"I13: {known[1]} and {one.place}", f"root {one.root.hex()}",
                f"{known[0].hex()}, as signed before for size {one.size}",
                "keep both: alliance verify equivocation makes the evidence",
            )  # fmt: skip
    if top is None:
        raise Failure(
            Code.UNREADABLE, f"{given.entries}, {topics.CHECKPOINTS}", "no such checkpoint",
            "one that the quorum cosigned", "does the signer run? --unwitnessed believes the log's own signature",
        )  # fmt: skip
    return open_signed(top.note, policy, top.place, log_alone=given.unwitnessed), roots


def _replayed(
    signed: Signed, work: Recompute, verdicts: Sequence[Verdict], failure: Failure | None
) -> Found:
    seq = work.head.seq
    behind = max(0, seq - signed.size)
    values = {
        "checkpoint": signed.values(),
        "entries": seq,
        "void": work.void,
        "behind_checkpoint": behind,
        "not_there_yet": work.rest() if failure is None else 0,
        "head": work.head.hash.hex(),
        "outcomes": dict(work.audit.outcomes),
        "invariants": {
            one.name: {"result": one.result, "what": INVARIANTS[one.name], "place": one.place}
            for one in verdicts
        },
    }
    lines = [f"{one.result:<9} {one.name:<4} {INVARIANTS[one.name]}" for one in verdicts]
    lines += [f"{one.name}: {one.place}" for one in verdicts if one.result == "broken"]
    lines.append(f"{seq} entries recomputed, {work.void} void records passed over")
    lines.append(f"under: {signed.sentence()}")
    if behind:
        lines.append(f"{behind} entries stand behind that checkpoint: nobody cosigned them yet")
    return Found(lines, values, failure)


# statement


def _statement_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("statement", metavar="FILE.json")
    _trust(parser)


def _statement(given: argparse.Namespace) -> Found:
    policy = read_policy(given.policy, given.alliance)
    try:
        read = json.loads(_bytes(given.statement) or b"")
    except (ValueError, RecursionError) as error:
        raise Failure(
            Code.MALFORMED,
            given.statement,
            error,
            "a statement as alliance statement --json makes it",
        ) from error
    many = read if isinstance(read, list) else [read]
    found = [(at, one) for at, values in enumerate(many) for one in check_statement(values, policy)]
    texts = [f"{one.kind}: {one.text}" if len(many) == 1 else f"{at}, {one.kind}: {one.text}" for at, one in found]  # fmt: skip
    failure = None
    if found:
        failure = Failure(
            Code.STATEMENT, f"{given.statement}, {found[0][1].kind}", found[0][1].text, "a statement that holds",
            "ask who made it for another, or make it anew from the entries: alliance statement",
        )  # fmt: skip
    lines = [f"{len(many)} statements, {len(found)} problems", *texts]
    return Found(lines, {"statements": len(many), "problems": texts}, failure)


# mine


def _mine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--outbox", metavar="state.db", required=True, help="a connector's state")
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="as seen at this time, such as 2026-09-01T08:00:00Z (default: now)",
    )
    parser.add_argument(
        "--receipt-after-s",
        type=int,
        default=600,
        metavar="SECONDS",
        help="how long a receipt may come after the outcome (default: 600)",
    )
    parser.add_argument(
        "--promise-after-s",
        type=int,
        default=3600,
        metavar="SECONDS",
        help="how long an event may be under way without a promise (default: 3600)",
    )
    _trust(parser)


def _mine(given: argparse.Namespace) -> Found:
    alliance = None if given.policy and not given.alliance else read_alliance(given.alliance)
    policy = read_policy(given.policy, given.alliance)
    times = mine.Times(
        _now_ms(given.at), given.receipt_after_s * 1000, given.promise_after_s * 1000
    )
    key = alliance.promise_key if alliance else None
    found = mine.check_outbox(Path(given.outbox), policy, key, times)
    values: dict[str, Any] = {
        "events": found.events,
        "receipts": found.receipts,
        "proven": found.proven,
        "in_time": found.in_time,
        "unsent": found.unsent,
        "overdue": len(found.overdue),
        "overdue_events": [late.values() for late in found.overdue],
        "evidence": found.evidence,
    }
    lines = [
        f"{found.receipts} receipts lead to checkpoints that the quorum cosigned",
        f"{found.events} events are in the outbox: {found.proven} have a receipt, {found.in_time} are within their "
        f"time, {found.unsent} are not sent yet, {len(found.overdue)} are overdue",
        *(f"overdue: {late.event_id} {late.event}, {late.why}" for late in found.overdue),
        *(f"evidence {one['number']}: {one['reason']}" for one in found.evidence),
    ]
    return Found(lines, values, found.failure(given.outbox))


def _now_ms(text: str | None) -> int:
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("no time zone")
    except ValueError as error:
        raise Failure(
            Code.USAGE, "--at", f"{text} ({error})", "a time with a zone, 2026-09-01T08:00:00Z"
        ) from error
    return to_millis(at)


# erasure


def _erasure_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--student", metavar="SID", required=True, help="the student's pseudonym")
    parser.add_argument(
        "--entries", metavar="DIR|URL|kafka://HOST:PORT", required=True, help="the entries"
    )
    parser.add_argument(
        "--payloads",
        metavar="DIR|kafka://HOST:PORT",
        help="private payloads still stored: the broker's topic, or files <student>/<event>; "
        "without, nothing is said about payloads",
    )
    parser.add_argument(
        "--before", metavar="CHECKPOINT", help="a signed checkpoint kept from before the erasure"
    )
    _copy(parser)
    _trust(parser)


def _erasure(given: argparse.Namespace) -> Found:
    policy, alliance = read_policy(given.policy, given.alliance), read_alliance(given.alliance)
    before = read_signed(given.before, policy, log_alone=True) if given.before else None
    proof = None
    if is_broker(given.entries):
        signed, _ = _broker_checkpoints(given, policy)
        records = Broker.parse(given.entries).records(topics.LEDGER_ENTRIES)
        entries: Iterator[bytes] = (value for _, value, _ in records)
    else:
        copy = _opened(given, given.entries, policy)
        signed = copy.signed
        entries = chain.from_iterable(bundles(copy, Progress("reading", quiet=True)))
        if before is not None and before.size <= signed.size:
            proof = consistency_proof(before.size, signed.size, copy.reader().read_hash)
    progress = Progress("reading the ledger", signed.size, quiet=given.json)
    try:
        report = check_erasure(
            given.student,
            _counted(entries, progress),
            _payloads(given.payloads),
            alliance.verifier(),
            before=before.checkpoint() if before is not None else None,
            after=signed.checkpoint(),
            proof=proof,
        )
    finally:
        progress.end()
    return _erased(report, signed, looked=given.payloads is not None)


def _counted(entries: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for value in entries:
        progress.add()
        yield value


def _payloads(place: str | None) -> Iterator[tuple[str, bytes | None]]:
    """Keys and values of private payloads, wherever they are kept."""
    if place is None:
        return
    if is_broker(place):
        for key, value, _ in Broker.parse(place).records(topics.PRIVATE):
            yield key.decode(errors="replace"), value
        return
    folder = Path(place)
    if not folder.is_dir():
        raise Failure(
            Code.UNREADABLE, place, "no folder", "payloads as files <student>/<event>, or kafka://host:port"
        )  # fmt: skip
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _erased(report: Report, signed: Signed, *, looked: bool) -> Found:
    problems = [str(one) for one in report.problems]
    values = {
        "student": report.student_id,
        "checkpoint": signed.values(),
        "entries": report.entries,
        "erased_seqs": list(report.erased_seqs),
        "committed_seqs": list(report.committed_seqs),
        "keys_used": list(report.keys_used),
        "keys_listed": list(report.keys_listed),
        "payloads": "looked at" if looked else "not looked at",
        "payloads_seen": report.payloads_seen if looked else None,
        "problems": problems,
    }
    lines = [
        f"erased by entries {', '.join(map(str, report.erased_seqs)) or 'none'}, {len(report.keys_listed)} keys destroyed",
        f"{len(report.committed_seqs)} entries commit to private parts under {len(report.keys_used)} keys; they stay",
        f"{report.payloads_seen} payloads were looked at" if looked else "payloads not looked at: some may be left; give --payloads",
        f"under: {signed.sentence()}",
        *problems,
    ]  # fmt: skip
    failure = None
    if report.problems:
        first = report.problems[0]
        failure = Failure(
            Code.ERASURE, f"{first.name}: {first.place}", first.found, first.wanted,
            "ask the home university; alliance erase can be run again",
        )  # fmt: skip
    return Found(lines, values, failure)


# equivocation


def _equivocation_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help="signed checkpoint, or a file of evidence")
    parser.add_argument("second", metavar="B", nargs="?", help="signed checkpoint of the same log")
    _tiles(parser, required=False)
    parser.add_argument("--out", metavar="FILE", help="write the evidence, for others to check")
    _trust(parser)


def _equivocation(given: argparse.Namespace) -> Found:
    policy = read_policy(given.policy, given.alliance)
    if given.second is None:
        evidence: proofs.Evidence | None = proofs.Evidence.parse(
            _bytes(given.first) or b"", given.first
        )
        place = given.first
    else:
        signed = [read_signed(p, policy, log_alone=True) for p in (given.first, given.second)]
        files = open_files(given.tiles) if given.tiles else None
        evidence = proofs.find_evidence(signed[0], signed[1], files)
        place = f"{given.first} and {given.second}"
    shown = proofs.check_evidence(evidence, policy, place) if evidence is not None else None
    if evidence is None or shown is None:
        return Found(["one log: both checkpoints are of one growing tree"], {"equivocation": False})
    if given.out:
        with reading(given.out):
            Path(given.out).write_text(evidence.to_json(), encoding="utf-8")
    lines = ["two stories: the log signed both checkpoints, and no log can be both"]
    lines += [f"evidence written to {given.out}; anyone with the log's key can check it"] * bool(
        given.out
    )
    return Found(lines, {"equivocation": True, "evidence": json.loads(evidence.to_json())}, shown)


def _bytes(path: str | None) -> bytes | None:
    if path is None:
        return None
    with reading(path):
        return Path(path).read_bytes()


COMMANDS = {
    "receipt": Command(
        "An event's receipt: is it in the ledger, under a checkpoint that the quorum cosigned?",
        "alliance verify receipt 0f3a.tlog-proof --alliance alliance.toml --event 0f3a.event",
        _receipt_options,
        _receipt,
    ),
    "consistency": Command(
        "Two checkpoints: was anything changed between them?",
        "alliance verify consistency march.checkpoint today.checkpoint --tiles https://hub.example/log",
        _consistency_options,
        _consistency,
    ),
    "mirror": Command(
        "A copy of the log: is every byte what the signed root commits to?",
        "alliance verify mirror --tiles /srv/ledger --since march.checkpoint",
        _mirror_options,
        _mirror,
    ),
    "replay": Command(
        "The whole ledger: is every entry what the rules make of the signed events, does every invariant hold?",
        "alliance verify replay --entries https://hub.example/log --invariants all",
        _replay_options,
        _replay,
    ),
    "statement": Command(
        "A statement of account: does it close, is it of this ledger?",
        "alliance verify statement 10610-10611-2026-2027-1.json",
        _statement_options,
        _statement,
    ),
    "mine": Command(
        "A campus's outbox: has every event a receipt, or time left?",
        "alliance verify mine --outbox campus/state.db",
        _mine_options,
        _mine,
    ),
    "erasure": Command(
        "A student's data: is it erased as the home university said?",
        "alliance verify erasure --student urn:alliance:student:10610:x --entries /srv/ledger --payloads kafka://hub:9092",
        _erasure_options,
        _erasure,
    ),
    "equivocation": Command(
        "Two checkpoints that should be of one log: did it tell two stories?",
        "alliance verify equivocation ours.checkpoint theirs.checkpoint --tiles /srv/ledger --out evidence.json",
        _equivocation_options,
        _equivocation,
    ),
}


def parser(program: str) -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog=program,
        description="Verify the alliance's ledger with public keys alone.",
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    below = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = below.add_parser(
            name,
            help=command.help,
            description=command.help,
            epilog=f"example:\n  {command.example}\n\n{_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.options(one)
        one.add_argument("--json", action="store_true", help="print one JSON object")
    return top


def main(arguments: Sequence[str] | None = None, program: str = "alliance-verify") -> int:
    """Check what is asked; return the exit code."""
    given = parser(program).parse_args(arguments)
    try:
        found = COMMANDS[given.command].check(given)
    except (Failure, Forged, LedgerCorrupt, AllianceFileError, OSError) as error:
        found = Found([], {}, failure_of(error))
    code = Code.OK if found.failure is None else found.failure.code
    try:
        _say(given, found, code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return int(code)


def _say(given: argparse.Namespace, found: Found, code: Code) -> None:
    if given.json:
        result = {"verify": given.command, "result": code.name.lower(), "exit": int(code)}
        values = result | found.values
        if found.failure is not None:
            values["failure"] = found.failure.values()
        print(json.dumps(values, ensure_ascii=False))
        return
    for line in found.lines:
        print(line)
    if found.failure is None:
        print("ok")
        return
    sys.stdout.flush()
    print(f"{MEANING[code]}: {found.failure}", file=sys.stderr)


def run() -> None:
    """The console script."""
    sys.exit(main())
