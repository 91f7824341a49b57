"""A PostgreSQL of the tests' own: started on a free loopback port, in a folder of its own, and stopped."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

USER = "alliance"


def bin_folder() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    config = shutil.which("pg_config")
    if config:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.insert(0, Path(told.stdout.strip()))
    found = shutil.which("initdb")
    if found:
        folders.append(Path(found).parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists()), None)


def _as_nobody_special(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as the user `postgres`, who gets the folder."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return [shutil.which("runuser") or "runuser", "-u", "postgres", "--"]


@contextmanager
def server(bin_folder: Path) -> Iterator[str]:
    """A server that exists as long as the context; gives its URL."""
    folder = Path(tempfile.mkdtemp(prefix="alliance-pg-", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prefix, data = _as_nobody_special(folder), str(folder / "data")

    def run(*command: str) -> None:
        # No pipes: the server would inherit them and keep them open.
        with (folder.parent / f"{folder.name}.log").open("ab") as log:
            subprocess.run(
                [*prefix, *command], check=True, cwd="/", stdout=log, stderr=log, timeout=120
            )

    try:
        run(
            f"{bin_folder}/initdb",
            "-D",
            data,
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run(
            f"{bin_folder}/pg_ctl",
            "-D",
            data,
            "-w",
            "-o",
            options,
            "-l",
            f"{folder}/server.log",
            "start",
        )
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            run(f"{bin_folder}/pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        (folder.parent / f"{folder.name}.log").unlink(missing_ok=True)


@contextmanager
def postgres() -> Iterator[str]:
    """A server for tests; gives its URL. Skips where PostgreSQL is not installed, and fails there where CI=true."""
    found = bin_folder()
    if found is None:
        reason = "no initdb and pg_ctl found; run: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with server(found) as url:
        yield url


@contextmanager
def emptied(url: str, connections: int = 12) -> Iterator[sa.Engine]:
    """An engine on the server's database, with nothing in it."""
    made = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+pg8000"), pool_size=connections
    )
    try:
        with made.begin() as db:
            db.exec_driver_sql("DROP SCHEMA public CASCADE")
            db.exec_driver_sql("CREATE SCHEMA public")
            db.exec_driver_sql("GRANT USAGE ON SCHEMA public TO PUBLIC")
        yield made
    finally:
        made.dispose()
