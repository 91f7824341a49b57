"""Cosignatures become a witnessed checkpoint and receipts, whatever else is sent. Without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import structlog

from hub.errors import LedgerCorrupt, RetryLater, SettingsError
from hub.ledger.head import read_entry
from hub.transparency.bus import Record
from hub.transparency.files import WITNESSED
from hub.transparency.http_witness import HttpWitness
from hub.transparency.proofs import MESSAGE_BYTES, MESSAGE_PROOFS, Parcels
from hub.transparency.quorum import KEPT, Candidate, Quorum
from hub.transparency.receipts import TARGET_S, Collector, Target, load_policy, run_receipts
from schemas import topics
from schemas.codec import decode
from schemas.envelope import KIND
from schemas.records import Receipt, Receipts
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.tlog.errors import BadSignature, Forged, Malformed, Unsigned
from schemas.tlog.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from schemas.tlog.note import join_note, split_note
from schemas.tlog.policy import Policy, Witness
from schemas.tlog.proof import verify_checkpoint
from schemas.tlog.witness import AddCheckpoint, conflict_body, cosigned_body
from tests.support.transparency import (
    ALLIANCE,
    CHONGQING,
    ELEVEN,
    KEY,
    ORIGIN,
    SICHUAN,
    T0_S,
    WITNESSES,
    Bench,
    Crash,
    ListBus,
    bench,
    cosigned,
    entries,
    other_key,
)

VALUES = entries(600)
POLICY = ALLIANCE.policy()
MEMBERS = frozenset({"10610", "10611", "10614"})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def checkpoint_at(place: Bench, bus: ListBus, size: int) -> bytes:
    """The log grows to `size`, its checkpoint is published; returns the note."""
    known = len(place.published)
    place.sign(VALUES[:size])
    for request in place.published[known:]:
        bus.put(topics.CHECKPOINTS, Record(ORIGIN.encode(), request, [(KIND, b"checkpoint")]))
    return AddCheckpoint.parse(place.published[-1]).note


def cosign(bus: ListBus, note: bytes, *codes: str) -> None:
    bus.put(topics.COSIGNATURES, *(cosigned(note, code) for code in codes))


async def collect_until(
    bus: ListBus, place: Bench, done: Callable[[], bool], policy: Policy = POLICY
) -> None:
    stop = asyncio.Event()

    async def watch() -> None:
        while not done():  # noqa: ASYNC110 - a condition over lists and files has no event
            await asyncio.sleep(0.005)
        stop.set()

    async with asyncio.timeout(60):
        await asyncio.gather(run_receipts(bus, policy, ORIGIN, place.files, MEMBERS, stop), watch())


def witnessed(bus: ListBus) -> list[bytes]:
    return bus.values(topics.CHECKPOINTS, b"witnessed")


def received(bus: ListBus, member: str) -> list[Receipts]:
    found = [decode(value) for value in bus.values(topics.inbox(member), b"receipts")]
    assert all(isinstance(one, Receipts) for one in found)
    return found  # type: ignore[return-value]


def proven(bus: ListBus) -> dict[str, list[int]]:
    """Indices of the entries each member got a receipt for; every receipt is verified on the way."""
    indices: dict[str, list[int]] = {}
    for member in MEMBERS:
        for message in received(bus, member):
            logged = verify_checkpoint(message.checkpoint.encode(), POLICY)
            for one in message.proofs:
                verify_inclusion(
                    one.index,
                    logged.checkpoint.size,
                    leaf_hash(one.entry),
                    one.path,
                    logged.checkpoint.root,
                )
                entry = read_entry(one.entry)
                assert entry is not None
                assert (entry.member, entry.seq) == (member, one.index + 1)
                indices.setdefault(member, []).append(one.index)
    return indices


def expected(start: int, end: int) -> dict[str, list[int]]:
    """Indices by member of those that have an inbox."""
    found: dict[str, list[int]] = {}
    for index, value in enumerate(VALUES[start:end], start):
        entry = read_entry(value)
        if entry is not None and entry.member in MEMBERS:
            found.setdefault(entry.member, []).append(index)
    return found


def test_eleven_of_twenty_are_enough_and_every_member_gets_its_proofs(place: Bench) -> None:
    """Nine are away: six of Sichuan and five of Chongqing carry the log. Each outcome has its receipt."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN)
    asyncio.run(collect_until(bus, place, lambda: place.files.read_if_there(WITNESSED) is not None))
    assert proven(bus) == expected(0, 300)
    logged = verify_checkpoint(witnessed(bus)[0], POLICY)
    assert logged.witnesses == frozenset(ELEVEN)
    assert place.files.read(WITNESSED) == witnessed(bus)[0]
    cosign(bus, checkpoint_at(place, bus, 600), *ELEVEN)  # goes on behind what was witnessed
    asyncio.run(collect_until(bus, place, lambda: place.files.read(WITNESSED) != witnessed(bus)[0]))
    assert proven(bus) == expected(0, 600)


