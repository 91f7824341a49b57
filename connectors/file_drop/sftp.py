"""A folder on an SFTP server. OpenSSH's own `ssh` is the connection; what goes over it is in `sftp_wire`.

Owns the session (one, kept while it works, opened anew after any fault) and what a fault of the server means. Host keys
are checked strictly, and nothing is ever asked for: a login that would need a password is refused.
"""

from __future__ import annotations

import asyncio
import posixpath
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from connectors.file_drop import sftp_wire as wire
from connectors.file_drop.folder import Entry
from connectors.file_drop.options import Server
from connectors.sdk.contract import ConfigError, NoPermission, Transient

T = TypeVar("T")
_WINDOW = 16  # pieces asked for before the first answer: distance costs little then
_NO_ATTRIBUTES = wire.number(0)
_SAID_AT_MOST = 4_000  # bytes of ssh's own words that are looked at
# What ssh says (its standard error, in English) and what it means. The first that fits counts.
_FAULTS: Sequence[tuple[str, type[ConfigError] | type[Transient], str]] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", ConfigError,
     "shows another host key than known_hosts has; ask its operators whether they changed it, then correct known_hosts"),
    ("Host key verification failed", ConfigError,
     "shows a host key that known_hosts lacks; get it from its operators and add it (ssh-keyscan shows it, unproven)"),
    ("UNPROTECTED PRIVATE KEY FILE", ConfigError,
     "is not asked: others can read the key named in identity; run: chmod 600 on it"),
    ("Permission denied", NoPermission,
     "refuses our key; give its operators the public half, or correct identity and the user in location"),
    ("Too many authentication failures", NoPermission,
     "refuses our keys; name the right one in identity"),
    ("subsystem request failed", ConfigError, "offers no SFTP; ask its operators for the subsystem sftp"),
    ("Bad configuration option", ConfigError, "is not asked: ssh's own configuration is wrong; correct ~/.ssh/config"),
)  # fmt: skip


def ssh_command(
    server: Server, identity: Path | None, known_hosts: Path | None, timeout_s: float
) -> list[str]:
    """The command line of the connection. What stands here wins over the user's configuration of ssh."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": str(max(1, round(timeout_s))),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "ClearAllForwardings": "yes",
        "LogLevel": "ERROR",
    }
    if known_hosts is not None:
        options |= {"UserKnownHostsFile": str(known_hosts), "GlobalKnownHostsFile": "/dev/null"}
    if identity is not None:
        options |= {"IdentitiesOnly": "yes", "IdentityFile": str(identity)}
    command = ["ssh", "-T", "-x"]
    for name, value in options.items():
        command += ["-o", f"{name}={_quoted(value)}"]
    if server.port is not None:
        command += ["-p", str(server.port)]
    if server.user is not None:
        command += ["-l", server.user]
    return [*command, "-s", "--", server.host, "sftp"]


def _quoted(value: str) -> str:
    """ssh splits the values of its options at spaces, and reads % as the start of a placeholder."""
    value = value.replace("%", "%%")
    return f'"{value}"' if " " in value else value


class Refused(Exception):
    """The server's no to one request, with its status code."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said or f"status {code}")
        self.code = code


