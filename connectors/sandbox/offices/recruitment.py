"""Recruitment: posts that we want to fill, alone or with other members, at the alliance's joint fair.

Counts of people only. The recruiter takes a step when the ledger has applied the one before; all members hear of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from connectors.sandbox.desk import (
    Case,
    Desk,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import shapes_recruitment as shapes
from connectors.sandbox.offices.shapes_common import data
from connectors.sandbox.offices.shapes_recruitment import Counts
from connectors.sandbox.rules import choose
from connectors.sandbox.seeds import make_id
from connectors.sandbox.shapes import Body
from connectors.sandbox.store import Change, Effect

TABLES = """
-- body: of our own, as the ledger holds it.
CREATE TABLE posting (
  posting_id TEXT PRIMARY KEY, recruiter TEXT NOT NULL, members TEXT NOT NULL, headcount INTEGER NOT NULL,
  accepted INTEGER NOT NULL, body TEXT, state TEXT, doing TEXT, cause TEXT
) STRICT;
"""
EFFECTS = (Effect("posting", "state, accepted", "posting_id", "NEW.state || ' ' || NEW.accepted"),)
RESOURCES: Mapping[str, str] = {"posting": "talent.posting-changed"}

SECOND_POST_SHARE = 0.5
JOINT_SHARE = 0.5
OPEN_DAYS = 45

# What the posts go through, by the member's place in the alliance: each way is taken whatever the seed. Open twice:
# the first counts come.
_WAYS = (
    ("planned", "open", "open", "closed", "filled"),
    ("open", "open", "closed", "filled"),
    ("planned", "open", "open", "closed"),
    ("planned", "open"),
    ("planned", "cancelled"),
    ("planned", "open", "open", "closed", "filled"),
    ("planned",),
    ("open", "open", "cancelled"),
    ("planned", "open", "closed", "cancelled"),
    ("open", "open"),
)


def plan(desk: Desk) -> None:
    """Tell of one or two posts, some of several members together; the rest follows step by step."""
    count = 1 + (desk.draw("posts", desk.code) < SECOND_POST_SHARE)
    for number in range(count):
        posting_id = make_id(str(desk.seed), desk.code, "posting", str(number))
        posts = data("posts.toml")["vacancy"]
        body = shapes.posting(
            posting_id,
            posts[int(desk.draw("vacancy", posting_id) * len(posts))],
            _together(desk, posting_id),
            1 + int(desk.draw("headcount", posting_id) * 3),
            f"{desk.day().year}年成渝高校联合引才大会",
            (desk.day(), desk.day(OPEN_DAYS)),
        )
        desk.db.execute(
            "INSERT INTO posting VALUES (?, ?, ?, ?, 0, NULL, NULL, NULL, NULL)",
            (posting_id, desk.code, ",".join(body["organizations"]), body["headcount"]),
        )
        first = _way(desk, posting_id)[0]
        _publish(desk, body | {"state": first}, None)


def _together(desk: Desk, posting_id: str) -> list[str]:
    """We, and one to three others at a joint post."""
    if desk.draw("joint", posting_id) >= JOINT_SHARE:
        return [desk.code]
    others = sorted(desk.others(), key=lambda member: desk.draw("with", posting_id, member))
    return sorted([desk.code, *others[: 1 + int(desk.draw("joint-many", posting_id) * 3)]])


def _way(desk: Desk, posting_id: str) -> tuple[str, ...]:
    place = sorted(desk.members).index(desk.code)
    if posting_id == make_id(str(desk.seed), desk.code, "posting", "0"):
        return _WAYS[place % len(_WAYS)]
    return choose(_WAYS, [1] * len(_WAYS), desk.draw("way", posting_id))


def _publish(desk: Desk, body: Body, because: str | None, *, mark: bool = True) -> None:
    desk.publish(
        "posting",
        body["postingId"],
        body,
        step=body["state"],
        to=desk.others(),
        case=body["postingId"],
        because=because,
    )
    if mark:
        desk.db.execute(
            "UPDATE posting SET doing = ? WHERE posting_id = ?", (body["state"], body["postingId"])
        )


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """On to the next step of the way, when the ledger has applied the one before."""
    desk.db.execute(
        "UPDATE posting SET doing = NULL WHERE posting_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if not settled.applied:
        return
    body = change.data
    desk.db.execute(
        "UPDATE posting SET accepted = ?, body = ?, state = ?, cause = ? WHERE posting_id = ?",
        (body["counts"]["accepted"], change.body, change.step, change.event_id, change.subject),
    )
    way, taken = _way(desk, change.subject), _taken(desk, change.subject)
    if taken < len(way):
        counts = _counts(desk, body, way[taken])
        _publish(desk, shapes.counted(body, way[taken], counts), change.event_id)


def _taken(desk: Desk, posting_id: str) -> int:
    """How many steps of the way are behind."""
    return desk.store.count(
        "SELECT count(*) FROM change WHERE subject = ? AND outcome = 'applied'", posting_id
    )


def _counts(desk: Desk, body: Body, state: str) -> Counts:
    """How many applied, were interviewed, got an offer and accepted when the post comes into a state."""
    before = shapes.counts(body)
    wanted, posting_id = body["headcount"], body["postingId"]
    applied = wanted * (6 + int(desk.draw("applied", posting_id) * 20))
    if state == "open":
        return (applied * 2 // 3, 0, 0, 0) if body["state"] == "open" else before
    if state == "closed":
        early = int(desk.draw("early", posting_id) * wanted)
        return (applied, wanted * 3, wanted, early)
    if state == "filled":
        return (applied, wanted * 3, wanted + 1, max(before[-1], wanted - (wanted > 2), 1))
    return before


def _received(desk: Desk, told: Received) -> None:
    said = told.record
    desk.db.execute(
        "INSERT INTO posting VALUES (?, ?, ?, ?, ?, NULL, ?, NULL, ?) ON CONFLICT (posting_id) DO UPDATE SET "
        "members = excluded.members, headcount = excluded.headcount, accepted = excluded.accepted, "
        "state = excluded.state, cause = excluded.cause",
        (
            said["posting_id"],
            said["recruiter"],
            ",".join(said["members"]),
            said["headcount"],
            said["accepted"],
            said["status"],
            told.event_id,
        ),
    )


def err(desk: Desk) -> None:
    """A mistake: more accepted than there are posts."""
    row = desk.store.one(
        "SELECT * FROM posting WHERE recruiter = ? AND state IN ('open', 'closed') ORDER BY 1",
        desk.code,
    )
    if row:
        _publish(desk, shapes.overfilled(row["body"]), row["cause"], mark=False)


def _cases(desk: Desk) -> list[Case]:
    """Posts that we recruit for; of the others we have heard, too."""
    rows = desk.store.all("SELECT * FROM posting WHERE state IS NOT NULL")
    return [_case(row) for row in rows if desk.code in row["members"].split(",")]


def _case(row: sqlite3.Row) -> Case:
    return {
        "kind": "posting",
        "id": row["posting_id"],
        "summary": f"{row['state']} {row['accepted']} of {row['headcount']} accepted",
    }


PHASES: Mapping[str, Phase] = {"postings": plan, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {"talent.posting-changed": _received}
SETTLES: Mapping[str, Settle] = {"posting": _settled}
CASES = _cases