@pytest.mark.parametrize(
    "codes",
    [ELEVEN[:-1], SICHUAN, CHONGQING, (*SICHUAN[:5], *CHONGQING), ()],
    ids=lambda c: str(len(c)),
)
def test_too_few_of_a_region_make_nothing_final(place: Bench, codes: tuple[str, ...]) -> None:
    """No region alone, and not one less than the quorum. Members are told nothing, checkpoints go on."""
    bus = ListBus()
    collector = Collector(POLICY, ORIGIN, place.files, MEMBERS)
    for size in (300, 600):
        cosign(bus, checkpoint_at(place, bus, size), *codes)
    collector.take([*bus.topics[topics.CHECKPOINTS], *bus.topics.get(topics.COSIGNATURES, [])])
    assert collector.quorum.best() is None
    assert set(collector.quorum.missing()) == set(WITNESSES) - set(codes)
    with structlog.testing.capture_logs() as said:
        collector.report()
    assert said[0]["event"] == "quorum_missing"
    assert set(said[0]["missing"]) == set(WITNESSES) - set(codes)
    assert len(bus.values(topics.CHECKPOINTS, b"checkpoint")) == 2


def test_the_largest_checkpoint_with_a_quorum_is_taken(place: Bench) -> None:
    """Some cosigned only the first, all eleven the second, ten the third: older parts are dropped."""
    bus = ListBus()
    notes = [checkpoint_at(place, bus, size) for size in (100, 300, 600)]
    cosign(bus, notes[0], *SICHUAN)
    cosign(bus, notes[1], *ELEVEN)
    cosign(bus, notes[2], *ELEVEN[1:])
    asyncio.run(collect_until(bus, place, lambda: place.files.read_if_there(WITNESSED) is not None))
    assert [verify_checkpoint(note, POLICY).checkpoint.size for note in witnessed(bus)] == [300]
    cosign(bus, notes[2], ELEVEN[0])
    asyncio.run(collect_until(bus, place, lambda: len(witnessed(bus)) == 2))
    assert proven(bus) == expected(0, 600)


@pytest.mark.parametrize("moment", ["receipts", "witnessed"])
def test_a_crash_repeats_receipts_and_loses_none(place: Bench, moment: str) -> None:
    """Receipts go first: what the topic calls witnessed has told its members. The file follows the topic."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN)

    def crash(topic: str) -> None:
        if (topic == topics.CHECKPOINTS) == (moment == "witnessed"):
            raise Crash(moment)

    if moment == "receipts":
        bus.after_send = crash
    else:
        bus.before_send = crash
    with pytest.raises(Crash):
        asyncio.run(collect_until(bus, place, lambda: False))
    assert witnessed(bus) == []
    bus.after_send = bus.before_send = lambda _topic: None
    asyncio.run(collect_until(bus, place, lambda: place.files.read_if_there(WITNESSED) is not None))
    found = proven(bus)
    assert {member: sorted(set(indices)) for member, indices in found.items()} == expected(0, 300)


def test_a_file_that_is_behind_the_topic_is_written_at_the_next_one(place: Bench) -> None:
    """A crash between topic and file leaves the older file, which is still true."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN)

    def crash(topic: str) -> None:
        if topic == topics.CHECKPOINTS:
            raise Crash

    bus.after_send = crash
    with pytest.raises(Crash):
        asyncio.run(collect_until(bus, place, lambda: False))
    assert len(witnessed(bus)) == 1
    bus.after_send = lambda _topic: None
    asyncio.run(collect_until(bus, place, lambda: place.files.read_if_there(WITNESSED) is not None))
    assert place.files.read(WITNESSED) == witnessed(bus)[0]
    assert len(witnessed(bus)) == 1


