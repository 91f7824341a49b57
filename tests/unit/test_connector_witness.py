"""The witness in a connector: what it cosigns, what it never does, and what a kill cannot change about that."""

import asyncio
import random
import socket
from contextlib import closing
from dataclasses import replace

import httpx
import pytest

from connectors.reference.conformance import both_ways
from connectors.sdk.contract import ConfigError
from connectors.sdk.state.file import State
from connectors.sdk.testing import START, THEM, US, FakeHub, Fuse, Rig, case_flag
from connectors.sdk.testing.log import FakeLog, other_history
from connectors.sdk.trust.proofs import WITNESSED_LIMIT, Known
from connectors.sdk.trust.witness import COSIGNED_AT_ONCE, Cosigner, Refusal, Witness
from connectors.sdk.trust.witness_http import serve_witness, witness_app
from hub.verify.proofs import Evidence as Shown
from hub.verify.proofs import check_evidence
from schemas import topics
from schemas.tlog.cosignature import ED25519_COSIGNATURE, timestamp_of
from schemas.tlog.note import Signature, Signer, open_note
from schemas.tlog.policy import Log, Policy
from schemas.tlog.policy import Witness as Named
from schemas.tlog.witness import (
    AddCheckpoint,
    Status,
    conflict_body,
    parse_cosigned_body,
)

NOW_S = 1_800_000_000


def log_of(size: int, salt: bytes = b"") -> FakeLog:
    log = FakeLog((US, THEM), 1, START)
    for number in range(size):
        log.append(salt + b"entry %d" % number)
    return log


def policy_of(log: FakeLog) -> Policy:
    witnesses = tuple(Named(code, one.verifier) for code, one in log.witnesses.items())
    return Policy((Log(log.signer.verifier),), witnesses, (), "none")


def witness_of(log: FakeLog) -> Witness:
    return Witness(log.witnesses[US], policy_of(log))


def known_of(log: FakeLog, size: int) -> Known:
    return Known(size, log.root(size), log.checkpoint(size))


def test_what_extends_what_we_stand_by_is_cosigned_at_the_time_given():
    """The cosignature says: seen then, and nothing before it was changed."""
    log = log_of(9)
    known, said = witness_of(log).step(known_of(log, 4), None, log.ask(4, 9), NOW_S)
    assert known == known_of(log, 9)
    assert isinstance(said, Signature)
    assert timestamp_of(said, ED25519_COSIGNATURE) == NOW_S
    note = open_note(log.witnessed(by=[US]), [log.witnesses[US].verifier])
    assert log.witnesses[US].verifier.verify(note.text, said.signature)


def test_the_first_checkpoint_begins_at_nothing():
    """A witness that starts late reads the log's checkpoints from the first one, and believes no size it has not followed."""
    log = log_of(3)
    known, said = witness_of(log).step(Known(), None, log.ask(0, 3), NOW_S)
    assert (known.size, isinstance(said, Signature)) == (3, True)
    _, said = witness_of(log).step(Known(), None, log.ask(2, 3), NOW_S)
    assert (said.status, said.size) == (Status.CONFLICT, 0)


def test_the_empty_log_may_be_cosigned_and_grows_from_there():
    """A log is signed before it has entries."""
    log = log_of(2)
    known, said = witness_of(log).step(Known(), None, log.ask(0, 0), NOW_S)
    assert isinstance(said, Signature)
    known, said = witness_of(log).step(known, None, log.ask(0, 2), NOW_S)
    assert (known.size, isinstance(said, Signature)) == (2, True)


def test_another_size_than_ours_is_a_conflict_that_names_ours():
    """The log then sends a proof from there."""
    log = log_of(9)
    for old in (3, 5):
        known, said = witness_of(log).step(known_of(log, 4), None, log.ask(old, 9), NOW_S)
        assert known == known_of(log, 4)
        assert (said.status, said.size, said.evidence) == (Status.CONFLICT, 4, None)


