"""Credit: results of other members' students, corrections, and the recognition of own students' results at home."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta

from connectors.sandbox import rules, shapes
from connectors.sandbox.desk import (
    Contradiction,
    Desk,
    Flag,
    Flagged,
    Holdings,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import admissions
from connectors.sandbox.rules import Mark, Ruling
from connectors.sandbox.seeds import TERM_ENDS, make_id, rule_set
from connectors.sandbox.store import Change, Effect

TABLES = """
CREATE TABLE award (
  award_id TEXT PRIMARY KEY, enrollment_id TEXT, placement_id TEXT, student_id TEXT NOT NULL, home TEXT NOT NULL,
  host TEXT NOT NULL, title TEXT NOT NULL, scheme TEXT NOT NULL, credit_milli INTEGER NOT NULL,
  first_milli INTEGER NOT NULL, result TEXT NOT NULL, notation TEXT NOT NULL, grade TEXT NOT NULL, state TEXT, doing TEXT,
  recognition_id TEXT, recognition_state TEXT, award_event TEXT, cause TEXT
) STRICT;
CREATE INDEX award_recognition ON award (recognition_id);

CREATE TABLE recognition (
  recognition_id TEXT PRIMARY KEY, number INTEGER NOT NULL, student_id TEXT NOT NULL, awards TEXT NOT NULL,
  course_code TEXT NOT NULL, course_milli INTEGER, category TEXT NOT NULL, overlap INTEGER NOT NULL, state TEXT,
  doing TEXT, recognized_milli INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, cause TEXT
) STRICT;
CREATE INDEX recognition_student ON recognition (student_id);
"""
EFFECTS = (
    Effect(
        "award",
        "state, credit_milli, result",
        "award_id",
        "NEW.state || ' ' || NEW.credit_milli",
    ),
    Effect(
        "award",
        "recognition_state",
        "award_id",
        "'recognition ' || NEW.recognition_state",
        on_insert=False,
    ),
    Effect("recognition", "state", "recognition_id", "NEW.state || ' ' || NEW.recognized_milli"),
)
RESOURCES: Mapping[str, str] = {
    "result": "credit.awarded",
    "result-correction": "credit.award-corrected",
    "recognition-request": "credit.recognition-requested",
    "recognition-decision": "credit.recognition-decided",
}

AMENDED_BEFORE_SHARE = 0.03
AMENDED_AFTER_SHARE = 0.02
REVOKED_SHARE = 0.004
PACKAGE_SHARE = 0.4  # of the students with two results: both together replace one home course
EARNED_SHARE = 0.03  # of the wanted home courses: the student has it already
MAX_ATTEMPTS = 3  # at one decision, when awards keep changing under it
ELECTIVE = (
    "GX"  # home courses that stand for electives taken elsewhere, each with a number of its own
)

DUE_DAYS = 28  # two stages of two weeks each
APPEAL_DAYS = 15


def report_results(desk: Desk) -> None:
    """The term is over: every student who stayed gets a result, passed or not."""
    for enrollment in admissions.active(desk):
        _report(desk, enrollment)


def _report(desk: Desk, enrollment: sqlite3.Row) -> None:
    award_id = make_id("award", enrollment["enrollment_id"])
    offering = desk.store.one(
        "SELECT o.body, o.in_force, c.body AS course, c.scheme, c.credit_milli, c.title FROM offering o "
        "JOIN course c USING (course_id) WHERE o.offering_id = ?",
        enrollment["offering_id"],
    )
    if offering is None:
        return
    day = TERM_ENDS - timedelta(days=1 + int(desk.draw("assessed", award_id) * 10))
    admissions.finish(desk, enrollment, TERM_ENDS)
    mark = rules.mark(desk.site.notation, rules.percent_drawn(desk.seed, award_id))
    award = {
        "award_id": award_id,
        "enrollment_id": enrollment["enrollment_id"],
        "placement_id": None,
        "student_id": enrollment["student_id"],
        "home": enrollment["home"],
        "host": desk.code,
        "title": offering["title"],
        "scheme": offering["scheme"],
        "credit_milli": offering["credit_milli"],
    }
    body = shapes.result(
        award,
        mark,
        json.loads(offering["in_force"] or offering["body"]),
        json.loads(offering["course"]),
        day,
    )
    event_id = desk.publish(
        "result",
        award_id,
        body,
        step="awarded",
        to=[enrollment["home"]],
        case=enrollment["enrollment_id"],
        because=enrollment["cause"],
    )
    enter(desk, award, mark, event_id)


def enter(desk: Desk, award: Mapping[str, object], mark: Mark, event_id: str) -> None:
    """Note a result given here, of a course or a placement, that waits for the ledger's word."""
    row = {
        **award,
        "first_milli": award["credit_milli"],
        "result": "passed" if mark.passed else "failed",
        "notation": mark.notation,
        "grade": mark.label,
        "award_event": event_id,
    }
    desk.db.execute(
        "INSERT INTO award (award_id, enrollment_id, placement_id, student_id, home, host, title, scheme, credit_milli, "
        "first_milli, result, notation, grade, doing, award_event) VALUES (:award_id, :enrollment_id, :placement_id, "
        ":student_id, :home, :host, :title, :scheme, :credit_milli, :first_milli, :result, :notation, :grade, 'awarded', "
        ":award_event)",
        row,
    )


