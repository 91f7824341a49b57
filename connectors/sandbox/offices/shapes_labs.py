"""What the laboratories' office writes: resources, bookings, answers and records of use, and which resources there are.

Pure. Shaped like the rest of the campus's interface; instruments in the words of PIDINST, bookings in those of NEMO.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from connectors.sandbox.rules import draw
from connectors.sandbox.seeds import Site
from connectors.sandbox.shapes import Body, Row
from schemas.envelope import from_millis, rfc3339

FACILITY_SHARE = 0.6
_MINUTE_MS = 60_000

# A second instrument of some members, by the member's place in the alliance, with the states it comes to after its first:
# in use at once, on trial as long as the term lasts, an old one that retires, one that was never taken into service.
_SPARE: Mapping[int, tuple[str, ...]] = {
    0: ("operational", "retired"),
    1: ("registered",),
    2: ("operational",),
    3: ("registered", "retired"),
    5: ("registered",),
    6: ("operational",),
    8: ("registered", "operational"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """A resource as `data/instruments.toml` has it. `states` are those it goes through when it is registered.

    `shortest`, `longest` and `per_day` are minutes, `ahead` days; 0 is no limit. `fee` is in yuan.
    """

    kind: str
    zh: str
    en: str
    grade: str
    room_for: int
    shortest: int
    longest: int
    per_day: int
    ahead: int
    fee: int
    per: str
    qualification: str | None
    instrument: Mapping[str, Any] | None
    states: tuple[str, ...] = ("operational",)


@dataclass(frozen=True, slots=True)
class Booking:
    """What is asked for. Times in milliseconds since 1970; at most one of project, enrollment and placement."""

    request_id: str
    resource_id: str
    owner: str
    home: str
    requester_id: str
    start_ms: int
    end_ms: int
    qualification: str | None
    project_id: str | None = None
    enrollment_id: str | None = None
    placement_id: str | None = None
    replaces: str | None = None
    answer_by: datetime | None = None
    remote: bool = False


@cache
def _data() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    path = files("connectors.sandbox") / "data" / "instruments.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _item(row: Mapping[str, Any]) -> Item:
    shortest, longest, per_day, ahead = row["limits"]
    return Item(
        row.get("kind", "instrument"),
        row["zh"],
        row["en"],
        row.get("grade", "other"),
        row.get("room_for", 1),
        shortest,
        longest,
        per_day,
        ahead,
        row["fee"],
        row.get("per", "hour"),
        row.get("qualification"),
        row if "maker" in row else None,
    )


def chosen(seed: int, at: Site, place: int) -> list[Item]:
    """The two to four resources of a university, which is the `place`-th of the alliance."""
    instruments, places, facilities = (
        [row for row in _data()[name] if row.get("field") in (None, *at.fields)]
        for name in ("instrument", "place", "facility")
    )
    instruments.sort(key=lambda row: at.fields.index(row["field"]))
    found = [_item(instruments[0])] if instruments else []
    if places:
        room = _item(places[int(draw(seed, "lab-place", at.code) * len(places))])
        found.append(replace(room, states=("registered", "operational")))
    if draw(seed, "facility", at.code) < FACILITY_SHARE:
        found.append(_item(facilities[place % len(facilities)]))
    spare = _SPARE.get(place % 10)
    if spare and len(instruments) > 1:
        found.append(replace(_item(instruments[1]), states=spare))
    return found


def resource(
    item: Item, resource_id: str, owner: str, partners: Sequence[str], where: str, since: str
) -> Body:
    """`partners` run a joint laboratory together with its owner; `since` is a date."""
    return {
        "resourceId": resource_id,
        "organization": owner,
        "name": _text(item.zh, item.en),
        "resourceType": item.kind,
        "grade": item.grade,
        "instrument": _instrument(item.instrument, resource_id, since) if item.instrument else None,
        "location": where,
        "maxConcurrentBookings": item.room_for,
        "bookingPolicy": {
            "minMinutes": item.shortest or None,
            "maxMinutes": item.longest or None,
            "minutesPerDay": item.per_day or None,
            "horizonDays": item.ahead or None,
            "qualification": item.qualification,
        },
        "price": {"unit": f"cny_per_{item.per}", "amount": item.fee} if item.fee else None,
        "outages": [],
        "jointOrganizations": list(partners),
        "state": item.states[0],
    }


def _instrument(row: Mapping[str, Any], resource_id: str, since: str) -> Body:
    return {
        "identifier": f"https://doi.org/10.0000/{resource_id[:13]}",
        "manufacturer": row["maker"],
        "model": row["model"],
        "instrumentType": row["type"],
        "measuredVariables": row["measures"],
        "platformNumber": f"NRII-{resource_id[:8].upper()}"
        if row["grade"] == "national_key"
        else None,
        "valueBand": row["band"],
        "commissioned": since,
    }


def with_outage(body: Body, start_ms: int, end_ms: int, state: str) -> Body:
    outage = {"start": _time(start_ms), "end": _time(end_ms), "reason": "故障检修"}
    return body | {"outages": [*body["outages"], outage], "state": state}


def request(wanted: Booking) -> Body:
    return {
        "bookingId": wanted.request_id,
        "resourceId": wanted.resource_id,
        "organization": wanted.owner,
        "homeOrganization": wanted.home,
        "personId": wanted.requester_id,
        "projectId": wanted.project_id,
        "associationId": wanted.enrollment_id,
        "placementId": wanted.placement_id,
        "startDateTime": _time(wanted.start_ms),
        "endDateTime": _time(wanted.end_ms),
        "purpose": _purpose(wanted),
        "remote": wanted.remote,
        "qualification": wanted.qualification,
        "replaces": wanted.replaces,
        "answerBy": rfc3339(wanted.answer_by) if wanted.answer_by else None,
    }


def _purpose(wanted: Booking) -> list[Body]:
    if wanted.project_id:
        return _text("合作项目实验", "Experiments of a joint project")
    if wanted.enrollment_id:
        return _text("所选课程的实验", "Laboratory work of a course taken here")
    if wanted.placement_id:
        return _text("实践环节所需实验", "Laboratory work of a placement")
    return _text("样品测试", "Measurement of samples")


def decision(
    booking: Row, step: str, reason: str | None, slot: tuple[int, int] | None = None
) -> Body:
    """`booking`: a row of the table lab_request; `slot`: given when it is narrower than what was asked for."""
    observe = (
        _text("请提前十五分钟到场并出示校园卡。", "Come a quarter of an hour early with your card.")
        if step == "approved"
        else []
    )
    return {
        "bookingId": booking["request_id"],
        "resourceId": booking["resource_id"],
        "organization": booking["owner"],
        "homeOrganization": booking["home"],
        "state": step,
        "reason": reason,
        "startDateTime": _time(slot[0]) if slot else None,
        "endDateTime": _time(slot[1]) if slot else None,
        "conditions": observe,
    }


def usage(
    usage_id: str, booking: Row, start_ms: int, end_ms: int, operator: str | None, *, training: bool
) -> Body:
    """`booking`: a row of the table lab_request, or what stands for one (request_id null) where nothing was booked."""
    return {
        "usageId": usage_id,
        "resourceId": booking["resource_id"],
        "organization": booking["owner"],
        "homeOrganization": booking["home"],
        "bookingId": booking["request_id"],
        "startDateTime": _time(start_ms),
        "endDateTime": _time(end_ms),
        "operatorId": operator,
        "training": training,
        "samples": None,
        "charge": None,
        "validated": False,
        "waived": False,
        "waiveReason": None,
        "supersedes": None,
    }


def charge(price: Mapping[str, Any] | None, minutes: int, samples: int | None) -> Body | None:
    """What a use costs at a price of the resource; None where it is free. In yuan, to the thousandth."""
    if price is None:
        return None
    if price["unit"] == "cny_per_hour":
        return {"currency": "cny", "amount": round(price["amount"] * minutes / 60, 3)}
    times = samples or 1 if price["unit"] == "cny_per_sample" else 1
    return {"currency": "cny", "amount": price["amount"] * times}


def millis(text: str) -> int:
    """A time of an event, as events write it, in milliseconds since 1970."""
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


def minutes(start_ms: int, end_ms: int) -> int:
    """Whole minutes; a begun one counts, as in the ledger."""
    return -((start_ms - end_ms) // _MINUTE_MS)


def later(at_ms: int, by_minutes: int) -> int:
    return at_ms + by_minutes * _MINUTE_MS


def _time(at_ms: int) -> str:
    return rfc3339(from_millis(at_ms))


def _text(zh: str, en: str) -> list[Body]:
    return [{"language": "zh-CN", "value": zh}, {"language": "en-GB", "value": en}]