def test_two_roots_for_one_size_are_shown_and_not_cosigned():
    """That is the one thing an honest log never does; both signed checkpoints together convict it."""
    log, fork = log_of(4), log_of(4, b"!")
    known = known_of(log, 4)
    after, said = witness_of(log).step(known, known, fork.ask(4, 4), NOW_S)
    assert after == known
    assert isinstance(said, Refusal)
    assert (said.status, said.evidence.kind) == (Status.INCONSISTENT, "equivocation")
    shown = Shown.parse(said.evidence.payload, "evidence")
    assert (shown.first, shown.second) == (known.note, fork.checkpoint())
    assert check_evidence(shown, policy_of(log), "evidence") is not None


def test_a_checkpoint_that_does_not_extend_ours_is_shown_and_not_cosigned():
    """The log forgot or changed something that we have vouched for; its own proof says what it put in the place."""
    log, fork = log_of(3), log_of(7, b"!")
    after, said = witness_of(log).step(known_of(log, 3), None, fork.ask(3, 7), NOW_S)
    assert after == known_of(log, 3)
    assert (said.status, said.evidence.kind) == (Status.INCONSISTENT, "equivocation")
    shown = Shown.parse(said.evidence.payload, "evidence")
    assert check_evidence(shown, policy_of(log), "evidence") is not None


@pytest.mark.parametrize("sizes", [(4, 7), (3, 7), (5, 8), (1, 2), (6, 6)])
def test_a_proof_of_nothing_is_kept_as_such(sizes):
    """Without a valid proof nobody can tell two logs from a mistake; it is refused and shown all the same.

    So it is where our size is a power of two: the proof then leaves out the one hash that would tell.
    """
    old, new = sizes
    log = log_of(new)
    asked = log.ask(old, new)
    false = replace(asked, proof=(*asked.proof[:-1], bytes(32)) if asked.proof else (bytes(32),))
    after, said = witness_of(log).step(known_of(log, old), None, false, NOW_S)
    assert after == known_of(log, old)
    assert said.status is Status.INCONSISTENT
    assert said.evidence.kind == "inconsistent"
    assert false.to_bytes() in said.evidence.payload


def test_only_the_logs_own_signature_is_listened_to():
    """Anybody could otherwise have any root cosigned."""
    log = log_of(4)
    other = log_of(4)
    other.signer = Signer(log.signer.name, b"x" * 32)
    _, said = witness_of(log).step(Known(), None, other.ask(0, 4), NOW_S)
    assert said.status is Status.UNTRUSTED
    stranger = Policy((), (), (), "none")
    _, said = replace(witness_of(log), policy=stranger).step(Known(), None, log.ask(0, 4), NOW_S)
    assert said.status is Status.UNKNOWN_LOG


def cosigner_of(log: FakeLog, path, now_ms=lambda: NOW_S * 1000) -> tuple[Cosigner, State]:
    state = State(path)
    return Cosigner(witness_of(log), state, now_ms), state


def test_the_answer_is_in_the_file_when_it_is_given(tmp_path):
    """Another connection sees it: nothing is left to a later commit."""
    log = log_of(5)
    cosigner, state = cosigner_of(log, tmp_path / "state.db")
    assert isinstance(cosigner.answer(log.ask(0, 5)), Signature)
    other = State(tmp_path / "state.db", readonly=True)
    assert other.proofs.known(log.signer.name) == known_of(log, 5)
    other.close()
    state.close()


def test_a_backlog_is_verified_whole_and_cosigned_at_its_end(tmp_path):
    """A year of checkpoints waits for a witness that starts late; nobody asks for the old ones any more."""
    log = log_of(0)
    bodies = []
    for number in range(40):
        log.append(b"%d" % number)
        bodies.append(log.publish())
    cosigner, state = cosigner_of(log, tmp_path / "state.db")
    notes, fault = cosigner.hear(bodies)
    assert fault == ""
    assert [note.split(b"\n")[1] for note in notes] == [
        b"%d" % size for size in range(41 - COSIGNED_AT_ONCE, 41)
    ]
    again, fault = cosigner.hear(bodies)
    assert [note.split(b"\n")[1] for note in again] == [b"40"]  # what we stand by, once more
    assert fault == ""
    state.close()


