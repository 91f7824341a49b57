"""The event types whole: schema, rule, table and clauses side by side. CLI, API and console show what stands here.

Computes only; schemas are discovered by `schemas.catalogue`, rules by `hub.events`. An event type serves a clause of the
statute when its schema says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple

from hub.domain.life import CLOCK, Machine, Step
from hub.domain.reasons import ADVICE, Reason
from hub.events import COMMON_REASONS, Sentence, event_rules, machines
from schemas import topics
from schemas.catalogue import Schema, catalogue, prose
from schemas.clauses import Clause, clauses

Json = dict[str, Any]

# Given by `hub.flow.admission`, before the ledger sees an event.
ADMISSION_REASONS = frozenset(
    {
        Reason.UNREADABLE,
        Reason.TOO_LARGE,
        Reason.SCHEMA_UNKNOWN,
        Reason.SCHEMA_INVALID,
        Reason.SIGNATURE_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.KEY_MISMATCH,
        Reason.HASH_MISMATCH,
        Reason.PII_SUSPECTED,
    }
)

# Fields that hold a member's code, as people call that side: `<kind of thing>.<field>` first, else the field alone.
# What is not here is called as its field is.
ROLES: Mapping[str, Sentence] = {
    CLOCK: Sentence("deadline", "到期"),
    "access.home": Sentence("home", "申请校"),
    "appointment.home": Sentence("home", "派出校"),
    "arbiters": Sentence("arbiters", "仲裁方"),
    "borrower": Sentence("borrower", "接收校"),
    "claimant": Sentence("claimant", "提出方"),
    "code": Sentence("member", "成员校"),
    "counterpart": Sentence("other side", "对方"),
    "deciders": Sentence("arbiters, or claimant if there are none", "仲裁方（未指定时为提出方）"),
    "delivery.home": Sentence("home", "派出校"),
    "dispute.party": Sentence("claimant, respondent or arbiter", "提出方、答复方或仲裁方"),
    "employer": Sentence("employer", "所在校"),
    "home": Sentence("home", "学籍校"),
    "host": Sentence("host", "接收校"),
    "lead": Sentence("lead", "牵头校"),
    "lender": Sentence("lender", "派出校"),
    "offering.host": Sentence("host", "开课校"),
    "owner": Sentence("owner", "所属校"),
    "party": Sentence("party", "协议方"),
    "recruiter": Sentence("recruiter", "招聘校"),
    "respondent": Sentence("respondent", "答复方"),
    "usage.home": Sentence("home", "使用校"),
}


def role(name: str, kind: str = "") -> Sentence:
    """A side in words; several joined by `|` are either of them."""
    known = [
        ROLES.get(f"{kind}.{one}") or ROLES.get(one) or Sentence(one, one)
        for one in name.split("|")
    ]
    return Sentence(" or ".join(one.en for one in known), "或".join(one.zh for one in known))


def actors(machine: Machine, step: Step) -> Sentence:
    """Who takes a step."""
    return role("|".join(step.by), machine.kind)


def turn(machine: Machine, state: str) -> Sentence | None:
    """Whose turn it is in a state; None when it waits for nobody."""
    name = machine.waits.get(state)
    return role(name, machine.kind) if name else None


@dataclass(frozen=True, slots=True)
class EventType:
    """The newest version of an event type, with the table of the thing it is about, if that has one."""

    schema: Schema
    schema_id: int
    own_reasons: tuple[Reason, ...]
    life: Machine | None

    @property
    def event(self) -> str:
        return self.schema.event

    @property
    def topic(self) -> str:
        """Where applied events of its domain can be read."""
        return topics.domain(self.schema.domain)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """For which the ledger refuses or parks it, its rule's own first. Those of admission come before the ledger."""
        return (
            *self.own_reasons,
            *(one for one in common_reasons() if one not in self.own_reasons),
        )

    @property
    def writers(self) -> Sentence:
        return role("|".join(self.schema.writer), self.life.kind if self.life else "")

    @property
    def meaning(self) -> Sentence:
        """What it says: the schema's own words; in Chinese the first sentence of its prose."""
        doc = self.schema.doc
        return Sentence(doc, _first_chinese_sentence(prose(self.schema)) or doc)

    def as_json(self) -> Json:
        schema = self.schema
        return {
            "event": schema.event,
            "version": schema.version,
            "id": self.schema_id,
            "topic": self.topic,
            "writer": list(schema.writer),
            "key": schema.key,
            "subject": schema.subject,
            "thing": self.life.kind if self.life else None,
            "states": list(self.life.states) if self.life else [],
            "reasons": list(self.reasons),
            "clauses": list(schema.clauses),
            "doc": schema.doc,
            "hash": schema.hash or None,
        }


@cache
def event_types() -> tuple[EventType, ...]:
    """Every event type of this installation, by name."""
    known, ruled = catalogue(), event_rules()
    return tuple(
        EventType(
            schema,
            known.schema_id(schema),
            ordered(ruled[schema.event].reasons),
            ruled[schema.event].life,
        )
        for schema in known.events()
    )


def event_type(event: str) -> EventType | None:
    """One event type by name."""
    return next((one for one in event_types() if one.event == event), None)


