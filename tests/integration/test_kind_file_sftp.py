"""Files on an SFTP server: OpenSSH's own, started here on the loopback as an unprivileged process with keys of its own.

Needs ssh and sshd (Debian: `apt-get install openssh-client openssh-server`, `.ci/sshd.sh` does it). Without them the tests
are skipped, with the reason; where CI=true they fail.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connectors.file_drop.options import server_of
from connectors.file_drop.sftp import SftpFolder, ssh_command
from connectors.sdk.contract import ConfigError, NoPermission, Transient
from tests.support.kind_file import Drop

# The login the server runs as, and lets in. Not nobody: some machines call that one locked.
UNPRIVILEGED = "daemon" if os.getuid() == 0 else None
HEAD = "id,name\n"


@dataclass(slots=True)
class Sshd:
    """A server on the loopback that lets one key in. `files` is a folder of it, as seen here."""

    program: str
    base: Path
    port: int
    files: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self.base / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-D", "-e", "-f", str(self.base / "sshd_config")],
                user=UNPRIVILEGED, group=UNPRIVILEGED,
                extra_groups=[] if UNPRIVILEGED else None, stderr=log, cwd="/",
            )  # fmt: skip
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, (self.base / "log").read_text()
            time.sleep(0.05)
        pytest.fail("sshd did not listen")

    def stop(self) -> None:
        """Stop it; sessions that are open live on until their connection ends."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def location(self, inner: str = "") -> str:
        """The address of a folder."""
        user = UNPRIVILEGED or getpass.getuser()
        return f"sftp://{user}@127.0.0.1:{self.port}{self.files / inner}"


