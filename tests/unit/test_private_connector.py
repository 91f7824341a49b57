"""Private parts through the connector: sealed at home, read by the host, never lost, never left after an erasure."""

from __future__ import annotations

import asyncio
import json
import random
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner

from connectors.sdk.cli.erase import app
from connectors.sdk.cli.main import app as connector
from connectors.sdk.config import load_config
from connectors.sdk.contract import ConfigError, Delivery, Item, Permanent
from connectors.sdk.mapping.file import PolicyTable
from connectors.sdk.private.store import Erasure, PrivateStore
from connectors.sdk.private.vault import Vault, erased, open_vault
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.state.file import Mapped, State
from connectors.sdk.state.parking import Parked, mentions
from connectors.sdk.testing import START, THEM, US, Case, Fuse, Killed, Rig, their_request
from schemas import topics
from schemas.codec import decode, encode, from_json, to_json
from schemas.envelope import to_millis
from schemas.records import PrivatePayload, StudentErased

NAME, LOCAL_ID = "王小明", "2023010417"
_MAPPING = """
[event]
type = "enrollment.requested"
[envelope]
event_id = "eventId"
occurred_at = "at"
recorded_at = "at"
aggregate_version = "version"
[fields]
enrollment_id = { path = "id", required = true }
student_id = { path = "student", required = true, pseudonym = { host = "host" } }
home = { member = true }
host = { path = "host", required = true }
offering_id = { const = "course-1" }
term = { path = "at", convert = "term" }
activity = { const = "course" }
delivery = { const = "online" }
home_active_registration = { const = true }
[private]
name = "name"
contact = "mail"
"""
_TABLES = """
[private]
encryption = { file = "10611.encryption" }
home_key = { file = "home.key" }
[source.campus]
kind = "http_poll"
base_url = "http://campus.example"
path = "/changes"
params = { after = "{cursor}" }
records = "items"
more = "hasMore"
cursor = "number"
initial = "0"
mapping = "mapping/request.toml"
[sink.campus]
kind = "http_push"
base_url = "http://campus.example"
path = "/inbox"
"""