def test_only_as_many_checkpoints_are_remembered_as_wanted(tmp_path):
    """One each second for years; the newest count."""
    log = log_of(0)
    cosigner, state = cosigner_of(log, tmp_path / "state.db")
    state._db.execute("PRAGMA synchronous=OFF")
    for number in range(WITNESSED_LIMIT + 5):
        known = Known(number, bytes(32), b"note")
        state.witness(lambda proofs, known=known: proofs.stand_by("origin", known))
    (count,) = state._db.execute("SELECT count(*) FROM witnessed").fetchone()
    assert count == WITNESSED_LIMIT
    assert state.proofs.known("origin").size == WITNESSED_LIMIT + 4
    state.close()
    assert cosigner


def test_a_gap_or_rubbish_in_the_topic_is_said_and_passed_over(tmp_path):
    """The inbox must go on whatever the log does; people see why there are no cosignatures."""
    log = log_of(9)
    cosigner, state = cosigner_of(log, tmp_path / "state.db")
    notes, fault = cosigner.hear([log.ask(0, 4).to_bytes(), b"rubbish", log.ask(6, 9).to_bytes()])
    assert len(notes) == 1
    assert "comes with a proof from size 6, and we stand by size 4" in fault
    notes, fault = cosigner.hear([log.ask(4, 9).to_bytes()])
    assert (len(notes), fault) == (1, "")
    state.close()


# The whole connector --------------------------------------------------------------------------------------------------


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path, both_ways(), FakeHub(log=FakeLog((US, THEM), 1, START)))


def sizes(rig: Rig) -> list[int]:
    return [int(message.value.split(b"\n")[1]) for message in rig.hub.cosignatures]


def test_the_connector_cosigns_what_the_hub_publishes(rig):
    """Twenty connectors are twenty witnesses, and nobody opens a port for it."""

    async def story():
        rig.case.happen(3)
        assert await rig.life(lambda: rig.quiet() and sizes(rig)[-1:] == [3])
        message = rig.hub.cosignatures[-1]
        assert message.key == US.encode()
        verifier = rig.hub.log.witnesses[US].verifier
        note = open_note(message.value, [verifier])
        assert note.text == open_note(rig.hub.log.checkpoint(), [rig.hub.log.signer.verifier]).text
        assert (len(note.verified), note.unverified) == (1, ())
        assert timestamp_of(note.verified[0], ED25519_COSIGNATURE) >= int(START.timestamp())

    asyncio.run(story())


def test_what_is_no_checkpoint_in_the_topic_is_not_asked(rig):
    """The hub publishes witnessed checkpoints there, too."""

    async def story():
        await rig.hub.flag(US, "f-1", case_flag())
        box = rig.hub._inboxes[topics.CHECKPOINTS]
        box.append(replace(box[0], offset=1, headers=[("alliance_kind", b"witnessed")]))
        position = lambda: State(rig.config.state_path, readonly=True).checkpoints_position()  # noqa: E731
        assert await rig.life(lambda: rig.config.state_path.exists() and position() == 2)
        assert sizes(rig) == [1]

    asyncio.run(story())


