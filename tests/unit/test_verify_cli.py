"""The verifier's command line, its sources and its bar: what people and scripts see of the checks."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hub.verify import sources
from hub.verify.cli import COMMANDS, main
from hub.verify.outcome import MEANING, Code, Failure, failure_of, shortened
from hub.verify.progress import EVERY_S, FIRST_S, Progress
from hub.verify.recompute import INVARIANTS
from hub.verify.sources import Broker, Record, open_files
from schemas import topics
from schemas.envelope import KIND
from schemas.tlog.errors import BadTile
from schemas.tlog.merkle import consistency_proof
from schemas.tlog.tiles import TileReader
from schemas.tlog.witness import AddCheckpoint
from tests.support.ledger import HOME
from tests.support.verified_log import (
    alliance,
    alliance_toml,
    checkpoint_note,
    log_of,
    place_of,
    small_ledger,
    small_log,
    tiles_of,
    verify,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small log, with the configuration where it is looked for."""
    (tmp_path / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    monkeypatch.setenv("ALLIANCE_FILE", str(tmp_path / "alliance.toml"))
    small_log().write(tmp_path / "log")
    return tmp_path


# Words


@pytest.mark.parametrize("name", [*COMMANDS, ""])
def test_help_has_an_example_and_every_exit_code(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts rely on the codes, so they stand where the command is explained."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"] if name else ["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for code, meaning in MEANING.items():
        assert f"{int(code):2}  {meaning}" in text
    assert not name or COMMANDS[name].example in text


def test_every_code_has_a_meaning_of_its_own() -> None:
    """One class of finding, one code, one sentence; 1 stays Python's."""
    assert set(MEANING) == set(Code)
    assert len(set(MEANING.values())) == len(Code)
    assert 1 not in list(Code)


@pytest.mark.parametrize(
    "arguments",
    [[], ["nothing"], ["mirror"], ["replay", "--entries", "x", "--invariants", "I99"], ["mine", "--outbox", "x", "--at", "noon"]],
)  # fmt: skip
def test_what_is_no_command_is_usage(arguments: list[str], folder: Path) -> None:
    """Code 2, as every program of the shell."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == Code.USAGE
    assert folder


def test_people_read_sentences_and_the_fault_goes_to_standard_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is not lost in a pipe."""
    assert main(["mirror", "--tiles", str(folder / "log")]) == 0
    told = capsys.readouterr()
    assert told.out.endswith("ok\n")
    assert told.err == ""
    (folder / "log/tile/0/001").write_bytes(b"")
    assert main(["mirror", "--tiles", str(folder / "log")]) == Code.PROOF
    told = capsys.readouterr()
    assert MEANING[Code.PROOF] in told.err
    assert "tile/0/001: found 0 bytes, wanted 8192" in told.err


def test_every_invariant_is_told_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fourteen of the ledger's and five of the catalogue's here, one at the member."""
    assert main(["replay", "--entries", str(folder / "log")]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.split()[1]: line.split()[0] for line in lines if line.split()[0] in ("ok", "elsewhere") and len(line.split()) > 1}  # fmt: skip
    assert set(told) == set(INVARIANTS)
    assert [name for name, result in told.items() if result == "elsewhere"] == ["I16"]


def test_some_invariants_can_be_asked_for(folder: Path) -> None:
    """The others are said not to be asked, so that nobody takes silence for a yes."""
    code, values = verify("replay", "--entries", folder / "log", "--invariants", "I1, I12")
    assert code == 0
    results = {name: one["result"] for name, one in values["invariants"].items()}
    assert [name for name, result in results.items() if result == "ok"] == ["I1", "I8", "I12"]
    assert results["I9"] == "not asked"


def test_the_configuration_must_be_there(folder: Path, tmp_path: Path) -> None:
    """Whose signatures count is never guessed."""
    code, values = verify("mirror", "--tiles", folder / "log", "--alliance", tmp_path / "none.toml")
    assert code == Code.UNREADABLE
    assert "none.toml" in place_of(values)
    assert verify("mirror", "--tiles", tmp_path / "nowhere")[0] == Code.UNREADABLE


def test_an_unexpected_error_is_no_finding() -> None:
    """A fault of this program must not look like one of the ledger."""
    with pytest.raises(TypeError):
        failure_of(RuntimeError("x"))
    failure = failure_of(BadTile("tile/0/000", "a", "b"), "log")
    assert (failure.code, failure.place) == (Code.PROOF, "log: tile/0/000")
    assert shortened(b"\x01" * 900).endswith("(1800 characters)")


# The web


@pytest.fixture
def web(folder: Path) -> Iterator[str]:
    """The same files under an address."""
    handler = partial(_Quiet, directory=str(folder / "log"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    broken: Sequence[str] = ()

    def do_GET(self) -> None:
        if self.path in type(self).broken:
            self.send_error(503)
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


def test_a_log_is_verified_over_the_web(web: str, folder: Path) -> None:
    """Static files are enough; a missing one is told from a server that is unwell."""
    assert verify("mirror", "--tiles", f"{web}/")[0] == 0
    assert verify("replay", "--entries", web)[0] == 0
    (folder / "log/tile/entries/001").unlink()
    code, values = verify("mirror", "--tiles", web)
    assert code == Code.UNREADABLE
    assert f"{web}/tile/entries/001" in place_of(values)


def test_a_server_that_is_unwell_is_no_proof(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was found to be false."""
    monkeypatch.setattr(_Quiet, "broken", ("/tile/0/001",))
    code, values = verify("mirror", "--tiles", web)
    assert code == Code.UNREADABLE
    assert values["failure"]["found"] == "status 503"
    code, values = verify("mirror", "--tiles", "http://127.0.0.1:1")
    assert code == Code.UNREADABLE


def test_only_folders_and_web_addresses_are_read(tmp_path: Path) -> None:
    """file:// and whatever else a library would open."""
    for text in ("file:///etc", "ftp://host/log", str(tmp_path / "none")):
        with pytest.raises(Failure):
            open_files(text)


# The broker


def published(entries: Sequence[bytes], sizes: Sequence[int]) -> list[Record]:
    """Checkpoints as the signer publishes them: each with its proof from the one before, cosigned a little later."""
    tiles, files = tiles_of(entries)
    reader = TileReader(lambda path: files[path], tiles.size, tiles.root())
    out: list[Record] = []
    last = 0
    for size in sizes:
        proof = consistency_proof(last, size, reader.read_hash) if last else ()
        note = checkpoint_note(entries[:size], witnesses=())
        body = AddCheckpoint(last, proof, note).to_bytes()
        out.append((b"origin", body, ((KIND, b"checkpoint"),)))
        out.append((b"origin", checkpoint_note(entries[:size]), ((KIND, b"witnessed"),)))
        last = size
    return out


@pytest.fixture
def broker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Record]]:
    """Topics in memory."""
    entries = list(small_log().entries)
    held: dict[str, list[Record]] = {
        topics.LEDGER_ENTRIES: [(b"", value, ()) for value in entries],
        topics.CHECKPOINTS: published(entries, (100, 300, len(entries) - 5)),
    }
    monkeypatch.setattr(Broker, "records", lambda _, topic: iter(held[topic]))
    monkeypatch.setattr(Broker, "end", lambda _, topic: len(held[topic]))
    assert folder
    return held


