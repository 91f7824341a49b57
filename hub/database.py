"""Engines for SQLite and PostgreSQL, opened alike wherever the hub keeps rows. Who keeps which tables is told elsewhere."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url

from hub.errors import SettingsError

BUSY_TIMEOUT_S = 10.0  # SQLite: how long one process waits while the other commits


def engine_of(database_url: str, variable: str, synchronous: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://...` (through pg8000). Creates nothing; the caller disposes it.

    `variable` is the setting that messages name, `synchronous` what SQLite does against a loss of power (NORMAL or FULL).
    Raises `SettingsError` for another database or a missing driver.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(url.set(drivername="postgresql+pg8000"), pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"{variable} names PostgreSQL but pg8000 is missing; "
                "run: pip install 'alliance-hub[postgres]'"
            ) from error
    if url.get_backend_name() != "sqlite":
        raise SettingsError(
            f"{variable} names {url.get_backend_name()!r}, wanted sqlite or postgresql"
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    def prepare(connection: Any, _record: object) -> None:
        # WAL lets others read while one writes.
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", prepare)
    return engine