def regrade(desk: Desk) -> None:
    """Before recognition: appeals, slips of the pen, a fraud found out."""
    for award in _awarded_here(desk):
        chance = desk.draw("regrade", award["award_id"])
        if chance < REVOKED_SHARE:
            _revoke(desk, award)
        elif chance < REVOKED_SHARE + AMENDED_BEFORE_SHARE:
            _amend(desk, award)


def correct_late(desk: Desk) -> None:
    """After recognition: the ledger applies and flags it; home has to look again, nobody decides for it."""
    for award in _awarded_here(desk):
        if award["result"] != "passed":
            continue
        chance = desk.draw("late", award["award_id"])
        if chance < REVOKED_SHARE / 2:
            _revoke(desk, award)
        elif chance < REVOKED_SHARE / 2 + AMENDED_AFTER_SHARE:
            _amend(desk, award)


def _awarded_here(desk: Desk) -> list[sqlite3.Row]:
    return desk.store.all(
        "SELECT * FROM award WHERE host = ? AND state = 'awarded' AND doing IS NULL ORDER BY award_id",
        desk.code,
    )


def _amend(desk: Desk, award: sqlite3.Row) -> None:
    """A better grade on appeal, or a clerical error in the credits."""
    percent = rules.to_percent(award["notation"], award["grade"])
    if award["result"] == "passed" and desk.draw("clerical", award["award_id"]) < 0.4:
        credit_milli, reason = award["credit_milli"] + 500, "clerical"
    else:
        percent = max(percent + 6, rules.PASS_MARK)
        credit_milli, reason = award["credit_milli"], "regrade"
    mark = rules.mark(award["notation"], min(percent, 100))
    _correct(desk, award, mark, credit_milli, "amended", reason)


def amend_by_id(desk: Desk, award_id: str) -> None:
    """Correct one result given here, unless a correction of it is under way."""
    award = desk.store.one(
        "SELECT * FROM award WHERE award_id = ? AND state = 'awarded' AND doing IS NULL", award_id
    )
    if award:
        _amend(desk, award)


def _revoke(desk: Desk, award: sqlite3.Row) -> None:
    _correct(desk, award, rules.mark(award["notation"], 0), 0, "revoked", "misconduct")


def _correct(
    desk: Desk, award: sqlite3.Row, mark: Mark, credit_milli: int, kind: str, reason: str
) -> None:
    desk.publish(
        "result-correction",
        award["award_id"],
        shapes.correction(award, mark, credit_milli, kind, reason, TERM_ENDS + timedelta(days=20)),
        step=kind,
        to=[award["home"]],
        case=award["enrollment_id"] or award["placement_id"],
        corrects=award["award_event"],
    )
    desk.db.execute("UPDATE award SET doing = ? WHERE award_id = ?", (kind, award["award_id"]))


