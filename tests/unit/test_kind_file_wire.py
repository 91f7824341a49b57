"""The SFTP connection without a server: the command line that opens it, packets, and programs that answer nonsense."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from connectors.file_drop import sftp_wire as wire
from connectors.file_drop.options import server_of
from connectors.file_drop.sftp import SftpFolder, ssh_command
from connectors.sdk.contract import ConfigError, NoPermission, Transient

SERVER = server_of("sftp://hub@files.example:2222/export/courses")


def fault_of(program: str, timeout_s: float = 5) -> Exception:
    """What a listing comes to where this Python program stands for ssh."""

    async def story():
        folder = SftpFolder(SERVER, [sys.executable, "-c", program], timeout_s)
        try:
            await folder.entries()
        except (ConfigError, Transient) as error:
            return error
        finally:
            await folder.close()
        raise AssertionError("no fault")

    return asyncio.run(story())


def test_the_command_asks_nothing_and_trusts_no_unknown_host():
    """A prompt would hang the connector; a host taken on trust could be anybody."""
    command = ssh_command(SERVER, Path("/keys/our key"), Path("/keys/known_hosts"), 30)
    assert command[:3] == ["ssh", "-T", "-x"]
    assert "BatchMode=yes" in command
    assert "StrictHostKeyChecking=yes" in command
    assert "UserKnownHostsFile=/keys/known_hosts" in command
    assert "GlobalKnownHostsFile=/dev/null" in command
    assert "ServerAliveInterval=15" in command
    assert 'IdentityFile="/keys/our key"' in command
    assert command[-8:] == ["-p", "2222", "-l", "hub", "-s", "--", "files.example", "sftp"]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("sftp://files.example/export", "/export"),
        ("sftp://files.example/~/export", "export"),
        ("sftp://files.example", "."),
    ],
)
def test_a_path_is_absolute_or_begins_at_the_login_s_folder(location, path):
    """Some servers show each login a root of its own, others the whole disk."""
    assert server_of(location).path == path


@pytest.mark.parametrize(
    ("words", "verdict", "said"),
    [
        ("Host key verification failed.", ConfigError, "known_hosts lacks"),
        ("hub@files.example: Permission denied (publickey).", NoPermission, "refuses our key"),
        ("subsystem request failed on channel 0", ConfigError, "offers no SFTP"),
        ("WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermission denied", ConfigError, "chmod 600"),
        (
            "ssh: connect to host files.example port 22: Connection refused",
            Transient,
            "Connection refused",
        ),
    ],
)
def test_what_ssh_complains_of_is_told_as_what_to_do(words, verdict, said):
    """ssh ends with 255 whatever it was; its words are all there is."""
    error = fault_of(f"import sys; sys.stderr.write({words!r}); sys.exit(255)")
    assert type(error) is verdict
    assert said in str(error)


def test_a_greeting_instead_of_sftp_is_recognized():
    """A login shell that prints a welcome breaks every file program; people look for hours."""
    error = fault_of(
        "print('Welcome to the campus file server, have a nice day', flush=True); input()"
    )
    assert "greeting" in str(error)


def test_a_server_that_is_silent_is_left():
    """A firewall that drops packets must not hold the connector for ever."""
    assert "no answer within 0.2 s" in str(fault_of("import time; time.sleep(60)", 0.2))


def test_a_packet_that_is_too_short_is_no_packet():
    """Whatever a broken server sends, the connector says so and goes on later."""
    with pytest.raises(wire.BadPacket):
        wire.Parts(b"\0\0\0\5abc").raw()
    with pytest.raises(wire.BadPacket):
        wire.Parts(b"\0").number()


def test_what_is_said_of_a_file_is_found_behind_what_else_is_said():
    """Servers send owners and extensions as they like; size and time stand between them."""
    flags = wire.number(0x1 | 0x2 | 0x4 | 0x8 | 0x80000000)
    body = (
        flags
        + wire.long_number(5_000_000_000)
        + wire.number(1)
        + wire.number(2)
        + wire.number(0o100644)
    )
    body += (
        wire.number(7)
        + wire.number(8)
        + wire.number(1)
        + wire.text("a@b")
        + wire.text("c")
        + wire.text("next")
    )
    parts = wire.Parts(body)
    assert parts.attributes() == wire.Attributes(5_000_000_000, 0o100644, 8)
    assert parts.text() == "next"


def test_names_that_are_no_utf_8_can_still_be_named():
    """A file named in GBK is listed, fetched and moved under the very bytes it has."""
    raw = "课程.csv".encode("gbk")
    name = wire.Parts(wire.text(raw)).text()
    assert wire.text(name) == wire.text(raw)