class _Session:
    """One `ssh` process and the requests on it. After any error it is of no more use."""

    def __init__(self, process: asyncio.subprocess.Process, words: IO[bytes]) -> None:
        self._process = process
        self._words = words
        self._number = 0

    @classmethod
    async def open(cls, command: Sequence[str]) -> _Session:
        words = tempfile.TemporaryFile()  # noqa: SIM115, closed with the session
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=words,
                limit=wire.LARGEST_PACKET * 2,
            )  # fmt: skip
        except BaseException:
            words.close()
            raise
        return cls(process, words)

    async def start(self) -> None:
        """Agree on the version."""
        await self._send(wire.packet(wire.INIT, wire.number(3)))
        kind, parts = await self._receive()
        if kind != wire.VERSION or parts.number() < 3:
            raise wire.BadPacket("no version 3")

    async def ask(self, kind: int, body: bytes) -> tuple[int, wire.Parts]:
        """One request and its answer. Raises `Refused` when that is a status other than OK."""
        return await self.answer(await self.send(kind, body))

    async def send(self, kind: int, body: bytes) -> int:
        """A request; the number its answer will have."""
        self._number += 1
        await self._send(wire.packet(kind, wire.number(self._number) + body))
        return self._number

    async def answer(self, number: int) -> tuple[int, wire.Parts]:
        """The next answer, which must be that one: OpenSSH answers in order, and so do the others that were tried."""
        kind, parts = await self._receive()
        if parts.number() != number:
            raise wire.BadPacket("an answer to another question")
        if kind == wire.STATUS and (code := parts.number()) != wire.OK:
            raise Refused(code, parts.text())
        return kind, parts

    async def _send(self, data: bytes) -> None:
        if self._process.stdin is None:
            raise wire.BadPacket("no input")
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def _receive(self) -> tuple[int, wire.Parts]:
        if self._process.stdout is None:
            raise wire.BadPacket("no output")
        length = int.from_bytes(await self._process.stdout.readexactly(4))
        if not 1 <= length <= wire.LARGEST_PACKET:
            raise wire.BadPacket("no SFTP packet, perhaps a greeting of the login's shell")
        body = await self._process.stdout.readexactly(length)
        return body[0], wire.Parts(body[1:])

    async def said(self) -> str:
        """What ssh complained of. Waits until it has ended."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 2)
        self._words.seek(0)
        return self._words.read(_SAID_AT_MOST).decode("utf-8", "replace")

    async def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._words.close()


class SftpFolder:
    """A folder of an SFTP server. `command` opens the connection."""

    def __init__(self, server: Server, command: Sequence[str], timeout_s: float) -> None:
        self._server = server
        self._command = command
        self._timeout_s = timeout_s
        self._session: _Session | None = None
        self._at = f"sftp://{server.host}"

    async def check(self) -> str:
        found = await self.entries()
        return f"{self._at}: {len(found)} files in {self._server.path}"

    async def entries(self, inner: str = "") -> list[Entry]:
        async with self._asking("list", inner or self._server.path) as session:
            try:
                return await self._entries(session, inner)
            except Refused as error:
                if inner and error.code == wire.NO_SUCH_FILE:
                    return []
                raise

    async def fetch(
        self, name: str, target: Path, start: int = 0, count: int | None = None
    ) -> None:
        async with self._asking("read", name) as session:
            body = wire.text(self._path(name)) + wire.number(wire.FOR_READING) + _NO_ATTRIBUTES
            _, parts = await self._in_time(session.ask(wire.OPEN, body))
            handle = wire.text(parts.raw())
            with target.open("wb") as copy:
                await self._read(session, handle, copy, start, count)
            await self._in_time(session.ask(wire.CLOSE, handle))

    async def move(self, name: str, to: str) -> None:
        await self._make_folders(posixpath.dirname(to))
        async with self._asking("move", name) as session:
            body = wire.text(self._path(name)) + wire.text(self._path(to))
            try:
                await self._in_time(session.ask(wire.RENAME, body))
            except Refused as error:
                if error.code != wire.NO_SUCH_FILE:
                    raise

    async def write(self, name: str, text: str) -> None:
        await self._make_folders(posixpath.dirname(name))
        async with self._asking("write", name) as session:
            how = wire.number(wire.FOR_WRITING_ANEW) + _NO_ATTRIBUTES
            _, parts = await self._in_time(
                session.ask(wire.OPEN, wire.text(self._path(name)) + how)
            )
            handle = wire.text(parts.raw())
            raw = text.encode()
            for at in range(0, len(raw), wire.PIECE):
                piece = wire.long_number(at) + wire.text(raw[at : at + wire.PIECE])
                await self._in_time(session.ask(wire.WRITE, handle + piece))
            await self._in_time(session.ask(wire.CLOSE, handle))

    async def remove(self, name: str) -> None:
        async with self._asking("delete", name) as session:
            try:
                await self._in_time(session.ask(wire.REMOVE, wire.text(self._path(name))))
            except Refused as error:
                if error.code != wire.NO_SUCH_FILE:
                    raise

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _path(self, name: str) -> str:
        return posixpath.join(self._server.path, name)

    async def _in_time(self, asked: Awaitable[T]) -> T:
        async with asyncio.timeout(self._timeout_s):
            return await asked

    @asynccontextmanager
    async def _asking(self, what: str, name: str) -> AsyncIterator[_Session]:
        """The session for some requests. Whatever else than a plain no goes wrong ends it; says what a fault means."""
        try:
            yield self._session or await self._open()
        except Refused as error:
            raise self._told(error, what, name) from error
        except wire.BadPacket as error:
            await self.close()
            raise self._meant("", str(error)) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            said = await self._session.said() if self._session else ""
            await self.close()
            raise self._meant(said, str(error)) from error
        except TimeoutError as error:
            await self.close()
            raise Transient(
                f"{self._at}: no answer within {self._timeout_s:g} s; look at the server and the network"
            ) from error
        except OSError as error:
            await self.close()
            raise Transient(
                f"{self._at}: cannot copy {name} to this machine: {error.strerror}; look at our disk"
            ) from error
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> _Session:
        try:
            self._session = await _Session.open(self._command)
        except FileNotFoundError as error:
            raise ConfigError(
                "there is no program ssh; install it (Debian: apt-get install openssh-client)"
            ) from error
        await self._in_time(self._session.start())
        return self._session

    def _told(self, error: Refused, what: str, name: str) -> Exception:
        at = f"{self._at}: {name}"
        if error.code == wire.PERMISSION_DENIED:
            return NoPermission(f"{at}: we may not {what} it; give our login there the right to")
        if error.code == wire.NO_SUCH_FILE:
            if name == self._server.path:
                return ConfigError(f"{at}: no such folder; correct location, or make it")
            return Transient(f"{at}: vanished while it was read; the folder is looked at again")
        return Transient(f"{at}: cannot {what} it: {error}; look at the server's disk")

    def _meant(self, said: str, error: str) -> Exception:
        for words, verdict, meaning in _FAULTS:
            if words in said:
                return verdict(f"{self._at}: {meaning}")
        last = (said.strip().splitlines() or [error])[-1]
        return Transient(
            f"{self._at}: the connection is away: {last}; look at the server and the network"
        )

    async def _entries(self, session: _Session, inner: str) -> list[Entry]:
        _, parts = await self._in_time(session.ask(wire.OPENDIR, wire.text(self._path(inner))))
        handle = wire.text(parts.raw())
        found: list[Entry] = []
        while True:
            try:
                _, parts = await self._in_time(session.ask(wire.READDIR, handle))
            except Refused as error:
                if error.code != wire.EOF:
                    raise
                break
            for _ in range(parts.number()):
                name, _, about = parts.text(), parts.text(), parts.attributes()
                if about.mode is None or stat.S_ISREG(about.mode):
                    found.append(Entry(name, about.size or 0, float(about.mtime or 0)))
        await self._in_time(session.ask(wire.CLOSE, handle))
        return found

    async def _read(
        self, session: _Session, handle: bytes, copy: IO[bytes], start: int, count: int | None
    ) -> None:
        """Pieces in windows. A server may give less than was asked for: then the next window begins there."""
        at, stop = start, None if count is None else start + count
        while stop is None or at < stop:
            end = (
                at + _WINDOW * wire.PIECE if stop is None else min(stop, at + _WINDOW * wire.PIECE)
            )
            asked = [(first, min(wire.PIECE, end - first)) for first in range(at, end, wire.PIECE)]
            numbers = [
                await self._in_time(
                    session.send(wire.READ, handle + wire.long_number(first) + wire.number(size))
                )
                for first, size in asked
            ]
            contiguous, ended = True, False
            for number, (_, size) in zip(numbers, asked, strict=True):
                try:
                    _, parts = await self._in_time(session.answer(number))
                except Refused as error:
                    if error.code != wire.EOF:
                        raise
                    ended = ended or contiguous
                    contiguous = False
                    continue
                piece = parts.raw()
                if contiguous:
                    copy.write(piece)
                    at += len(piece)
                    contiguous = len(piece) == size
            if ended:
                return

    async def _make_folders(self, inner: str) -> None:
        """Each folder on the way; one that is there already is refused, and that is fine."""
        made = ""
        for name in inner.split("/") if inner else ():
            made = posixpath.join(made, name)
            async with self._asking("make", made) as session:
                with suppress(Refused):
                    await self._in_time(
                        session.ask(wire.MKDIR, wire.text(self._path(made)) + _NO_ATTRIBUTES)
                    )