class Campus:
    """Tells of students who want to go to another university; writes down what it is told."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []

    def ask(self, student: str = LOCAL_ID, name: str | None = NAME) -> None:
        number = len(self.rows) + 1
        self.rows.append(
            {
                "number": number, "eventId": f"00000000-0000-4000-8000-{number:012d}", "id": f"e-{number}",
                "at": "2026-09-01T08:00:00Z", "version": 1, "student": student, "host": THEM, "name": name,
                "mail": name and "wang@stu.example",
            }
        )  # fmt: skip

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            after = [row for row in self.rows if row["number"] > int(request.url.params["after"])]
            return httpx.Response(200, json={"items": after[:2], "hasMore": len(after) > 2})
        items = json.loads(request.content)["items"]
        self.told += items
        results = [{"eventId": item["eventId"], "status": "applied"} for item in items]
        return httpx.Response(200, json={"results": results})

    def events(self) -> list[dict[str, Any]]:
        return [item for item in self.told if item["kind"] == "event"]


class World:
    """Our connector on a fake hub, and the vault of the other university beside it."""

    def __init__(self, folder: Path) -> None:
        (folder / "home.key").write_text("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")
        self.campus = Campus()
        case = Case(
            _TABLES,
            {"request.toml": _MAPPING},
            httpx.MockTransport(self.campus.answer),
            to_tell=lambda: len(self.campus.rows),
        )
        self.rig = Rig(folder, case)
        self.folder = folder
        settings = self.rig.config.private
        assert settings is not None
        self.them = Vault(
            replace(
                settings,
                member=THEM,
                encryption=X25519PrivateKey.from_private_bytes(THEM.encode().ljust(32, b".")),
            ),
            PrivateStore(folder / "theirs.db", THEM),
            random.Random(9).randbytes,
        )

    def ours(self) -> Vault:
        vault = open_vault(self.rig.config.private)
        assert vault is not None
        return vault

    def settled(self) -> bool:
        return len(self.rig.hub.published) >= len(self.campus.rows) and self.rig.quiet()

    def payloads(self) -> list[bytes]:
        return list(self.rig.hub.payloads.values())

    def now(self) -> int:
        return to_millis(self.rig.clock.now())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(world: World, until: Any = None, fuse: Fuse | None = None) -> bool:
    return asyncio.run(world.rig.life(until or world.settled, fuse=fuse))


def event_delivery(record: Any) -> Delivery:
    return Delivery("event", record.EVENT, record.envelope.event_id, 1, record)


def test_the_host_reads_what_the_home_sealed_and_the_ledger_has_neither_name_nor_number(
    world: World,
) -> None:
    """The event commits to the private part; the pseudonym leads to nobody."""
    world.campus.ask()
    assert run(world)
    (record,) = world.rig.hub.published
    said = json.dumps(to_json(record), ensure_ascii=False)
    assert NAME not in said
    assert LOCAL_ID not in said
    assert record.student_id.startswith(f"urn:alliance:student:{US}:")
    world.them.take(world.payloads(), 1)
    found = world.them.delivery(event_delivery(record), 0)
    assert found.private == {"name": NAME, "contact": "wang@stu.example"}
    assert found.to_json()["privateState"] == "readable"
    assert [read.purpose for read in world.them.store.reads()] == ["delivery"]
    assert NAME.encode() not in b"".join(world.payloads())


def test_a_record_without_private_values_stays_as_it_is(world: World) -> None:
    """Nothing to seal, nothing to erase."""
    world.campus.ask(name=None)
    assert run(world)
    assert world.rig.hub.published[0].private is None
    assert world.payloads() == []


def test_a_kill_at_any_moment_loses_neither_event_nor_payload(tmp_path: Path) -> None:
    """The payload is there before its event, once, and fits its commitment, wherever the process died."""

    def story(burns_at: int) -> bool:
        folder = tmp_path / str(burns_at)
        folder.mkdir()
        world = World(folder)
        for student in ("1", "2"):
            world.campus.ask(student)
        fuse = Fuse(burns_at)
        run(world, fuse=fuse)
        assert run(world), f"killed at {fuse.passed[-1]}, then lost something"
        by_id = {record.envelope.event_id: record for record in world.rig.hub.published}
        assert len(by_id) == 2
        assert len({encode(record) for record in world.rig.hub.published}) == 2
        world.them.take(world.payloads(), 1)
        for record in by_id.values():
            assert world.them.opened(record, 0).state == "readable"
        world.them.store.close()
        return fuse.burnt

    moment = 1
    while story(moment):
        moment += 1
    assert moment > 15


def test_an_award_comes_back_under_the_key_that_home_shared(world: World) -> None:
    """The host needs no key of its own, so the home can destroy all there are."""
    world.campus.ask()
    assert run(world)
    request = world.rig.hub.published[0]
    world.them.take(world.payloads(), 1)
    world.them.delivery(event_delivery(request), 0)
    award = from_json("credit.awarded", _award(request.student_id))
    sealed = world.them.sealed(award, {"transcript": "midterm 82"}, 0)
    assert sealed.private.key_id == request.private.key_id  # type: ignore[attr-defined]
    (payload,) = world.them.store.unsent(9)

    async def story() -> None:
        from connectors.sdk.runtime.kafka import Message

        key = topics.payload_key(payload.student_id, payload.event_id).encode()
        await world.rig.hub.publish(topics.PRIVATE, [Message(key, payload.value, [])])
        await world.rig.hub.deliver(US, sealed, world.rig.signers[THEM])
        assert await world.rig.life(lambda: bool(world.campus.events()))

    asyncio.run(story())
    (item,) = world.campus.events()
    assert item["private"] == {"transcript": "midterm 82"}
    assert item["localId"] == LOCAL_ID


def test_without_a_key_from_home_the_award_goes_without_its_private_part(world: World) -> None:
    """The credits matter more, and a key that the home does not know could not be destroyed by it."""
    award = from_json("credit.awarded", _award(f"urn:alliance:student:{US}:unknown"))
    assert world.them.sealed(award, {"transcript": "x"}, 0) == award
    assert world.them.store.unsent(9) == []


def test_a_payload_that_does_not_come_is_said_to_be_missing(world: World) -> None:
    """Deliveries wait a bounded time, then go on; the campus is told."""
    record = _their_private_request(world)

    async def story() -> None:
        await world.rig.hub.deliver(US, record, world.rig.signers[THEM])
        assert await world.rig.life(lambda: bool(world.campus.events()))

    asyncio.run(story())
    (item,) = world.campus.events()
    assert (item["private"], item["privateState"]) == (None, "missing")
    assert 5 <= world.rig.clock.monotonic() < 10


def test_a_payload_that_is_not_the_committed_one_is_never_shown(world: World) -> None:
    """Anybody of the alliance may write the topic; the signed commitment decides."""
    record = _their_private_request(world)
    (stored,) = world.them.store.unsent(9)
    payload = decode(stored.value)
    assert isinstance(payload, PrivatePayload)
    ours = world.ours()
    ours.take([encode(replace(payload, ciphertext=payload.ciphertext[::-1]))], 1)
    assert ours.opened(record, 0).state == "unreadable"
    ours.store.close()


def test_a_word_of_the_home_destroys_the_hosts_copies_and_nobody_elses_does(world: World) -> None:
    """A tombstone anyone could have written changes nothing; a third member cannot erase."""
    record = _their_private_request(world)
    (stored,) = world.them.store.unsent(9)
    ours = world.ours()
    ours.take([stored.value], 1)
    assert ours.opened(record, 0).state == "readable"
    ours.take([b""], 2)
    assert ours.opened(record, 0).state == "readable"
    word = erased(Erasure("11111111-0000-4000-8000-000000000001", record.student_id, 1, (), 0, 0, True), THEM, "x")  # fmt: skip
    foreign = replace(word, home="10613", envelope=replace(word.envelope, member="10613"))
    ours.forgotten(event_delivery(foreign), 0)
    assert ours.opened(record, 0).state == "readable"
    ours.forgotten(event_delivery(word), 0)
    assert ours.opened(record, 0).state == "erased"
    assert ours.store.key(record.private.key_id) is None
    ours.take([stored.value], 3)  # read again from the start
    assert ours.opened(record, 0).state == "erased"
    ours.store.close()


def test_erase_destroys_queues_and_tells_and_leaves_nothing_in_the_file(world: World) -> None:
    """Salt, keys, private parts: gone from private.db and its log; tombstones before the event."""
    world.campus.ask()
    assert run(world)
    record = world.rig.hub.published[0]
    ours = world.ours()
    key = ours.store.key(record.private.key_id)
    salt = ours.store.salt(LOCAL_ID, b"x" * 32)
    value = ours.store.payload(record.student_id, record.envelope.event_id)
    assert key is not None
    assert value is not None
    ours.store.close()
    secrets = [key.wrapped.sealed, salt, value[-40:], LOCAL_ID.encode()]
    assert all(_in_files(world, secret) for secret in secrets)
    refused = CliRunner().invoke(app, [str(world.folder), LOCAL_ID], input="n\n")
    assert refused.exit_code == 1
    assert "1 data keys" in refused.output
    done = CliRunner().invoke(app, [str(world.folder), LOCAL_ID, "--yes", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["tombstones_waiting"] == 1
    assert said["scrubbed"] is True
    assert said["erased"][0]["key_ids"] == [record.private.key_id]
    assert [secret for secret in secrets if _in_files(world, secret)] == []
    assert run(world, lambda: len(world.rig.hub.published) == 2 and world.rig.quiet())
    assert world.payloads() == [b""]
    event = world.rig.hub.published[1]
    assert isinstance(event, StudentErased)
    assert (event.student_id, event.key_ids) == (record.student_id, (record.private.key_id,))
    again = CliRunner().invoke(app, [str(world.folder), record.student_id, "--yes"])
    assert (again.exit_code, "erased before" in again.output) == (0, True)
    nobody = CliRunner().invoke(app, [str(world.folder), "2099", "--yes"])
    assert nobody.exit_code == 1


@pytest.mark.parametrize("step", ["before", "destroyed", "queued"])
def test_an_erasure_is_finished_after_a_crash_at_any_step(world: World, step: str) -> None:
    """Running it again completes it; starting the connector does, too. One event, one id."""
    world.campus.ask()
    assert run(world)
    record = world.rig.hub.published[0]
    vault = world.ours()
    if step != "before":
        vault.store.erase(record.student_id, "22222222-0000-4000-8000-000000000001", 1_000, 2_000)
    if step == "queued":
        state = State(world.rig.config.state_path)
        from connectors.sdk.cli.erase import complete

        complete(vault, world.rig.config, state, world.rig.clock.now())
        vault.store._db.execute("UPDATE erasures SET queued_at = NULL")  # the note was not made
        state.close()
    vault.store.close()
    if step == "before":
        assert CliRunner().invoke(app, [str(world.folder), LOCAL_ID, "--yes"]).exit_code == 0
    assert run(world, lambda: len(world.rig.hub.published) >= 2 and world.rig.quiet())
    told = [r for r in world.rig.hub.published if isinstance(r, StudentErased)]
    assert len({encode(one) for one in told}) == 1
    assert world.payloads() == [b""]


def test_a_campus_may_erase_by_an_event_of_its_own(world: World) -> None:
    """The connector destroys first and names the keys; the same record again gives the same bytes."""
    world.campus.ask()
    assert run(world)
    record = world.rig.hub.published[0]
    vault = world.ours()
    asked = erased(Erasure("33333333-0000-4000-8000-000000000001", record.student_id, 1, (), 0, 0, True), US, "x")  # fmt: skip
    told = vault.erasing(asked)
    assert told.key_ids == (record.private.key_id,)  # type: ignore[attr-defined]
    assert vault.erasing(asked) == told
    assert [one.value for one in vault.store.unsent(9)] == [b""]
    assert vault.store.local_id(record.student_id) is None
    vault.store.close()


def test_another_universitys_student_is_not_ours_to_erase(world: World) -> None:
    """Its copies go with its word."""
    record = _their_private_request(world)
    (stored,) = world.them.store.unsent(9)
    ours = world.ours()
    ours.take([stored.value], 1)
    ours.opened(record, 0)
    ours.store.close()
    done = CliRunner().invoke(app, [str(world.folder), record.student_id, "--yes"])
    assert done.exit_code == 1
    assert "another university" in done.output


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """The keys of every student lie in it."""
    store = PrivateStore(tmp_path / "private.db", US)
    store.salt("1", bytes(32))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    store.close()


def test_an_encryption_key_that_others_do_not_know_is_refused(world: World) -> None:
    """What they seal for us could not be read."""
    (world.folder / "10611.encryption").write_text("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")
    with pytest.raises(ConfigError, match=r"private\.encryption"):
        load_config(world.folder, {})


def _in_files(world: World, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in world.folder.glob("private.db*"))


def _their_private_request(world: World) -> Any:
    """A request of the other university for our course, sealed by its vault."""
    record = their_request(1)
    return world.them.sealed(record, {"name": NAME}, 0)


def _award(student_id: str) -> dict[str, Any]:
    from schemas.catalogue import catalogue, example

    values = example(catalogue().newest["credit.awarded"])
    values["envelope"]["member"] = THEM
    return values | {"student_id": student_id, "home": US, "host": THEM, "private": None}


def _park(state: State, name: str, data: Any, stage: str = "map") -> None:
    payload = {"source": "campus", "origin": name, "data": data}
    mapped = Mapped(parked=[Parked(stage, name, "does not fit", "does not fit", payload)])
    state.commit_page("campus", None, mapped, 1)


def _parked(world: World) -> list[str]:
    state = world.rig.state()
    try:
        return [row.id for row in state.parked()]
    finally:
        state.close()


def test_erase_removes_parked_records_that_mention_the_student_and_no_others(world: World) -> None:
    """They are the campus's own words, names and all, kept in the state file until somebody corrects a mapping."""
    world.campus.ask()
    assert run(world)
    pseudonym = world.rig.hub.published[0].student_id  # type: ignore[attr-defined]
    state = world.rig.state()
    _park(state, "by number", {"student": {"number": int(LOCAL_ID)}, "name": NAME})
    _park(state, "by text", {"remarks": [f"学生{LOCAL_ID}申请, mail {LOCAL_ID}@stu.example"]})
    _park(state, "by pseudonym", {"about": pseudonym, "name": NAME})
    _park(state, "by key", {LOCAL_ID: {"name": NAME}})
    _park(state, "another", {"number": f"{LOCAL_ID}9", "other": f"1{LOCAL_ID}", "credits": 2.5})
    _park(state, "delivery", {"number": LOCAL_ID}, stage="push")
    state.close()
    assert _in_state(world, NAME)
    asked = CliRunner().invoke(app, [str(world.folder), LOCAL_ID], input="n\n")
    assert "by key: a parked record" in asked.output
    assert len(_parked(world)) == 6
    done = CliRunner().invoke(app, [str(world.folder), LOCAL_ID, "--yes", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["parked_removed"] == ["by number", "by text", "by pseudonym", "by key"]
    assert said["scrubbed"] is True
    assert _parked(world) == ["another", "delivery"]
    assert not _in_state(world, NAME)


def _in_state(world: World, name: str) -> bool:
    """Whether the state file has it anywhere, free pages and log included, as JSON writes it."""
    wanted = json.dumps(name)[1:-1].encode()
    return any(wanted in path.read_bytes() for path in world.folder.glob("state.db*"))


def test_what_was_forgotten_is_in_no_free_page_once_nobody_else_reads(world: World) -> None:
    """SQLite leaves deleted rows where they stood, unless it was built otherwise; a running connector may read meanwhile."""
    state = world.rig.state()
    state._db.execute("PRAGMA secure_delete = OFF")
    _park(state, "by number", {"student": LOCAL_ID, "name": NAME})
    assert state.forget_parked([LOCAL_ID]) == ["by number"]
    assert _in_state(world, NAME)
    reader = world.rig.state()
    reader._db.execute("BEGIN")
    reader._db.execute("SELECT count(*) FROM parked").fetchone()
    state._db.execute("PRAGMA busy_timeout = 50")
    assert not state.scrub()
    reader.close()
    assert state.scrub()
    assert not _in_state(world, NAME)
    state.close()


def test_a_student_of_whom_only_parked_records_are_here_is_erased_too(world: World) -> None:
    """The first record did not fit its mapping, so there is no pseudonym yet, and nothing to tell the alliance."""
    state = world.rig.state()
    _park(state, "first", {"student": LOCAL_ID, "name": NAME})
    state.close()
    done = CliRunner().invoke(app, [str(world.folder), LOCAL_ID, "--yes"])
    assert done.exit_code == 0, done.output
    assert "1 parked records that mention the student removed: first" in done.output
    assert _parked(world) == []
    assert CliRunner().invoke(app, [str(world.folder), LOCAL_ID, "--yes"]).exit_code == 1


def test_parked_records_of_anothers_student_wait_for_its_word(world: World) -> None:
    """An award that does not fit yet is owed; the home's erasure takes it away, our command does not."""
    stranger = f"urn:alliance:student:{THEM}:abc"
    state = world.rig.state()
    _park(state, "award", {"student": stranger, "transcript": "x"})
    state.close()
    done = CliRunner().invoke(app, [str(world.folder), stranger, "--yes"])
    assert done.exit_code == 1
    assert "another university" in done.output
    told = erased(
        Erasure("44444444-0000-4000-8000-000000000001", stranger, 1, (), 0, 0, queued=True),
        THEM,
        "x",
    )

    async def story() -> None:
        await world.rig.hub.deliver(US, told, world.rig.signers[THEM])
        assert await world.rig.life(world.rig.quiet)

    asyncio.run(story())
    assert _parked(world) == []


@pytest.mark.parametrize("crash", [True, False], ids=["killed between", "at once"])
def test_a_campus_that_erases_by_its_own_event_has_parked_records_removed(
    world: World, crash: bool
) -> None:
    """Of the same page, too; and while it is still known whose pseudonym it is: that is committed before the link is cut."""
    world.campus.ask()
    assert run(world)
    pseudonym = world.rig.hub.published[0].student_id  # type: ignore[attr-defined]
    state = world.rig.state()
    _park(state, "before", {"student": LOCAL_ID})
    _park(state, "another", {"student": "7"})
    (source,) = world.rig.config.sources
    vault = world.ours()
    told = erased(
        Erasure("55555555-0000-4000-8000-000000000001", pseudonym, 1, (), 0, 0, queued=True),
        US,
        "x",
    )
    mapping = _Fixed(told)
    mapper = Mapper(replace(source, mappings={"": mapping}), world.rig.config.signer, state, vault)  # type: ignore[dict-item]
    items = [Item({"spoilt": LOCAL_ID}, "/1"), Item({"spoilt": "7"}, "/2"), Item({}, "/3")]
    if crash:
        with pytest.raises(Killed):
            _page_that_is_killed(vault, mapper, items)
        assert vault.store.local_id(pseudonym) == LOCAL_ID
        assert [row.id for row in state.parked()] == ["another"]
    mapped = mapper.page(items, START)
    assert [row.payload["origin"] for row in mapped.parked] == ["/2"]
    assert [row.id for row in state.parked()] == ["another"]
    assert len(mapped.events) == 1
    vault.store.close()
    state.close()


def _page_that_is_killed(vault: Vault, mapper: Mapper, items: list[Item]) -> None:
    """The page is mapped, its private commit never comes."""
    with vault.store.together():
        mapper.page(items, START)
        raise Killed


class _Fixed:
    """A mapping that reads an erasure, unless the record is spoilt."""

    private: dict[str, Any] = {}  # noqa: RUF012, nobody changes it
    policy = PolicyTable()

    def __init__(self, record: StudentErased) -> None:
        self._record = record

    def record(self, data: Any, naming: Any) -> StudentErased:
        if "spoilt" in data:
            raise Permanent("does not fit")
        return self._record

    def part(self, data: Any) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("data", "mentioned"),
    [
        ("42", True), (42, True), ([{"a": "42"}], True), ({"42": None}, True), ("no. 42.", True), ("学号42的", True),
        ("42@stu.example", True), ("a/42/b", True), ("urn:x:42", True),
        ("420", False), ("142", False), (42.5, False), ("3.42", False), ("2026-42-01", False), ("a_42", False),
        (None, False), (True, False), ("", False),
    ],
)  # fmt: skip
def test_a_name_is_mentioned_as_a_whole_word(data: Any, mentioned: bool) -> None:
    """A number inside another number is somebody else, and that record would be lost."""
    assert mentions(data, ["42", ""]) is mentioned


def test_the_erasure_itself_is_an_event_the_campus_hears_nothing_of(world: World) -> None:
    """The operator's command made it; the campus would find no change of its own that fits the outcome."""
    world.campus.ask()
    assert run(world)
    before = len(world.campus.told)
    assert CliRunner().invoke(app, [str(world.folder), LOCAL_ID, "--yes"]).exit_code == 0
    assert run(world, lambda: len(world.rig.hub.published) == 2 and world.rig.quiet())
    assert len(world.campus.told) == before
    state = world.rig.state()
    (own,) = state.own()
    state.close()
    assert (own.event, own.outcome, own.about) == ("student.erased", "applied", None)


def test_lint_finds_a_private_part_that_nothing_could_seal(world: World) -> None:
    """Its events would go without, and only a line in a log would say so."""
    lint = lambda: CliRunner().invoke(connector, ["lint", str(world.folder)])  # noqa: E731
    assert lint().exit_code == 0
    text = (world.folder / "connector.toml").read_text("utf-8")
    (world.folder / "connector.toml").write_text(
        text.replace(_TABLES[: _TABLES.index("[source")], ""), "utf-8"
    )
    found = lint()
    assert found.exit_code == 1
    assert "1 findings" in found.output
    assert f"warning: {world.folder / 'mapping/request.toml'}" in found.output
    assert "add [private]" in found.output
    mapping = world.folder / "mapping" / "request.toml"
    mapping.write_text(mapping.read_text("utf-8").partition("[private]")[0], "utf-8")
    assert lint().exit_code == 0