def test_a_witnessed_checkpoint_that_no_quorum_cosigned_moves_nothing(place: Bench) -> None:
    """Else whoever may write the topic could keep receipts from members by repeating the log's own checkpoint."""
    bus = ListBus()
    note = checkpoint_at(place, bus, 300)
    bus.put(topics.CHECKPOINTS, Record(ORIGIN.encode(), note, [(KIND, b"witnessed")]))
    cosign(bus, note, *ELEVEN)
    asyncio.run(collect_until(bus, place, lambda: len(witnessed(bus)) == 2))
    assert proven(bus) == expected(0, 300)


def test_when_the_policy_changed_receipts_go_on_where_the_old_one_ended(place: Bench) -> None:
    """A new key of a witness makes old cosignatures unknown; what was told under them is not told again."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN)
    asyncio.run(collect_until(bus, place, lambda: place.files.read_if_there(WITNESSED) is not None))
    raised = replace(ALLIANCE, quorum={"Sichuan": 7, "Chongqing": 5}).policy()
    cosign(bus, checkpoint_at(place, bus, 600), *ELEVEN, SICHUAN[6])
    asyncio.run(collect_until(bus, place, lambda: len(witnessed(bus)) == 2, raised))
    assert proven(bus) == expected(0, 600)


def test_what_is_no_cosignature_is_counted_by_member_and_stops_nothing(place: Bench) -> None:
    """A member's connector may be broken or hostile."""
    bus = ListBus()
    note = checkpoint_at(place, bus, 300)
    text, lines = split_note(note)
    good = cosigned(note, "10610")
    stranger = cosigned(note, "10611", replace(WITNESSES["10611"], seed=b"\xee" * 32))
    signature = split_note(good.value)[1][0]
    flipped = replace(
        signature, signature=signature.signature[:-1] + bytes([signature.signature[-1] ^ 1])
    )
    elsewhere = cosigned(sign_checkpoint(Checkpoint(ORIGIN, 300, bytes(32)), [KEY]), "10614")
    bad = [
        Record(b"10610", b"noise", []),
        Record(b"10610", b"", []),
        Record(b"10610", join_note(text, [flipped]), []),
        Record(b"10611", stranger.value, []),
        Record(b"10611", join_note(text, lines), []),  # the log's own line
        Record(b"\xff", b"x", []),
        elsewhere,  # a true cosignature of another root: counts for nothing here
    ]
    bus.put(topics.COSIGNATURES, *bad)
    collector = Collector(POLICY, ORIGIN, place.files, MEMBERS)
    with structlog.testing.capture_logs() as said:
        collector.take([*bus.topics[topics.CHECKPOINTS], *bus.topics[topics.COSIGNATURES]])
    assert dict(collector.quorum.refused) == {"10610": 3, "10611": 2, "\ufffd": 1}
    assert [line["member"] for line in said] == ["10610", "10610", "10611", "10611", "\ufffd"]
    cosign(bus, note, *ELEVEN)
    asyncio.run(collect_until(bus, place, lambda: len(witnessed(bus)) == 1))
    assert proven(bus) == expected(0, 300)


