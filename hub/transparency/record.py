"""What the log signed last: one row for each log, changed only from what the signer believes to what it is about to sign.

Owns the table and the compare-and-set. A signer that loses it has not signed. Source of the idea: Sunlight, which keeps its
newest checkpoint so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from hub.database import engine_of
from hub.errors import HubError, RetryLater
from hub.ledger.head import GENESIS, Head
from schemas.tlog.merkle import EMPTY_ROOT

NO_OFFSET = -1  # of a log without entries

metadata = MetaData()
signed = Table(
    "signed",
    metadata,
    Column("origin", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("head_offset", BigInteger, nullable=False),
)


class AnotherSigner(HubError):
    """Someone else signs for this log. Whoever gets this has not signed and must not."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A tree that is or will be signed, and where its last entry stands in `ledger.entries`."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    head_hash: bytes = GENESIS.hash
    head_offset: int = NO_OFFSET

    @property
    def head(self) -> Head:
        """The ledger's head at this size: a leaf's index is its seq less one."""
        return Head(self.size, self.head_hash)

    def named(self) -> str:
        """Size and root, for messages."""
        return f"size {self.size} with root {self.root.hex()}"


class SignerRecord:
    """The record of one log."""

    def __init__(self, engine: Engine, origin: str) -> None:
        self._engine = engine
        self._origin = origin

    def newest(self) -> Signed:
        """What was signed last; the empty tree for a new log."""
        with self._working() as connection:
            found = connection.execute(
                select(signed).where(signed.c.origin == self._origin)
            ).first()
        if found is None:
            return self._first()
        return Signed(found.size, found.root, found.head_hash, found.head_offset)

    def _first(self) -> Signed:
        nothing = Signed()
        try:
            with self._working() as connection:
                connection.execute(insert(signed).values(origin=self._origin, **_columns(nothing)))
        except (
            IntegrityError
        ):  # a second signer was quicker; the compare-and-set decides between the two
            return self.newest()
        return nothing

    def advance(self, old: Signed, new: Signed) -> None:
        """Replace `old` by `new`. Raises `AnotherSigner` when the record is not `old` any more."""
        with self._working() as connection:
            changed = connection.execute(
                update(signed)
                .where(signed.c.origin == self._origin)
                .where(signed.c.size == old.size, signed.c.root == old.root)
                .values(**_columns(new))
            ).rowcount
        if changed != 1:
            raise AnotherSigner(
                f"the signer's record of {self._origin} is at {self.newest().named()}, wanted {old.named()}; "
                "another signer works for this log: stop one of the two and start the other again"
            )

    @contextmanager
    def _working(self) -> Iterator[Connection]:
        """A connection whose changes are stored together. Raises `RetryLater` when the database does not answer."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise RetryLater(
                f"the signer's record cannot be used ({str(error.orig)[:200]}); "
                "make ALLIANCE_SIGNER_DATABASE reachable and start the signer again"
            ) from error


def _columns(at: Signed) -> dict[str, Any]:
    return {
        "size": at.size,
        "root": at.root,
        "head_hash": at.head_hash,
        "head_offset": at.head_offset,
    }


@contextmanager
def open_record(database_url: str, origin: str) -> Iterator[SignerRecord]:
    """The record in `sqlite:///file` or `postgresql://...`; its table is made where it is missing.

    Raises `SettingsError` for another database.
    """
    engine = _engine(database_url)
    try:
        metadata.create_all(engine)
        yield SignerRecord(engine, origin)
    finally:
        engine.dispose()


def _engine(database_url: str) -> Engine:
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # A record that falls back with the machine's power would let the log sign a size twice.
    return engine_of(database_url, "ALLIANCE_SIGNER_DATABASE", "FULL")