def request_recognition(desk: Desk) -> None:
    """Open a case for each passed result of an own student; sometimes two results replace one home course."""
    rows = desk.store.all(
        "SELECT * FROM award WHERE home = ? AND host != ? AND state = 'awarded' AND result = 'passed' "
        "AND recognition_id IS NULL ORDER BY student_id, scheme, award_id",
        desk.code,
        desk.code,
    )
    for group in _grouped(desk, rows):
        _open(desk, group)


def _grouped(desk: Desk, rows: Sequence[sqlite3.Row]) -> list[list[sqlite3.Row]]:
    groups: list[list[sqlite3.Row]] = []
    for row in rows:
        last = groups[-1] if groups else []
        same = len(last) == 1 and all(
            last[0][name] == row[name] for name in ("student_id", "scheme")
        )
        if same and desk.draw("package", row["student_id"]) < PACKAGE_SHARE:
            last.append(row)
        else:
            groups.append([row])
    return groups


def _open(desk: Desk, awards: Sequence[sqlite3.Row]) -> None:
    first = awards[0]
    wanted = _wanted(desk, awards)
    code = wanted["code"] if wanted else f"{ELECTIVE}{first['award_id'][:8]}"
    row = {
        "recognition_id": make_id("recognition", *(award["award_id"] for award in awards)),
        "number": 1 + desk.store.count("SELECT count(*) FROM recognition"),
        "student_id": first["student_id"],
        "awards": json.dumps([award["award_id"] for award in awards]),
        "course_code": code,
        "course_milli": wanted["credit_milli"] if wanted else None,
        "category": "required" if wanted else "elective",
        "overlap": rules.overlap_drawn(
            desk.seed, desk.code, first["title"], same_title=wanted is not None
        ),
    }
    desk.db.execute(
        "INSERT INTO recognition (recognition_id, number, student_id, awards, course_code, course_milli, category, "
        "overlap, doing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'requested')",
        tuple(row.values()),
    )
    for award in awards:
        desk.db.execute(
            "UPDATE award SET recognition_id = ? WHERE award_id = ?",
            (row["recognition_id"], award["award_id"]),
        )
    _publish_request(desk, row, awards)


def _publish_request(desk: Desk, row: Mapping[str, object], awards: Sequence[sqlite3.Row]) -> None:
    ids = [award["award_id"] for award in awards]
    desk.publish(
        "recognition-request",
        str(row["recognition_id"]),
        shapes.recognition_request(row, ids, desk.day(), desk.day(DUE_DAYS)),
        step="requested",
        to=[award["host"] for award in awards],
        case=str(row["recognition_id"]),
        because=awards[0]["award_event"],
    )


def _wanted(desk: Desk, awards: Sequence[sqlite3.Row]) -> sqlite3.Row | None:
    """The home course to be replaced: that of the same title, for a package the nearest in credits; None for an elective.

    A course that another case of the student stands for already is not wanted twice.
    """
    if awards[0]["scheme"] != "cn_credit":
        return None
    taken = [
        row[0]
        for row in desk.store.all(
            "SELECT course_code FROM recognition WHERE student_id = ?", awards[0]["student_id"]
        )
    ]
    if len(awards) > 1:
        total = sum(award["credit_milli"] for award in awards)
        courses = desk.store.all(
            "SELECT code, credit_milli FROM course ORDER BY abs(credit_milli - ?), code", total
        )
    else:
        courses = desk.store.all(
            "SELECT code, credit_milli FROM course WHERE title = ? ORDER BY code",
            awards[0]["title"],
        )
    return next((course for course in courses if course["code"] not in taken), None)


def _awards_of(desk: Desk, recognition: sqlite3.Row) -> list[sqlite3.Row]:
    rows = [
        desk.store.one("SELECT * FROM award WHERE award_id = ?", award_id)
        for award_id in json.loads(recognition["awards"])
    ]
    return [row for row in rows if row is not None]


