"""Technology transfer: research results that we speak for, and our shares in those of others.

One owner speaks for all. It takes a step when the ledger has applied the one before; the others hear of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from connectors.sandbox.desk import (
    Case,
    Contradiction,
    Desk,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import shapes_technology as shapes
from connectors.sandbox.offices.shapes_common import data, parts, text, thousandths
from connectors.sandbox.offices.shapes_technology import Owners
from connectors.sandbox.rules import choose
from connectors.sandbox.seeds import make_id
from connectors.sandbox.shapes import Body
from connectors.sandbox.store import Change, Effect

TABLES = """
-- owners: as the ledger holds them, [[member, thousandths of a percent], ...]; body: of our own, as last published.
CREATE TABLE achievement (
  achievement_id TEXT PRIMARY KEY, owner TEXT NOT NULL, owners TEXT NOT NULL, body TEXT, state TEXT, doing TEXT,
  cause TEXT
) STRICT;
"""
EFFECTS = (Effect("achievement", "state", "achievement_id", "NEW.state || ' ' || NEW.owners"),)
RESOURCES: Mapping[str, str] = {"achievement": "transfer.achievement-changed"}

SECOND_RESULT_SHARE = 0.3
FROM_PROJECT_SHARE = 0.6

_TO_CONTRACT = ("disclosed", "published", "negotiating", "signed", "registered")
_TO_INCOME = (*_TO_CONTRACT, "implemented", "income_shared", "income_shared")
_SOLD = "share sold"  # an owner leaves; the status stays
# What the results go through, by the member's place in the alliance: each way is taken whatever the seed.
_WAYS = (
    _TO_INCOME,
    ("disclosed", "published", "negotiating", _SOLD, *_TO_INCOME[3:]),
    _TO_INCOME[:6],
    ("disclosed", "published", "withdrawn"),
    _TO_INCOME,
    _TO_CONTRACT,
    ("disclosed", "published", "negotiating", "withdrawn"),
    _TO_INCOME[:3],
    _TO_INCOME,
    ("disclosed", "withdrawn"),
)
_ENDED = (*_TO_CONTRACT, "terminated")  # one in the alliance: of the first member

_READINESS = {"published": 4, "negotiating": 5, "signed": 6, "implemented": 8, "income_shared": 9}
_VISIBILITY = ("owners", "members", "public")
_CONTRACTS = (("license", "license"), ("assignment", "assignment"), ("joint", "development"))
_BANDS = ("under_10", "10_100", "100_1000")
_ALL = 100_000  # thousandths of a percent
_REGISTERS = {
    "Sichuan": "510100",
    "Chongqing": "500100",
}  # codes of the cities that register contracts


def disclose(desk: Desk) -> None:
    """Tell of one or two results, some of joint projects; the rest follows step by step."""
    count = 1 + (desk.draw("results", desk.code) < SECOND_RESULT_SHARE)
    for number in range(count):
        achievement_id = make_id(str(desk.seed), desk.code, "achievement", str(number))
        results = data("achievements.toml")["achievement"]
        result = results[int(desk.draw("result", achievement_id) * len(results))]
        project = _project(desk, achievement_id)
        shares = _shares(desk, achievement_id, project)
        body = shapes.achievement(
            achievement_id,
            result,
            _numbers(desk, achievement_id, result["kind"]),
            shares,
            project["project_id"] if project else None,
            choose(_VISIBILITY, (4, 4, 2), desk.draw("visibility", achievement_id)),
        )
        desk.db.execute(
            "INSERT INTO achievement VALUES (?, ?, ?, NULL, NULL, NULL, NULL)",
            (achievement_id, desk.code, json.dumps(shares)),
        )
        _publish(desk, achievement_id, body, "disclosed", None)


def _project(desk: Desk, achievement_id: str) -> sqlite3.Row | None:
    """A joint project under way that the result came from, for some."""
    if desk.draw("from-project", achievement_id) >= FROM_PROJECT_SHARE:
        return None
    rows = desk.store.all("SELECT * FROM project WHERE status = 'active' ORDER BY project_id")
    return rows[int(desk.draw("project", achievement_id) * len(rows))] if rows else None


def _shares(desk: Desk, achievement_id: str, project: sqlite3.Row | None) -> list[tuple[str, int]]:
    """We and one to three others, partners in the project where there is one."""
    members = project["members"].split(",") if project else desk.members
    others = sorted(
        (member for member in members if member != desk.code),
        key=lambda member: desk.draw("owner", achievement_id, member),
    )
    others = others[: 1 + int(desk.draw("owners", achievement_id) * 3)]
    weights = [2 + int(desk.draw("share", achievement_id, desk.code) * 3)]
    weights += [1 + int(desk.draw("share", achievement_id, member) * 2) for member in others]
    return list(zip([desk.code, *others], parts(_ALL, weights), strict=True))


def _numbers(desk: Desk, achievement_id: str, kind: str) -> list[str]:
    """Numbers as the registers give them; a secret has none."""
    serial = 1_000_000 + int(desk.draw("serial", achievement_id) * 8_999_999)
    year = desk.day().year
    if kind == "software":
        return [f"{year}SR{serial}"]
    return [f"CN{year}1{serial}.{serial % 10}"] if kind in ("patent", "design") else []


def _publish(
    desk: Desk,
    achievement_id: str,
    body: Body,
    step: str,
    because: str | None,
    *,
    mark: bool = True,
) -> None:
    """Tell of a result as it now stands; whoever owned a share until now hears of it once more."""
    row = _known(desk, achievement_id)
    told = {member for member, _ in _owners(row)}
    told |= {owner["organization"] for owner in body["owners"]}
    desk.publish(
        "achievement",
        achievement_id,
        body,
        step=step,
        to=told if body["visibility"] == "owners" else desk.others(),
        case=achievement_id,
        because=because,
    )
    if mark:
        desk.db.execute(
            "UPDATE achievement SET doing = ? WHERE achievement_id = ?", (step, achievement_id)
        )


def _known(desk: Desk, achievement_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM achievement WHERE achievement_id = ?", achievement_id)
    if row is None:
        raise Contradiction(f"result {achievement_id} is not here; restore it from a backup")
    return row


def _owners(row: sqlite3.Row) -> list[tuple[str, int]]:
    return [(member, share) for member, share in json.loads(row["owners"])]


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """On to the next step of the way, when the ledger has applied the one before."""
    desk.db.execute(
        "UPDATE achievement SET doing = NULL WHERE achievement_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if not settled.applied:
        return
    body = change.data
    owners = [(owner["organization"], round(owner["percent"] * 1000)) for owner in body["owners"]]
    desk.db.execute(
        "UPDATE achievement SET owners = ?, body = ?, state = ?, cause = ? WHERE achievement_id = ?",
        (json.dumps(owners), change.body, body["state"], change.event_id, change.subject),
    )
    way = _way(desk, change.subject)
    taken = desk.store.count(  # this one, too
        "SELECT count(*) FROM change WHERE subject = ? AND outcome = 'applied'", change.subject
    )
    if taken < len(way):
        changed = _next(desk, body, owners, way[taken], taken)
        _publish(desk, change.subject, changed, way[taken], change.event_id)


def _way(desk: Desk, achievement_id: str) -> tuple[str, ...]:
    place = sorted(desk.members).index(desk.code)
    if achievement_id != make_id(str(desk.seed), desk.code, "achievement", "0"):
        return choose(_WAYS, [1] * len(_WAYS), desk.draw("way", achievement_id))
    return _WAYS[place % len(_WAYS)] if place else _ENDED


def _next(desk: Desk, body: Body, owners: Owners, step: str, taken: int) -> Body:
    """The result after the next step."""
    if step == _SOLD:
        return body | {"owners": shapes.owners(_sold(owners))}
    changed = body | {
        "state": step,
        "readinessLevel": _READINESS.get(step, body["readinessLevel"]),
        "distribution": [],
    }
    if step in ("signed", "registered"):
        changed["contract"] = _contract(desk, body["achievementId"], step)
    if step == "income_shared":
        changed["distribution"] = shapes.distribution(_income(desk, body, owners, taken))
    return changed


def _sold(owners: Owners) -> Owners:
    """The owner named last sells its share to the one who speaks for all."""
    (first, share), *others, (_, sold) = owners
    return [(first, share + sold), *others]


def _contract(desk: Desk, achievement_id: str, step: str) -> Body:
    mode, kind = choose(_CONTRACTS, (5, 2, 3), desk.draw("contract", achievement_id))
    register = _REGISTERS.get(desk.site.region, "510100")
    serial = int(desk.draw("register", achievement_id) * 900_000) + 100_000
    partners: list[str] = data("achievements.toml")["partners"]["zh"]
    partner = partners[int(desk.draw("taker", achievement_id) * len(partners))]
    return {
        "mode": mode,
        "kind": kind,
        "registrationNumber": f"{desk.day().year}-{register}-{serial}"
        if step == "registered"
        else None,
        "partner": f"{desk.site.city}{partner}",
        "region": desk.site.region,
        "amountBand": choose(_BANDS, (3, 5, 2), desk.draw("band", achievement_id)),
    }


def _income(desk: Desk, body: Body, owners: Owners, taken: int) -> Owners:
    """A distribution by shares, in thousandths of a yuan; the rest of the division goes to us."""
    yuan = 20_000 + 1000 * int(desk.draw("income", body["achievementId"], str(taken)) * 380)
    amounts = parts(yuan * 1000, [share for _, share in owners])
    return [(member, amount) for (member, _), amount in zip(owners, amounts, strict=True)]


def _received(desk: Desk, told: Received) -> None:
    said = told.record
    owners = [(owner["member"], thousandths(owner["share_percent"])) for owner in said["owners"]]
    desk.db.execute(
        "INSERT INTO achievement VALUES (?, ?, ?, NULL, ?, NULL, ?) ON CONFLICT (achievement_id) DO UPDATE SET "
        "owners = excluded.owners, state = excluded.state, cause = excluded.cause",
        (said["achievement_id"], said["owner"], json.dumps(owners), said["status"], told.event_id),
    )


def err(desk: Desk) -> None:
    """A mistake: shares that do not add up to the whole."""
    row = desk.store.one(
        "SELECT * FROM achievement WHERE owner = ? AND state NOT IN ('withdrawn', 'terminated') ORDER BY 1",
        desk.code,
    )
    if row:
        (first, share), *others = _owners(row)
        body: dict[str, Any] = json.loads(row["body"])
        wrong = body | {"owners": shapes.owners([(first, share + 5000), *others])}
        _publish(desk, row["achievement_id"], wrong, row["state"], row["cause"], mark=False)


def _cases(desk: Desk) -> list[Case]:
    """Results in which we have a share; of others we may have heard, too."""
    found: list[Case] = []
    for row in desk.store.all("SELECT * FROM achievement WHERE state IS NOT NULL"):
        owners = sorted(_owners(row))
        if desk.code in dict(owners):
            shares = ", ".join(f"{member} {text(share)}%" for member, share in owners)
            found.append(
                {
                    "kind": "achievement",
                    "id": row["achievement_id"],
                    "summary": f"{row['state']} {shares}",
                }
            )
    return found


PHASES: Mapping[str, Phase] = {"achievements": disclose, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {"transfer.achievement-changed": _received}
SETTLES: Mapping[str, Settle] = {"achievement": _settled}
CASES = _cases