@pytest.fixture(scope="module")
def programs() -> str:
    """ssh is there; the path of sshd, which must be absolute."""
    if os.environ.get("CI") == "true":
        subprocess.run([str(Path(__file__).parents[2] / ".ci" / "sshd.sh")], check=False)
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        reason = (
            "no ssh or sshd on this machine; run: apt-get install openssh-client openssh-server"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(Path(found).resolve())


def new_key(path: Path) -> str:
    """A key pair; the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def sshd(programs: str) -> Iterator[Sshd]:
    """A server of this test's own."""
    base = Path(tempfile.mkdtemp(prefix="sshd-"))
    base.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Sshd(programs, base, port, base / "files")
    found.files.mkdir()
    host = new_key(base / "host")
    new_key(base / "other")
    (base / "authorized").write_text(new_key(base / "ours") + "\n")
    (base / "known_hosts").write_text(f"[127.0.0.1]:{port} {host}\n")
    (base / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {base / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {base / 'authorized'}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "Subsystem sftp internal-sftp\nLogLevel ERROR\n"
    )
    if UNPRIVILEGED:
        for path in (base / "host", found.files):
            shutil.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    found.files.chmod(0o777)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(base, ignore_errors=True)


def drop(sshd: Sshd, tmp_path: Path, **options) -> Drop:
    given = {"identity": str(sshd.base / "ours"), "known_hosts": str(sshd.base / "known_hosts")}
    it = Drop(tmp_path, pattern="*.csv", batch=2, **({"mode": "changes"} | given | options))
    it.folder = sshd.files
    it.options["location"] = sshd.location()
    return it


def folder(
    sshd: Sshd, inner: str = "", key: str = "ours", hosts: str = "known_hosts"
) -> SftpFolder:
    server = server_of(sshd.location(inner))
    return SftpFolder(server, ssh_command(server, sshd.base / key, sshd.base / hosts, 10), 10)


def fault_of(found: SftpFolder) -> Exception:
    async def story():
        try:
            return await found.check()
        except (ConfigError, Transient) as error:
            return error
        finally:
            await found.close()

    return asyncio.run(story())


def test_files_come_from_the_server_and_are_put_away_there(sshd, tmp_path):
    """As in a folder of this machine: told in order, archived, rejected with the reason, whatever their names."""
    it = drop(sshd, tmp_path)
    it.put("课程 'a' 1.csv", HEAD + "1,王小明\n2,b\n3,c\n")
    it.put("课程 'a' 2.csv", HEAD + "4,d\n5")
    items = it.life()
    assert [item.data["id"] for item in items] == ["1", "2", "3"]
    assert items[0].data["name"] == "王小明"
    assert it.names() == []
    assert it.archived() == ["课程 'a' 1.csv"]
    assert it.names("rejected") == ["课程 'a' 2.csv", "课程 'a' 2.csv.why.txt"]
    assert "half-written" in (it.folder / "rejected" / "课程 'a' 2.csv.why.txt").read_text("utf-8")
    assert "half-written" in it.said
    it.put("b.csv", HEAD + "6,e\n")
    assert [item.data["id"] for item in it.life()] == ["6"]


def test_a_full_export_is_compared_and_accepted_on_the_server(sshd, tmp_path):
    """The person who accepts has only the server's folder in reach."""
    it = drop(sshd, tmp_path, mode="full_snapshot", key="id")
    it.put("a.csv", HEAD + "".join(f"{n},x\n" for n in range(40)))
    assert len(it.life()) == 40
    it.put("a.csv", HEAD + "1,x\n")
    assert it.life() == []
    assert "39 of 40 keys" in it.said
    (it.folder / "rejected" / "a.csv").rename(it.folder / "a.csv.accept")
    assert len(it.life()) == 39
    assert it.said == ""


def test_a_growing_log_is_read_on_from_where_it_stood(sshd, tmp_path):
    """Only what is new goes over the line."""
    it = drop(sshd, tmp_path, mode="append")
    it.put("log.csv", HEAD + "1,a\n2,b\n")
    assert len(it.life()) == 2
    with (it.folder / "log.csv").open("a") as file:
        file.write("3,c\n4")
    (item,) = it.life()
    assert (item.data["id"], item.origin) == ("3", "file:log.csv#L4")


def test_a_large_file_arrives_byte_for_byte(sshd, tmp_path):
    """Many pieces are asked for at once, and a part of a file is a part of it."""
    data = os.urandom(3_000_017)
    (sshd.files / "big").write_bytes(data)

    async def story():
        found = folder(sshd)
        try:
            (entry,) = await found.entries()
            assert (entry.name, entry.size) == ("big", len(data))
            await found.fetch("big", tmp_path / "whole")
            await found.fetch("big", tmp_path / "part", 1_000_003, 700_001)
            await found.fetch("big", tmp_path / "behind", len(data) + 5, 10)
        finally:
            await found.close()

    asyncio.run(story())
    assert (tmp_path / "whole").read_bytes() == data
    assert (tmp_path / "part").read_bytes() == data[1_000_003:1_700_004]
    assert (tmp_path / "behind").read_bytes() == b""


def test_a_host_that_is_not_known_is_not_talked_to(sshd):
    """Whoever answers in its place would get the campus's files, or feed us others."""
    (sshd.base / "empty").write_text("")
    error = fault_of(folder(sshd, hosts="empty"))
    assert type(error) is ConfigError
    assert "known_hosts lacks" in str(error)
    other = " ".join((sshd.base / "other.pub").read_text().split()[:2])
    (sshd.base / "changed").write_text(f"[127.0.0.1]:{sshd.port} {other}\n")
    assert "another host key" in str(fault_of(folder(sshd, hosts="changed")))


def test_a_refused_key_a_missing_folder_and_a_missing_right_are_told_apart(sshd):
    """Each has another person who must act."""
    refused = fault_of(folder(sshd, key="other"))
    assert type(refused) is NoPermission
    assert "refuses our key" in str(refused)
    missing = fault_of(folder(sshd, "nowhere"))
    assert type(missing) is ConfigError
    assert "no such folder; correct location" in str(missing)
    closed = sshd.files / "closed"
    closed.mkdir(mode=0o000)
    if UNPRIVILEGED is None:
        assert type(fault_of(folder(sshd, "closed"))) is NoPermission
    else:
        shutil.chown(closed, "root", "root")
        assert "we may not list it" in str(fault_of(folder(sshd, "closed")))
    closed.chmod(0o700)


def test_a_server_that_goes_away_is_asked_again(sshd):
    """Campus servers restart at night; the same source goes on afterwards."""

    async def story():
        found = folder(sshd)
        try:
            assert "0 files" in await found.check()
            found._session._process.kill()  # the connection breaks under us
            sshd.stop()
            for _ in range(2):
                with pytest.raises(Transient, match="the connection is away"):
                    await found.check()
            sshd.start()
            assert "0 files" in await found.check()
        finally:
            await found.close()

    asyncio.run(story())


def test_without_the_program_it_is_named(sshd, monkeypatch):
    """A small container image often lacks it."""
    monkeypatch.setenv("PATH", str(sshd.files))
    error = fault_of(folder(sshd))
    assert type(error) is ConfigError
    assert "openssh-client" in str(error)