def replay(*more: str) -> tuple[int, dict[str, Any]]:
    return verify("replay", "--entries", "kafka://hub:9092", *more)


def test_a_brokers_topics_are_recomputed_with_every_checkpoint(
    broker: dict[str, list[Record]],
) -> None:
    """Void records do not count, and what nobody cosigned yet is said to be so."""
    entries = broker[topics.LEDGER_ENTRIES]
    entries[3:3] = [(b"", b"junk", ()), entries[0], entries[5]]
    code, values = replay()
    assert code == 0, values
    assert (values["void"], values["behind_checkpoint"]) == (3, 5)
    assert values["checkpoint"]["size"] == values["entries"] - 5


def test_a_topic_that_lost_entries_is_found(broker: dict[str, list[Record]]) -> None:
    """Fewer than were signed for: dropped at the end, or from the middle, which voids all behind it."""
    del broker[topics.LEDGER_ENTRIES][-10:]
    assert replay()[0] == Code.PROOF
    del broker[topics.LEDGER_ENTRIES][50]
    code, values = replay()
    assert code == Code.PROOF
    assert values["failure"]["found"] == "50 entries that count"


def test_entries_under_another_root_are_found(broker: dict[str, list[Record]]) -> None:
    """Rules and signatures are content with another ledger of true events; the checkpoints are not (I13)."""
    ledger = small_ledger()
    other = log_of([written.value for written in ledger.entries][::-1])
    broker[topics.CHECKPOINTS] = published(other.entries, (100,))
    code, values = replay()
    assert (code, place_of(values)) == (Code.INVARIANT, "I13")
    assert values["invariants"]["I13"]["result"] == "broken"


