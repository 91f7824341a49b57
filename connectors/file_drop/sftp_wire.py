"""Version 3 of the SFTP protocol: packets to bytes and back, nothing else.

Source: https://www.openssh.com/txt/draft-ietf-secsh-filexfer-02.txt, which OpenSSH's server speaks. Names are bytes on the
wire; here they are text, undecodable bytes kept as lone surrogates, so that every file can be named.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, STAT = 3, 4, 5, 6, 17
OPENDIR, READDIR, REMOVE, MKDIR, REALPATH, RENAME = 11, 12, 13, 14, 16, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED = 0, 1, 2, 3
FOR_READING, FOR_WRITING_ANEW = 0x01, 0x02 | 0x08 | 0x10
LARGEST_PACKET = 1 << 18  # what the draft wants everyone to take is less
PIECE = 1 << 15  # bytes asked for at once; every server must give so many

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000
_U32, _U64 = struct.Struct(">I"), struct.Struct(">Q")


class BadPacket(Exception):
    """What came is no SFTP."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Size in bytes, permissions with the type of the file, time of change in seconds since 1970."""

    size: int | None = None
    mode: int | None = None
    mtime: int | None = None


def number(value: int) -> bytes:
    """A 32-bit number."""
    return _U32.pack(value)


def long_number(value: int) -> bytes:
    """A 64-bit number."""
    return _U64.pack(value)


def text(value: str | bytes) -> bytes:
    """A string with its length."""
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return _U32.pack(len(raw)) + raw


def packet(kind: int, body: bytes) -> bytes:
    """A packet with its length."""
    return _U32.pack(len(body) + 1) + bytes((kind,)) + body


class Parts:
    """Reads the body of a packet from its start. Raises `BadPacket` when it is too short."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def _take(self, count: int) -> bytes:
        found = self._body[self._at : self._at + count]
        if len(found) < count:
            raise BadPacket(f"a packet of {len(self._body)} bytes, wanted more")
        self._at += count
        return found

    def number(self) -> int:
        """A 32-bit number."""
        return int(_U32.unpack(self._take(4))[0])

    def raw(self) -> bytes:
        """A string of bytes."""
        return self._take(self.number())

    def text(self) -> str:
        """A string."""
        return self.raw().decode("utf-8", "surrogateescape")

    def attributes(self) -> Attributes:
        """What is said of a file."""
        flags = self.number()
        size = mode = mtime = None
        if flags & _SIZE:
            size = int(_U64.unpack(self._take(8))[0])
        if flags & _OWNER:
            self._take(8)
        if flags & _MODE:
            mode = self.number()
        if flags & _TIMES:
            self._take(4)
            mtime = self.number()
        if flags & _EXTENDED:
            for _ in range(self.number()):
                self.raw()
                self.raw()
        return Attributes(size, mode, mtime)
