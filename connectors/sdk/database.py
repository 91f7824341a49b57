"""A campus's relational database, as the SQL kinds use it: opening, one thread, and what an error means.

Owns the reading of database errors: which are worth another try, which need a person, which are about one row. Knows no
table. SQLAlchemy is in the extra `sql`, so it is imported when a database is opened and not before.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import Field, SecretStr, field_validator

from connectors.sdk.contract import ConfigError, ConnectorError, NoPermission, Options, Transient

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

T = TypeVar("T")

_DSN = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9_]+)?://")
# The server ends a statement after `timeout_s`; the socket gives up later, when not even that answer comes.
_SOCKET_GRACE_S = 5
# Between two statements of ours passes no time; a machine of ours that vanished must not hold the campus's rows.
_IDLE_MS = 60_000
_PG8000: Final = "postgresql+pg8000"


class DatabaseOptions(Options):
    """Options of every SQL kind; times in seconds.

    `dsn` is an SQLAlchemy URL. `tls` and `ca_file` are for PostgreSQL; other drivers take theirs in the URL.
    """

    dsn: SecretStr
    timeout_s: float = Field(default=10, gt=0)
    tls: bool = False
    ca_file: str | None = None

    @field_validator("dsn")
    @classmethod
    def _is_url(cls, value: SecretStr) -> SecretStr:
        if not _DSN.match(value.get_secret_value()):
            raise ValueError(
                "is no database URL; write for example postgresql://user:password@host/database or sqlite:///file.db"
            )
        return value

    @property
    def backend(self) -> str:
        """The kind of database by the URL: `postgresql`, `sqlite`, `mysql`, `mssql`, `oracle`."""
        scheme = self.dsn.get_secret_value().partition("://")[0]
        return {"mariadb": "mysql"}.get(name := scheme.partition("+")[0], name)


@runtime_checkable
class Stage(Protocol):
    """What a test puts in the place of the network (`Context.transport`): then work is done where it is asked for."""

    def opened(self, engine: Engine) -> None:
        """Called once for each engine, to make it fail on demand."""


def needs_extra(kind: str, error: ModuleNotFoundError) -> ConfigError:
    """The refusal to open a kind whose libraries are not installed."""
    return ConfigError(f"{kind}: {error.name} is missing; run: pip install 'alliance-hub[sql]'")


class Database:
    """One database of one source or sink. Drivers are synchronous, so work runs in one thread of its own, in turn.

    Work that has begun is not broken off by cancellation: its result is lost, as it is when a connection is lost after
    the commit. What works here must be able to be done again.
    """

    def __init__(
        self, options: DatabaseOptions, folder: Path, *, stage: Any = None, writes: bool = False
    ) -> None:
        self._options = options
        self._folder = folder
        self._stage = stage if isinstance(stage, Stage) else None
        self._writes = writes
        self._made: Engine | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "database") if self._stage is None else None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction, committed unless it raises.

        Raises `Transient`, `ConfigError` or `NoPermission`.
        """
        if self._thread is None:
            await asyncio.sleep(0)
            return self._guarded(work)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    async def close(self) -> None:
        """Let go of the connection, once what is under way has ended; does not wait for that, and may be called twice."""
        if self._thread is None:
            self._dispose()
            return
        if not self._closed:
            self._closed = True
            self._thread.submit(self._dispose)
            self._thread.shutdown(wait=False)

    def _dispose(self) -> None:
        if self._made is not None:
            self._made.dispose()

    def _guarded(self, work: Callable[[Connection], T]) -> T:
        from sqlalchemy.exc import SQLAlchemyError

        engine = self._engine()
        try:
            with _connected(engine) as connection, connection.begin():
                return work(connection)
        except (SQLAlchemyError, OSError) as error:
            found = fault_of(error)
            if found.verdict == "transient":
                engine.dispose()  # a connection in doubt is not used again
            raise told(found, shown(engine.url)) from error

    def _engine(self) -> Engine:
        if self._made is None:
            self._made = _open(self._options, self._folder, writes=self._writes)
            if self._stage is not None:
                self._stage.opened(self._made)
        return self._made


def _connected(engine: Engine) -> Connection:
    """A connection that answers: the one kept, or, if the server closed it since, a new one."""
    try:
        return engine.connect()
    except OSError:  # pg8000 says so of a connection that was reset, where other drivers raise an error of their own
        engine.dispose()
        return engine.connect()