def by_domain() -> dict[str, list[EventType]]:
    """The event types under their domains."""
    found: dict[str, list[EventType]] = {}
    for one in event_types():
        found.setdefault(one.schema.domain, []).append(one)
    return found


def events_about(machine: Machine) -> list[EventType]:
    """The event types whose thing has that table."""
    return [one for one in event_types() if one.life is not None and one.life.kind == machine.kind]


def ordered(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Reasons in the order in which `Reason` lists them."""
    wanted = set(reasons)
    return tuple(reason for reason in Reason if reason in wanted)


def common_reasons() -> tuple[Reason, ...]:
    """What any event can meet in the ledger."""
    return ordered(COMMON_REASONS)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A clause and the event types that serve it."""

    clause: Clause
    events: tuple[str, ...]

    @property
    def covered(self) -> bool:
        return bool(self.events)

    @property
    def missing(self) -> bool:
        """Whether an event type is wanted and there is none."""
        return not self.covered and not self.clause.outside

    def as_json(self) -> Json:
        return asdict(self.clause) | {"events": list(self.events), "covered": self.covered}


def coverage(wanted: Iterable[Clause] | None = None) -> list[Coverage]:
    """What serves each clause of the statute, or of those given."""
    return [
        Coverage(
            clause, tuple(one.event for one in event_types() if clause.id in one.schema.clauses)
        )
        for clause in (clauses() if wanted is None else wanted)
    ]


def machine_json(machine: Machine) -> Json:
    """A table for programs. `before` is null for a step that makes the thing."""
    return {
        "thing": machine.kind,
        "title": {"en": machine.title_en, "zh": machine.title_zh},
        "events": [one.event for one in events_about(machine)],
        "states": [
            {"state": state, "closed": machine.closed(state), "waits": machine.waits.get(state)}
            for state in machine.states
        ],
        "steps": [
            {
                "before": step.before or None,
                "step": step.name,
                "after": step.after,
                "by": list(step.by),
            }
            for step in machine.steps
        ],
        "source": machine.source,
    }


def reason_json(reason: Reason) -> Json:
    """A reason with what people are told."""
    advice = ADVICE[reason]
    return {
        "reason": reason,
        "en": advice.en,
        "zh": advice.zh,
        "next_actor": advice.next_actor,
        "retry_when": advice.retry_when,
        "by_admission": reason in ADMISSION_REASONS,
        "common": reason in COMMON_REASONS,
    }


def whole_json() -> Json:
    """All of it in one answer."""
    return {
        "items": [one.as_json() for one in event_types()],
        "clauses": [one.as_json() for one in coverage()],
        "machines": [machine_json(machine) for machine in machines()],
        "reasons": [reason_json(reason) for reason in Reason],
    }


class Field(NamedTuple):
    """A field of a schema; `depth` 1 and more are inside the record above it."""

    name: str
    type: str
    doc: str
    depth: int


def fields(schema: Schema) -> list[Field]:
    """The fields of a schema with those of its records; the envelope, the same everywhere, is not opened."""
    return list(_fields(schema.avro, _records(schema.avro), 0))


def _fields(record: Json, named: Mapping[str, Json], depth: int) -> Iterator[Field]:
    for field in record["fields"]:
        inner = _record(field["type"], named)
        doc = field.get("doc") or (inner["doc"] if inner else "")
        yield Field(field["name"], _type_name(field["type"]), doc, depth)
        if inner is not None and inner["name"] != "Envelope":
            yield from _fields(inner, named, depth + 1)


def _records(node: Any) -> dict[str, Json]:
    """Every record in a schema by full name: Avro writes one out where it is first used."""
    if isinstance(node, list):
        return {name: record for item in node for name, record in _records(item).items()}
    if not isinstance(node, dict):
        return {}
    found = _records([node.get(key) for key in ("type", "items", "values", "fields")])
    if node.get("type") == "record":
        found[f"{node['namespace']}.{node['name']}"] = node
    return found


def _record(avro: Any, named: Mapping[str, Json]) -> Json | None:
    """The record that a type is, may be or lists."""
    if isinstance(avro, str):
        return named.get(avro)
    if isinstance(avro, list):
        return next((found for item in avro if (found := _record(item, named))), None)
    if avro["type"] == "record":
        return dict(avro)
    return _record(avro.get("items") or avro.get("values") or avro["type"], named)


def _type_name(avro: Any) -> str:
    if isinstance(avro, str):
        return avro.rpartition(".")[2]
    if isinstance(avro, list):
        there = " or ".join(_type_name(item) for item in avro if item != "null")
        return f"{there} or null" if "null" in avro else there
    if avro.get("logicalType") == "decimal":
        return f"decimal({avro['scale']})"
    if "logicalType" in avro:
        return str(avro["logicalType"])
    if avro["type"] == "array":
        return f"list of {_type_name(avro['items'])}"
    if avro["type"] == "map":
        return f"map of {_type_name(avro['values'])}"
    return str(avro["name"]) if avro["type"] == "record" else _type_name(avro["type"])


def _first_chinese_sentence(text: str) -> str:
    """Of the first line that begins in Chinese, code marks taken off; empty when there is none."""
    found = re.search(r"^[\u4e00-\u9fff][^。；]*", text, re.MULTILINE)
    return found[0].replace("`", "") + "。" if found else ""
