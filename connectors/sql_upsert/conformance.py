"""Campuses for the conformance suite: tables in an SQLite file that fails on demand and refuses what it is told to."""

from __future__ import annotations

import sqlite3

from connectors.sdk.testing import Case
from connectors.sql_outbox.conformance import FAULTS, CampusFile

_TABLES = """
CREATE TABLE hub_applied (sink TEXT, delivery_key TEXT, ledger_seq INTEGER, at TIMESTAMP, PRIMARY KEY (sink, delivery_key));
CREATE TABLE hub_in (delivery_key TEXT PRIMARY KEY, kind TEXT NOT NULL, event TEXT NOT NULL, event_id TEXT NOT NULL,
  outcome TEXT, subject TEXT NOT NULL, version INTEGER, ledger_seq INTEGER, body TEXT NOT NULL, brought_at TIMESTAMP NOT NULL);
CREATE TABLE requests (enrollment_id TEXT PRIMARY KEY, event_id TEXT NOT NULL, state TEXT, version INTEGER NOT NULL);
CREATE TABLE told (number INTEGER PRIMARY KEY, delivery_key TEXT NOT NULL);
CREATE TRIGGER told_in AFTER INSERT ON hub_in BEGIN INSERT INTO told (delivery_key) VALUES (new.delivery_key); END;
CREATE TRIGGER told_in_again AFTER UPDATE ON hub_in BEGIN INSERT INTO told (delivery_key) VALUES (new.delivery_key); END;
CREATE TRIGGER told_request AFTER INSERT ON requests BEGIN
  INSERT INTO told (delivery_key) VALUES ('event:' || new.event_id || ':'); END;
CREATE TRIGGER told_request_again AFTER UPDATE ON requests BEGIN
  INSERT INTO told (delivery_key) VALUES ('event:' || new.event_id || ':'); END;
"""
_REFUSE = """
CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN poisoned(new.event_id) BEGIN
  SELECT RAISE(ABORT, 'no such course'); END;
"""


def _campus(more: str = "") -> Case:
    told: list[str] = []
    poison: set[str] = set()

    def connected(db: sqlite3.Connection) -> None:
        db.create_function("poisoned", 1, lambda event_id: event_id in poison)

    campus = CampusFile(_TABLES + _REFUSE.format(table="hub_in") + _REFUSE.format(table="requests"))
    campus.connected = connected

    def read() -> None:
        told[:] = [
            row[0] for row in campus.execute("SELECT delivery_key FROM told ORDER BY number")
        ]

    campus.each_commit = read
    tables = f"""
[sink.campus]
kind = "sql_upsert"
dsn = "sqlite:///{campus.path}"
batch = 50
{more}
"""
    return Case(
        tables,
        transport=campus,
        told=told,
        poison=poison,
        faults=(*FAULTS, "lost answer"),
        fault=campus.fault,
    )


_OWN_TABLE = """
[sink.campus.tables."enrollment.requested"]
table = "requests"
key = ["enrollment_id"]
version = "version"
columns = { enrollment_id = "record.enrollment_id", event_id = "eventId", state = "'requested'", version = "record.envelope.aggregate_version" }
"""

CASES = {"one table for all": _campus, "a table of its own": lambda: _campus(_OWN_TABLE)}