def _open(options: DatabaseOptions, folder: Path, *, writes: bool) -> Engine:
    """An engine that connects when it is first used. Raises `ConfigError`."""
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(options.dsn.get_secret_value())
        if url.drivername == "postgresql":
            url = url.set(drivername=_PG8000)  # BSD; psycopg is LGPL and stays out of the runtime
        arguments: dict[str, Any] = {}
        if url.drivername == _PG8000:
            arguments = {
                "timeout": options.timeout_s + _SOCKET_GRACE_S,
                "application_name": "alliance-connector",
            }
            if options.tls:
                ca_file = folder / options.ca_file if options.ca_file else None
                arguments["ssl_context"] = ssl.create_default_context(cafile=ca_file)
        if url.get_backend_name() == "sqlite":
            arguments = {"timeout": options.timeout_s}
            url = _in_folder(url, folder)
        # One thread, one connection; a server that restarted in the night costs no failed step.
        engine = create_engine(
            url, connect_args=arguments, pool_size=1, max_overflow=0, pool_pre_ping=True
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"dsn: the driver {error.name} is missing; run: pip install 'alliance-hub[sql]' for PostgreSQL, "
            f"or pip install {error.name}"
        ) from error
    except (ArgumentError, NoSuchModuleError, TypeError) as error:
        raise ConfigError(
            f"dsn: no database can be opened by it ({type(error).__name__}); correct the URL, see the kind's README"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"ca_file: cannot read {options.ca_file}: {error}; put it there"
        ) from error
    if engine.dialect.name == "sqlite":
        # The driver would begin behind our back, and too late for savepoints:
        # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#pysqlite-serializable
        begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    if url.drivername == _PG8000:
        event.listen(engine, "connect", _postgres_limits(options.timeout_s))
    return engine


def _in_folder(url: URL, folder: Path) -> URL:
    """Paths are relative to the campus's folder. A file that is not there is not made: its name must be wrong."""
    name = url.database or ""
    if not name or name.startswith(("file:", ":memory:")):
        return url
    path = folder / name
    if not path.exists():
        raise ConfigError(f"dsn: there is no file {name}; name the database file of the campus")
    return url.set(database=str(path))


def _sqlite_connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _postgres_limits(timeout_s: float) -> Callable[[Any, object], None]:
    milliseconds = max(1, round(timeout_s * 1000))
    limits = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": _IDLE_MS,
    }

    def limit(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for name, value in limits.items():
            cursor.execute(f"SET {name} = {value}")
        cursor.close()
        connection.commit()  # else the pool's first rollback would take them back

    return limit


def shown(url: URL) -> str:
    """Where a database is, without user, password and path: this leaves the campus."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite {Path(url.database or ':memory:').name}"
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()} {url.host or 'localhost'}{port}/{url.database or ''}"


# What an error means ------------------------------------------------------------------------------------------------

Verdict = Literal["row", "transient", "permission", "config"]


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of a database: what it asks for, its code (no data) and the database's words (data, if about a row)."""

    verdict: Verdict
    code: str
    words: str


# https://www.postgresql.org/docs/current/errcodes-appendix.html, also SQL Server's and DB2's by ODBC. Longest prefix.
_BY_STATE: dict[str, Verdict] = {
    "08": "transient", "09": "row", "21": "row", "22": "row", "23": "row", "25006": "transient", "27": "row",
    "28": "permission", "3D": "config", "3F": "config", "40": "transient", "40002": "row", "42": "config",
    "42501": "permission", "44": "row", "53": "transient", "54": "row", "55": "transient", "57": "transient",
    "58": "transient", "P0": "row", "0A": "config", "HY": "transient", "XX": "transient",
}  # fmt: skip
# https://www.sqlite.org/rescode.html, the primary codes. Longest prefix.
_BY_SQLITE: dict[str, Verdict] = {
    "SQLITE_CONSTRAINT": "row", "SQLITE_MISMATCH": "row", "SQLITE_TOOBIG": "row", "SQLITE_BUSY": "transient",
    "SQLITE_LOCKED": "transient", "SQLITE_IOERR": "transient", "SQLITE_FULL": "transient", "SQLITE_PROTOCOL": "transient",
    "SQLITE_INTERRUPT": "transient", "SQLITE_NOMEM": "transient", "SQLITE_AUTH": "permission", "SQLITE_PERM": "permission",
    "SQLITE_READONLY": "permission", "SQLITE_CANTOPEN": "config", "SQLITE_ERROR": "config", "SQLITE_NOTADB": "config",
    "SQLITE_CORRUPT": "config",
}  # fmt: skip
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and client-error-reference.html
_BY_MYSQL: dict[int, Verdict] = {
    **dict.fromkeys((1040, 1053, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1836, 2002, 2003, 2006, 2013, 2055, 3024, 3572), "transient"),
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1370, 1698), "permission"),
    **dict.fromkeys((1049, 1054, 1064, 1136, 1146, 1305), "config"),
    **dict.fromkeys((1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1451, 1452, 1644, 3140, 3819), "row"),
}  # fmt: skip
# https://docs.oracle.com/en/error-help/db/ora-index.html
_BY_ORACLE: dict[int, Verdict] = {
    **dict.fromkeys((54, 60, 1013, 1033, 1034, 1089, 1090, 3113, 3114, 3135, 8177, 12170, 12537, 12541, 12547), "transient"),
    **dict.fromkeys((1017, 1031, 28000, 28001), "permission"),
    **dict.fromkeys((900, 904, 942, 12154, 12514), "config"),
    **dict.fromkeys((1, 1400, 1401, 1407, 1438, 1722, 2290, 2291, 2292, 12899), "row"),
    **dict.fromkeys(range(1840, 1862), "row"),
    **dict.fromkeys(range(20000, 21000), "row"),
}  # fmt: skip