def test_cosignatures_may_come_before_their_checkpoint(place: Bench) -> None:
    """Two topics have no order between them."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN)
    collector = Collector(POLICY, ORIGIN, place.files, MEMBERS)
    collector.take(bus.topics[topics.COSIGNATURES])
    assert collector.quorum.best() is None
    collector.take(bus.topics[topics.CHECKPOINTS])
    best = collector.quorum.best()
    assert best is not None
    assert best.witnesses == tuple(code for code in ALLIANCE.members if code in ELEVEN)


def test_a_quorum_remembers_a_bounded_number_of_things() -> None:
    """One witness may cosign without end; nobody else's cosignatures go for it."""
    quorum = Quorum(POLICY, ORIGIN)
    notes = [
        sign_checkpoint(Checkpoint(ORIGIN, size, bytes([size % 256]) * 32), [KEY])
        for size in range(1, KEPT + 100)
    ]
    quorum.cosign("10611", cosigned(notes[-1], "10611").value)
    for note in notes:
        quorum.propose(note)
        quorum.cosign("10610", cosigned(note, "10610").value)
    assert len(quorum._candidates) == KEPT
    assert len(quorum._given["10610"]) == KEPT
    assert len(quorum._given["10611"]) == 1
    assert quorum.newest is not None
    quorum.witnessed(quorum.newest.size - 1)
    assert [*quorum._candidates] == [quorum.newest.size]
    quorum.witnessed(5)  # a late repeat changes nothing
    assert quorum.size == quorum.newest.size - 1


def test_of_two_checkpoints_with_a_quorum_the_larger_is_told() -> None:
    """It covers what the smaller one does: one message less for every member."""
    quorum = Quorum(POLICY, ORIGIN)
    for size in (5, 9):
        note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), [KEY])
        quorum.propose(note)
        for code in ELEVEN:
            quorum.cosign(code, cosigned(note, code).value)
    best = quorum.best()
    assert best is not None
    assert best.checkpoint.size == 9


def test_a_cosignature_of_another_root_counts_for_none_of_this_size() -> None:
    """Ten of this root and one of another are not eleven."""
    quorum = Quorum(POLICY, ORIGIN)
    note = sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), [KEY])
    other = sign_checkpoint(Checkpoint(ORIGIN, 5, b"\1" * 32), [KEY])
    quorum.propose(note)
    for code in ELEVEN[:-1]:
        quorum.cosign(code, cosigned(note, code).value)
    quorum.cosign(ELEVEN[-1], cosigned(other, ELEVEN[-1]).value)
    assert quorum.best() is None
    quorum.cosign(ELEVEN[-1], cosigned(note, ELEVEN[-1]).value)  # it may change its mind
    assert quorum.best() is not None


def test_two_roots_of_one_size_stop_the_collector() -> None:
    """The log has lied to somebody; both checkpoints are in the message's reach."""
    quorum = Quorum(POLICY, ORIGIN)
    quorum.propose(sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), [KEY]))
    with pytest.raises(LedgerCorrupt, match=r"size 7 of .* was signed with root 01"):
        quorum.propose(sign_checkpoint(Checkpoint(ORIGIN, 7, b"\1" * 32), [KEY]))


def test_only_the_logs_own_checkpoints_are_proposed() -> None:
    """Anyone who may write the topic could send one."""
    quorum = Quorum(POLICY, ORIGIN)
    with pytest.raises(Unsigned):
        quorum.propose(sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), [other_key(KEY)]))
    with pytest.raises(Malformed, match="origin"):
        quorum.propose(sign_checkpoint(Checkpoint("other.example", 7, bytes(32)), [KEY]))
    assert quorum.newest is None