def test_two_roots_for_one_size_are_equivocation(broker: dict[str, list[Record]]) -> None:
    """Both are in the topic, signed by the log."""
    other = published(list(reversed(small_log().entries)), (300,))
    broker[topics.CHECKPOINTS] += other[1:]
    assert replay()[0] == Code.EQUIVOCATION


def test_checkpoints_never_shrink(broker: dict[str, list[Record]]) -> None:
    """An old one published again."""
    broker[topics.CHECKPOINTS].append(broker[topics.CHECKPOINTS][0])
    code, values = replay()
    assert code == Code.INVARIANT
    assert place_of(values).startswith("I13")


def test_without_a_cosigned_checkpoint_nothing_is_claimed(broker: dict[str, list[Record]]) -> None:
    """Unless the log's own word is asked for."""
    broker[topics.CHECKPOINTS] = broker[topics.CHECKPOINTS][:1]
    assert replay()[0] == Code.UNREADABLE
    assert replay("--unwitnessed")[0] == 0


def test_the_newest_cosigned_checkpoint_must_meet_the_quorum(
    broker: dict[str, list[Record]],
) -> None:
    """An older one was cosigned by the quorum of its day; it is held to the log's signature and its root."""
    checkpoints, entries = broker[topics.CHECKPOINTS], small_log().entries
    weak = checkpoint_note(entries[:100], witnesses=(HOME,))
    checkpoints[1] = (b"origin", weak, ((KIND, b"witnessed"),))
    assert replay()[0] == 0
    weak = checkpoint_note(entries[:-5], witnesses=(HOME,))
    checkpoints[-1] = (b"origin", weak, ((KIND, b"witnessed"),))
    code, values = replay()
    assert code == Code.SIGNATURE
    assert f"record {len(checkpoints) - 1}" in place_of(values)


def test_a_broker_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    import builtins

    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "aiokafka":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Failure, match="pip install 'aiokafka"):
        sources._aiokafka()


# The bar


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_tells_rate_and_time_left() -> None:
    """At 500 a second, 1,000 of 3,000 done: four seconds more."""
    bar = Progress("reading", 3000, out=_Screen())
    bar.done = 1000
    assert bar.line(2.0) == "reading [########................] 1,000 of 3,000 (500/s), 4 s left"
    bar.total = 0
    assert bar.line(2.0) == "reading 1,000 (500/s)"


def test_the_bar_is_for_terminals_and_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a file, not for what is over at once; and it is taken away in the end."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for out, quiet in ((io.StringIO(), False), (_Screen(), True)):
        bar = Progress("reading", 10, quiet=quiet, out=out)
        now[0] += 60
        bar.add()
        bar.end()
        assert out.getvalue() == ""
    screen = _Screen()
    bar = Progress("reading", 10, out=screen)
    bar.add()
    assert screen.getvalue() == ""
    now[0] += FIRST_S + EVERY_S
    bar.add()
    assert "2 of 10" in screen.getvalue()
    bar.end()
    assert screen.getvalue().endswith("\r\x1b[K")