def fault_of(error: BaseException) -> Fault:
    """What an error of the database asks for. An error nobody knows is tried again: nothing is dropped by that."""
    from sqlalchemy import exc

    if isinstance(error, exc.DBAPIError):
        return _by_driver(error)
    if isinstance(error, exc.StatementError):  # a value that the driver cannot send
        return Fault("row", "SQL_VALUE", str(error.orig or error))
    if isinstance(error, (exc.NoSuchTableError, exc.NoSuchColumnError)):
        return Fault("config", "SQL_NO_TABLE", f"no such table: {error}")
    return Fault("transient", f"SQL_{type(error).__name__}", type(error).__name__)


def _by_driver(error: Any) -> Fault:
    orig = error.orig
    first = orig.args[0] if getattr(orig, "args", ()) else None
    words = str(orig).splitlines()[0] if str(orig) else type(orig).__name__
    if isinstance(first, dict):  # pg8000: the fields of the server's message
        words = ": ".join(first[name] for name in ("M", "D") if first.get(name))
    state = _state(orig, first)
    if state:
        verdict = _longest(_BY_STATE, state)
        if verdict is not None:
            code = f"SQL_{state}"
            return Fault(verdict, code, words if verdict == "row" else str(_message(first, words)))
    name = getattr(orig, "sqlite_errorname", "")
    if name and (verdict := _longest(_BY_SQLITE, name)):
        return Fault(verdict, f"SQL_{name}", words)
    number = first if isinstance(first, int) else getattr(first, "code", None)
    if isinstance(number, int):
        table = _BY_ORACLE if getattr(first, "code", None) is not None else _BY_MYSQL
        if (known := table.get(number)) is not None:
            return Fault(known, f"SQL_{number}", words)
    return _by_class(error, number or name or state or type(orig).__name__, words)


def _by_class(error: Any, code: object, words: str) -> Fault:
    """By the driver's classes (PEP 249), when the code says nothing to us; then words may hold data."""
    from sqlalchemy import exc

    if isinstance(error, (exc.IntegrityError, exc.DataError)):
        return Fault("row", f"SQL_{code}", words)
    if isinstance(error, exc.ProgrammingError):
        return Fault("config", f"SQL_{code}", type(error).__name__)
    return Fault("transient", f"SQL_{code}", type(error).__name__)


def _state(orig: Any, first: Any) -> str:
    """The SQLSTATE, wherever the driver has it."""
    if isinstance(first, dict):
        return str(first.get("C", ""))
    for name in ("sqlstate", "pgcode"):
        if found := getattr(orig, name, None):
            return str(found)
    return first if isinstance(first, str) and re.fullmatch(r"[0-9A-Z]{5}", first) else ""


def _message(first: Any, words: str) -> str:
    """The server's sentence without its detail, which may repeat a row."""
    return first.get("M", words) if isinstance(first, dict) else words


def _longest(table: dict[str, Verdict], code: str) -> Verdict | None:
    found = max((known for known in table if code.startswith(known)), key=len, default=None)
    return None if found is None else table[found]


def told(fault: Fault, where: str) -> ConnectorError:
    """A fault of the whole database in words that may leave the campus."""
    if fault.verdict == "permission":
        return NoPermission(
            f"{where}: {fault.code}: {fault.words}; have access granted, or correct dsn"
        )
    if fault.verdict == "config":
        return ConfigError(
            f"{where}: {fault.code}: {fault.words}; correct table, columns or dsn, or have the table made"
        )
    if fault.verdict == "row":  # where no single row is at hand, e.g. a trigger that refuses a mark
        return ConfigError(
            f"{where}: {fault.code}: the database refuses this statement; look at its log"
        )
    return Transient(f"{where}: {fault.code}: {fault.words}; is that database up and reachable?")