def test_a_fork_makes_the_connector_fail_aloud(rig):
    """People must hear of it at once, at every university that saw it."""

    async def story():
        await rig.hub.flag(US, "f-1", case_flag())
        assert await rig.life(lambda: sizes(rig) == [1])
        fork = other_history(rig.hub.log, lambda entry: entry + b"!")
        await rig.hub.checkpoint(fork.ask(0, 1).to_bytes())
        said = "test.example/ledger signed two roots for size 1"
        assert await rig.life(
            lambda: any(
                beat.state == "failed" and said in beat.reason for beat in rig.hub.heartbeats
            )
        )
        assert sizes(rig) == [1]

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(2))
def test_no_kill_makes_a_witness_cosign_two_roots_of_one_size(tmp_path, seed):
    """A hub that forks asks again and again, and our process dies at every moment in turn: after the file has the
    checkpoint and before the cosignature left, too. Whatever left, no size has two roots.
    """

    async def story(moment: int) -> bool:
        rng = random.Random(1000 * seed + moment)
        folder = tmp_path / str(moment)
        folder.mkdir()
        log = FakeLog((US, THEM), 1, START)
        rig = Rig(folder, both_ways(), FakeHub(log=log))
        for number in range(6):
            log.append(b"%d" % number)
        fork = other_history(log, lambda entry: b"!" + entry)
        for side in (log, fork):
            for old, size in ((0, 2), (2, 4), (4, 6)):
                for _ in range(rng.randint(1, 2)):
                    await rig.hub.checkpoint(side.ask(old, size).to_bytes())
        rng.shuffle(rig.hub._inboxes[topics.CHECKPOINTS])
        box = rig.hub._inboxes[topics.CHECKPOINTS]
        box[:] = [replace(one, offset=at) for at, one in enumerate(box)]
        fuse = Fuse(burns_at=moment)
        rig.state().close()
        with closing(State(rig.config.state_path, readonly=True)) as state:

            def done() -> bool:
                return state.checkpoints_position() == len(box)

            await rig.life(done, fuse=fuse)
            assert await rig.life(done)
        texts = {message.value.partition(b"\n\n")[0] for message in rig.hub.cosignatures}
        assert len(texts) == len({text.split(b"\n")[1] for text in texts})
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 8


# Over HTTP ------------------------------------------------------------------------------------------------------------


def test_add_checkpoint_answers_as_the_specification_says(tmp_path):
    """Any C2SP log can ask, ours or not; each refusal has its status."""
    log = log_of(9)
    cosigner, state = cosigner_of(log, tmp_path / "state.db")

    async def story():
        transport = httpx.ASGITransport(witness_app(cosigner))
        async with httpx.AsyncClient(transport=transport, base_url="http://witness") as client:

            async def post(body: bytes) -> httpx.Response:
                return await client.post("/add-checkpoint", content=body)

            good = await post(log.ask(0, 4).to_bytes())
            (signature,) = parse_cosigned_body(good.content)
            assert log.witnesses[US].verifier.verify(
                open_note(log.checkpoint(4), [log.signer.verifier]).text, signature.signature
            )
            conflict = await post(log.ask(3, 9).to_bytes())
            assert (conflict.status_code, conflict.content) == (409, conflict_body(4))
            assert conflict.headers["content-type"] == "text/x.tlog.size"
            assert (await post(log_of(9, b"!").ask(4, 9).to_bytes())).status_code == 422
            assert (await post(log.ask(4, 4).to_bytes())).status_code == 200
            assert (await post(b"rubbish")).status_code == 400
            stranger = log_of(4)
            stranger.signer = Signer("other.example/log", b"x" * 32)
            unknown = (
                stranger.ask(0, 4)
                .to_bytes()
                .replace(b"test.example/ledger\n", b"other.example/log\n")
            )
            assert (await post(unknown)).status_code == 404
            forged = log_of(9)
            forged.signer = Signer(log.signer.name, b"x" * 32)
            assert (await post(forged.ask(4, 9).to_bytes())).status_code == 403
            assert (await post(b"x" * 300_000)).status_code == 413
            assert (await client.get("/add-checkpoint")).status_code == 405
            assert (await client.get("/")).status_code == 404

    asyncio.run(story())
    state.close()


def test_the_witness_listens_until_it_is_ended(tmp_path):
    """And it says so when its port is taken, instead of ending the process."""
    log = log_of(2)
    cosigner, state = cosigner_of(log, tmp_path / "state.db")

    async def story():
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
                await serve_witness(cosigner, ("127.0.0.1", port))
        serving = asyncio.create_task(serve_witness(cosigner, ("127.0.0.1", port)))
        async with httpx.AsyncClient() as client:
            for _ in range(100):
                try:
                    answer = await client.post(
                        f"http://127.0.0.1:{port}/add-checkpoint", content=log.ask(0, 2).to_bytes()
                    )
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        assert answer.status_code == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with socket.create_server(("127.0.0.1", port)):
            pass

    asyncio.run(story())
    state.close()


def test_requests_are_taken_from_the_topic_byte_for_byte():
    """The same bytes go over Kafka and HTTP."""
    log = log_of(3)
    assert AddCheckpoint.parse(log.publish()) == log.ask(0, 3)
