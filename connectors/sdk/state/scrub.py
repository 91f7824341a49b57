"""What was deleted from an SQLite file is taken out of its free pages and of its log, too."""

from __future__ import annotations

import sqlite3


def scrubbed(db: sqlite3.Connection) -> bool:
    """Rewrite the file and empty its log. False when another process is at it: then nothing is promised, try again later.

    Source: https://www.sqlite.org/lang_vacuum.html and https://www.sqlite.org/pragma.html#pragma_wal_checkpoint.
    """
    try:
        db.execute("VACUUM")
        busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError:
        return False
    return not busy