def test_files_that_are_not_the_signed_tree_stop_the_collector(place: Bench) -> None:
    """A receipt that does not verify would be worse than none; the file is named."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN)
    path = place.files.folder / "tile/entries/000"
    path.write_bytes(path.read_bytes().replace(b"subject", b"Subject", 1))
    with pytest.raises(LedgerCorrupt, match="tile/entries/000"):
        asyncio.run(collect_until(bus, place, lambda: False))
    assert witnessed(bus) == []


def test_messages_of_receipts_stay_below_what_kafka_takes() -> None:
    """By number and by bytes; one that is larger alone goes alone; nothing is lost or moved."""
    path = tuple(bytes(32) for _ in range(20))
    parcels, sent = Parcels(b"note\n"), list[Receipts]()

    def decoded(value: bytes) -> Receipts:
        assert len(value) < MESSAGE_BYTES + 70_000
        record = decode(value)
        assert isinstance(record, Receipts)
        return record

    for index in range(1000):
        size = 65_535 if 300 <= index < 340 else 700
        full = parcels.add("10610", Receipt(index, bytes(size), path))
        if full is not None:
            sent.append(decoded(full))
    sent += [decoded(value) for _, value in parcels.rest()]
    assert [one.index for message in sent for one in message.proofs] == list(range(1000))
    assert max(len(message.proofs) for message in sent) == MESSAGE_PROOFS
    assert max(sum(len(one.entry) for one in message.proofs) for message in sent) <= MESSAGE_BYTES


def test_without_a_quorum_every_checkpoint_is_final(place: Bench) -> None:
    """An alliance that asks for no witness gets receipts from the log's word alone."""
    bus = ListBus()
    checkpoint_at(place, bus, 300)
    policy = replace(ALLIANCE, quorum={}).policy()
    asyncio.run(collect_until(bus, place, lambda: len(witnessed(bus)) == 1, policy))
    assert {one.index for member in MEMBERS for message in received(bus, member) for one in message.proofs} == {
        index for indices in expected(0, 300).values() for index in indices
    }  # fmt: skip


def test_a_policy_file_may_stand_in_for_the_alliance(tmp_path: Path) -> None:
    """It has to know our log."""
    assert load_policy("", ALLIANCE) == POLICY
    path = tmp_path / "policy.txt"
    path.write_bytes(POLICY.to_bytes())
    assert load_policy(str(path), ALLIANCE) == POLICY
    path.write_bytes(b"quorum none\n")
    with pytest.raises(SettingsError, match=r"has no log test\.example/ledger"):
        load_policy(str(path), ALLIANCE)
    path.write_bytes(b"quorum\n")
    with pytest.raises(SettingsError, match="is no policy"):
        load_policy(str(path), ALLIANCE)


class WitnessService:
    """A witness behind HTTP, as C2SP tlog-witness says; keeps size and root."""

    def __init__(self, code: str, size: int = 0, root: bytes = EMPTY_ROOT) -> None:
        self.signer, self.size, self.root = WITNESSES[code], size, root
        self.answers: list[int] = []
        self.broken: httpx.Response | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.broken or self._answer(request)
        self.answers.append(answer.status_code)
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "POST"
        assert request.url.path == "/prefix/add-checkpoint"
        asked = AddCheckpoint.parse(request.content)
        checkpoint, note = open_checkpoint(asked.note, [KEY.verifier])
        if asked.old_size != self.size:
            return httpx.Response(409, content=conflict_body(self.size))
        try:
            verify_consistency(self.size, checkpoint.size, self.root, checkpoint.root, asked.proof)
        except Forged:
            return httpx.Response(422)
        self.size, self.root = checkpoint.size, checkpoint.root
        return httpx.Response(200, content=cosigned_body([self.signer.cosign(note.text, T0_S)]))


def asked(place: Bench, service: WitnessService, notes: list[bytes]) -> list[object]:
    """What a witness gives for each checkpoint: names that signed, or the error."""
    collector = Collector(POLICY, ORIGIN, place.files, MEMBERS)
    given: list[object] = []

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as client:
            url = "https://witness.example/prefix/"
            witness = Witness("10610", WITNESSES["10610"].verifier, url)
            http = HttpWitness(witness, client, collector.prove)
            for note in notes:
                candidate = Candidate(*open_checkpoint(note, [KEY.verifier]))
                try:
                    lines = await http.ask(candidate)
                    collector.quorum.add("10610", candidate.note.text, lines)
                    given.append([line.name for line in lines])
                except (RetryLater, BadSignature) as error:
                    given.append(error)

    asyncio.run(ask())
    return given