def _counts(award: sqlite3.Row) -> bool:
    return bool(
        award["state"] == "awarded" and award["result"] == "passed" and award["credit_milli"]
    )


def _rule(
    desk: Desk, recognition: sqlite3.Row, awards: Sequence[sqlite3.Row], original: int
) -> Ruling:
    if original == 0:
        return Ruling("negative", 0, "elective", "award_revoked")
    earned = recognition["category"] == "required" and (
        desk.draw("earned", recognition["student_id"], recognition["course_code"]) < EARNED_SHARE
    )
    ruling = rules.recognize(
        recognition["course_milli"], original, recognition["overlap"], already_earned=earned
    )
    if len(awards) > 1 and ruling.outcome == "positive":
        return Ruling(ruling.outcome, ruling.milli, ruling.category, "package_substitution")
    return ruling


def _decide(desk: Desk, recognition: sqlite3.Row, stage: str, because: str) -> None:
    """Publish the decision of a stage on the awards as they are now known.

    A sloppy academic affairs office decides from the first transcript; when that was corrected since, the ledger
    refuses and the office decides again.
    """
    awards = _awards_of(desk, recognition)
    original = sum(award["credit_milli"] for award in awards if _counts(award))
    if (
        stage == "academic_affairs"
        and recognition["attempts"] == 0
        and rules.is_sloppy(desk.seed, desk.code)
    ):
        original = sum(award["first_milli"] for award in awards if _counts(award))
    ruling = _rule(desk, recognition, awards, original)
    percents = [rules.to_percent(award["notation"], award["grade"]) for award in awards]
    faculty = stage == "faculty"
    decided = desk.day()
    desk.publish(
        "recognition-decision",
        recognition["recognition_id"],
        shapes.recognition_decision(
            recognition,
            awards,
            ruling,
            rules.mark(desk.site.notation, sum(percents) // len(percents)),
            original,
            stage,
            f"{'院' if faculty else '教务'}〔{decided.year}〕{recognition['number']}号",
            decided,
            None if faculty else desk.day(APPEAL_DAYS),
            rule_set(desk.site)[:2],
        ),
        step=stage,
        to=[award["host"] for award in awards],
        case=recognition["recognition_id"],
        because=because,
    )
    desk.db.execute(
        "UPDATE recognition SET doing = ? WHERE recognition_id = ?",
        (stage, recognition["recognition_id"]),
    )


def err(desk: Desk) -> None:
    """Mistakes: a second case for one award, and an award for a course that another member teaches."""
    used = desk.store.one(
        "SELECT a.* FROM award a JOIN recognition r USING (recognition_id) WHERE a.home = ? AND a.state = 'awarded' "
        "AND a.result = 'passed' AND r.state IN ('positive', 'partially_positive') ORDER BY a.award_id LIMIT 1",
        desk.code,
    )
    if used:
        again = {
            "recognition_id": make_id("recognition", "again", used["award_id"]),
            "student_id": used["student_id"],
            "course_code": f"{ELECTIVE}{used['award_id'][:8]}",
            "category": "elective",
        }
        desk.db.execute(
            "INSERT INTO recognition (recognition_id, number, student_id, awards, course_code, category, overlap, doing) "
            "VALUES (:recognition_id, 0, :student_id, '[]', :course_code, :category, 0, 'requested')",
            again,
        )
        _publish_request(desk, again, [used])
    foreign = desk.store.one(
        "SELECT * FROM enrollment WHERE home = ? AND state = 'finished' ORDER BY enrollment_id LIMIT 1",
        desk.code,
    )
    course = desk.store.one(
        "SELECT body, scheme, credit_milli FROM course ORDER BY course_id LIMIT 1"
    )
    if foreign and course:
        _award_foreign(desk, foreign, course)


def _award_foreign(desk: Desk, enrollment: sqlite3.Row, course: sqlite3.Row) -> None:
    award = {
        "award_id": make_id("award", "foreign", enrollment["enrollment_id"]),
        "enrollment_id": enrollment["enrollment_id"],
        "student_id": enrollment["student_id"],
        "home": desk.code,
        "host": desk.code,
        "scheme": course["scheme"],
        "credit_milli": course["credit_milli"],
    }
    offering = {"offeringId": enrollment["offering_id"], "startDate": TERM_ENDS.isoformat()}
    body = shapes.result(
        award, rules.mark(desk.site.notation, 80), offering, json.loads(course["body"]), TERM_ENDS
    )
    desk.publish(
        "result", award["award_id"], body, step="awarded", to=[], case=enrollment["enrollment_id"]
    )


def award_settled(desk: Desk, change: Change, settled: Settled) -> None:
    if settled.applied:
        desk.db.execute(
            "UPDATE award SET state = 'awarded', doing = NULL, cause = ? WHERE award_id = ?",
            (change.event_id, change.subject),
        )
    else:
        desk.db.execute("UPDATE award SET doing = NULL WHERE award_id = ?", (change.subject,))


def _correction_settled(desk: Desk, change: Change, settled: Settled) -> None:
    desk.db.execute("UPDATE award SET doing = NULL WHERE award_id = ?", (change.subject,))
    if not settled.applied:
        return
    body = change.data
    _take_correction(
        desk,
        change.subject,
        change.event_id,
        change.step,
        round(body["studyLoad"]["value"] * 1000),
        body["pass"],
        body["score"],
    )


def _take_correction(
    desk: Desk, award_id: str, event_id: str, kind: str, milli: int, result: str, grade: str
) -> None:
    state = "revoked" if kind == "revoked" else "awarded"
    changed = desk.db.execute(
        "UPDATE award SET state = ?, credit_milli = ?, result = ?, grade = ?, cause = ? WHERE award_id = ?",
        (state, milli, result, grade, event_id, award_id),
    )
    if changed.rowcount == 0:
        raise Contradiction(
            f"award {award_id} is not here; its credit.awarded should have come before"
        )


def _award_received(desk: Desk, told: Received) -> None:
    said = told.record
    titles = {text["lang"]: text["value"] for text in said["titles"]}
    milli = _milli(said["credits"]["value"])
    desk.db.execute(
        "INSERT INTO award VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'awarded', NULL, NULL, NULL, ?, ?)",
        (
            said["award_id"],
            said["enrollment_id"],
            said["placement_id"],
            said["student_id"],
            said["home"],
            said["host"],
            titles.get("zh") or next(iter(titles.values()), ""),
            said["credits"]["scheme"],
            milli,
            milli,
            said["result"],
            said["grade"]["scheme"],
            said["grade"]["label"],
            told.event_id,
            told.event_id,
        ),
    )


def _milli(value: str) -> int:
    whole, _, part = value.partition(".")
    return int(whole) * 1000 + int(part.ljust(3, "0")[:3] or "0")


def _correction_received(desk: Desk, told: Received) -> None:
    said = told.record
    _take_correction(
        desk,
        said["award_id"],
        told.event_id,
        said["kind"],
        _milli(said["credits"]["value"]),
        said["result"],
        said["grade"]["label"],
    )


def _case_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Requested -> faculty -> academic affairs, each stage on the ledger's word about the one before."""
    row = desk.store.one("SELECT * FROM recognition WHERE recognition_id = ?", change.subject)
    if row is None:
        raise Contradiction(
            f"recognition case {change.subject} is not here; restore it from a backup"
        )
    desk.db.execute(
        "UPDATE recognition SET doing = NULL WHERE recognition_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if settled.applied:
        _go_on(desk, row, change)
    elif change.step == "requested":
        desk.db.execute(
            "UPDATE award SET recognition_id = NULL WHERE recognition_id = ?", (change.subject,)
        )
    elif row["state"] == "requested" and row["attempts"] < MAX_ATTEMPTS:
        desk.db.execute(
            "UPDATE recognition SET attempts = attempts + 1 WHERE recognition_id = ?",
            (change.subject,),
        )
        again = desk.store.one("SELECT * FROM recognition WHERE recognition_id = ?", change.subject)
        _decide(desk, again or row, change.step, change.event_id)


def _go_on(desk: Desk, row: sqlite3.Row, change: Change) -> None:
    if change.step == "requested":
        desk.db.execute(
            "UPDATE recognition SET state = 'requested', cause = ? WHERE recognition_id = ?",
            (change.event_id, change.subject),
        )
        _decide(desk, row, "faculty", change.event_id)
    elif change.step == "faculty":
        _decide(desk, row, "academic_affairs", change.event_id)
    else:
        body = change.data
        milli = round(body["recognizedTotal"]["value"] * 1000)
        desk.db.execute(
            "UPDATE recognition SET state = ?, recognized_milli = ?, cause = ? WHERE recognition_id = ?",
            (body["outcome"], milli, change.event_id, change.subject),
        )


def _recognition_received(desk: Desk, told: Received) -> None:
    """A host hears what becomes of its awards."""
    said = told.record
    if told.event == "credit.recognition-requested":
        awards, state = said["award_ids"], "requested"
    else:
        awards = [award_id for mapping in said["mappings"] for award_id in mapping["award_ids"]]
        state = f"{said['stage']}: {said['outcome']}"
    for award_id in awards:
        desk.db.execute(
            "UPDATE award SET recognition_state = ?, cause = ? WHERE award_id = ? AND host = ?",
            (state, told.event_id, award_id, desk.code),
        )


def _award_flagged(desk: Desk, told: Flagged) -> None:
    """Credits that nobody asked to have recognized in time. Other flags are for people."""
    if told.flag == "expired":
        desk.db.execute(
            "UPDATE award SET state = ?, cause = ? WHERE award_id = ?",
            (told.state, told.event_id, told.case_id),
        )


def _case_flagged(desk: Desk, told: Flagged) -> None:
    """A case not decided in time is over; its awards may be asked for again. Other flags are for people."""
    if told.flag != "expired":
        return
    desk.db.execute(
        "UPDATE recognition SET state = ?, cause = ? WHERE recognition_id = ?",
        (told.state, told.event_id, told.case_id),
    )
    desk.db.execute(
        "UPDATE award SET recognition_id = NULL WHERE recognition_id = ?", (told.case_id,)
    )


def holdings(desk: Desk) -> Holdings:
    """Awards given here or to our students, and our recognition cases."""
    return {
        "awards": desk.rows(
            "SELECT award_id AS awardId, student_id AS studentId, home, host, scheme, credit_milli AS creditMilli, "
            "result, state FROM award WHERE state IS NOT NULL ORDER BY 1"
        ),
        "recognitions": desk.rows(
            "SELECT recognition_id AS recognitionId, student_id AS studentId, state, recognized_milli AS recognizedMilli "
            "FROM recognition WHERE state IS NOT NULL ORDER BY 1"
        ),
    }


def work(desk: Desk) -> int:
    """Recognition cases between their stages."""
    return desk.store.count(
        "SELECT count(*) FROM recognition WHERE state = 'requested' AND doing IS NULL"
    )


PHASES: Mapping[str, Phase] = {
    "results": report_results,
    "regrades": regrade,
    "recognition": request_recognition,
    "corrections": correct_late,
    "mistakes": err,
}
RECEIVES: Mapping[str, Receive] = {
    "credit.awarded": _award_received,
    "credit.award-corrected": _correction_received,
    "credit.recognition-requested": _recognition_received,
    "credit.recognition-decided": _recognition_received,
}
SETTLES: Mapping[str, Settle] = {
    "result": award_settled,
    "result-correction": _correction_settled,
    "recognition-request": _case_settled,
    "recognition-decision": _case_settled,
}
FLAGS: Mapping[str, Flag] = {"award": _award_flagged, "recognition": _case_flagged}