def test_a_witness_behind_http_cosigns(place: Bench) -> None:
    """It may know the log already, from before we started: then it says how far, and is asked again from there."""
    bus = ListBus()
    notes = [checkpoint_at(place, bus, size) for size in (100, 300, 600)]
    name = WITNESSES["10610"].name
    service = WitnessService("10610")
    assert asked(place, service, notes) == [[name]] * 3
    assert service.answers == [200, 200, 200]
    again = WitnessService("10610", service.size, service.root)
    assert asked(place, again, notes) == [[], [], [name]]  # older ones it has seen
    assert again.answers == [409, 200]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(422), "answers 422 \\(INCONSISTENT\\)"),
        (httpx.Response(404), "answers 404 \\(UNKNOWN_LOG\\)"),
        (httpx.Response(403), "answers 403 \\(UNTRUSTED\\)"),
        (httpx.Response(503, content=b"busy"), "answers 503 \\(no answer of a witness\\): b'busy'"),
        (httpx.Response(200, content=b"noise"), "answers 200 with"),
        (httpx.Response(409, content=b"-1\n"), "answers 409 with"),
        (httpx.Response(409, content=b"50\n"), "moved on while asked"),
        (httpx.Response(200, content=bytes(100_000)), "answers more than"),
    ],
)  # fmt: skip
def test_a_witness_that_does_not_cosign_is_named_with_its_answer(
    place: Bench, answer: httpx.Response, said: str
) -> None:
    """And asked again later; it holds nobody up."""
    bus = ListBus()
    note = checkpoint_at(place, bus, 100)
    service = WitnessService("10610")
    service.broken = answer
    [error] = asked(place, service, [note])
    with pytest.raises(RetryLater, match=said):
        raise error  # type: ignore[misc]
    assert "10610" in str(error)


def test_a_witness_out_of_reach_is_named(place: Bench) -> None:
    """The network is the usual reason."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    note = checkpoint_at(place, ListBus(), 100)
    [error] = asked(place, refuse, [note])  # type: ignore[arg-type]
    assert isinstance(error, RetryLater)
    assert "does not answer" in str(error)


def test_witnesses_over_http_are_asked_for_the_same_checkpoint() -> None:
    """Until it is witnessed, or nobody made it so in time: cosignatures of different ones add up to nothing."""
    now = 0.0
    quorum = Quorum(POLICY, ORIGIN)
    target = Target(quorum, lambda: now)
    assert target.current() is None

    def grown(size: int) -> int:
        quorum.propose(sign_checkpoint(Checkpoint(ORIGIN, size, bytes([size]) * 32), [KEY]))
        found = target.current()
        assert found is not None
        return found.size

    assert [grown(5), grown(6), grown(7)] == [5, 5, 5]
    quorum.witnessed(5)
    assert [grown(8), grown(9)] == [8, 8]
    now = TARGET_S
    assert grown(10) == 10


def test_witnesses_over_http_and_over_kafka_make_one_quorum(
    place: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten over Kafka, the eleventh has a URL."""
    bus = ListBus()
    cosign(bus, checkpoint_at(place, bus, 300), *ELEVEN[1:])
    service = WitnessService(ELEVEN[0])
    policy = replace(
        POLICY,
        witnesses=tuple(
            replace(one, url="http://w.example/prefix") if one.name == ELEVEN[0] else one
            for one in POLICY.witnesses
        ),
    )
    made = httpx.AsyncClient
    monkeypatch.setattr(
        httpx, "AsyncClient", lambda **_: made(transport=httpx.MockTransport(service))
    )
    asyncio.run(collect_until(bus, place, lambda: len(witnessed(bus)) == 1, policy))
    assert proven(bus) == expected(0, 300)
    assert verify_checkpoint(witnessed(bus)[0], POLICY).witnesses == frozenset(ELEVEN)
