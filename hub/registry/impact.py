"""Whom a new schema version breaks: the schemas that deployed connectors read, from their heartbeats, against a draft.

A registry knows schemas; heartbeats since version 2 say who can read which. Nothing is asked here; `readers_of` takes what
`/api/v1/members` answers. A connector finds a schema by its id in its own installation, so a version Avro could resolve is
still parked by it until it is upgraded, and told so: `parks`, as against `breaks`, which no upgrade of the hub alone mends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub.registry.compare import Finding, faults
from hub.registry.files import Draft
from hub.registry.lint import lint


class Verdict(StrEnum):
    """What becomes of messages in the draft at one connector, best first."""

    READS = "reads"  # it has this very version
    PARKS = "parks"  # it would read them, and parks them until its upgrade
    NEW = "new"  # it has no version of the event: parks them, too
    UNKNOWN = "unknown"  # it does not say what it reads
    BREAKS = "breaks"  # it cannot read them, or takes them for something else, or others cannot read its own


@dataclass(frozen=True, slots=True)
class Reader:
    """A deployed connector. `schemas` are `<event>/<version>`, empty where its heartbeat is older than version 2."""

    member: str
    connector: str
    state: str
    schemas: tuple[str, ...]
    mapping_hash: str

    def versions(self, event: str) -> list[int]:
        """Versions of an event it reads, oldest first."""
        found = (one.rpartition("/") for one in self.schemas)
        return sorted(int(number) for name, _, number in found if name == event and number.isdecimal())  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """One connector with what the draft means for it. `version` is the newest it reads of the event, 0 for none."""

    reader: Reader
    verdict: Verdict
    version: int
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Impact:
    """The draft against all deployed connectors. `members` are the codes of the alliance."""

    event: str
    published: int
    members: tuple[str, ...]
    judged: tuple[Judged, ...]

    def by_verdict(self, verdict: Verdict) -> list[str]:
        """Members whose worst connector has this verdict, by code."""
        return sorted(code for code, worst in self._worst().items() if worst is verdict)

    def without_connector(self) -> list[str]:
        return sorted(set(self.members) - set(self._worst()))

    def reading(self, version: int) -> list[str]:
        """Members all of whose connectors read this version: how far its predecessor's sunset is."""
        all_of = {one.reader.member: True for one in self.judged}
        for one in self.judged:
            if version not in one.reader.versions(self.event):
                all_of[one.reader.member] = False
        return sorted(code for code, reads in all_of.items() if reads)

    def _worst(self) -> Mapping[str, Verdict]:
        order = list(Verdict)
        found: dict[str, Verdict] = {}
        for one in self.judged:
            so_far = found.get(one.reader.member, Verdict.READS)
            found[one.reader.member] = max(so_far, one.verdict, key=order.index)
        return found


def impact(draft: Draft, readers: Iterable[Reader], members: Sequence[str]) -> Impact:
    """Judge a draft for every reader. Findings name the field, say what goes wrong and how to mend it."""
    published = draft.published.version if draft.published else 0
    judged = tuple(
        _judge(draft, published, one)
        for one in sorted(readers, key=lambda one: (one.member, one.connector))
    )
    return Impact(draft.event, published, tuple(members), judged)


def _judge(draft: Draft, published: int, reader: Reader) -> Judged:
    versions = reader.versions(draft.event)
    newest = versions[-1] if versions else 0
    if not reader.schemas:
        return Judged(reader, Verdict.UNKNOWN, 0)
    if published in versions:
        return Judged(reader, Verdict.READS, newest)
    theirs = next((one for one in draft.earlier if one.version == newest), None)
    if theirs is None:
        return Judged(reader, Verdict.UNKNOWN if newest else Verdict.NEW, newest)
    label = f"version {newest}"
    found = [
        *faults(theirs.avro, draft.avro, label, "the new schema"),
        *faults(draft.avro, theirs.avro, "the new schema", label),
        *(one for one in lint(theirs.avro, draft.avro) if one.severe),
    ]
    verdict = Verdict.BREAKS if found else Verdict.PARKS
    return Judged(reader, verdict, newest, tuple(dict.fromkeys(found)))


def readers_of(members: Any) -> tuple[list[Reader], list[str]]:
    """Connectors and codes of members from the answer of `/api/v1/members`. Raises `KeyError` or `TypeError` for another."""
    readers = [
        Reader(
            member["code"],
            connector["connector"],
            connector["state"],
            tuple(connector.get("reader_schemas", ())),
            connector.get("mapping_hash", ""),
        )
        for member in members["items"]
        for connector in member["connectors"]
    ]
    return readers, [member["code"] for member in members["items"]]


def impact_json(found: Impact, draft: Draft) -> dict[str, Any]:
    """The impact as JSON values."""
    versions = sorted({one.version for one in draft.earlier})
    return {
        "event": found.event,
        "file": draft.path.name,
        "published_as": found.published or None,
        "members": len(found.members),
        "verdicts": {verdict.value: found.by_verdict(verdict) for verdict in Verdict},
        "without_connector": found.without_connector(),
        "reading": {str(version): found.reading(version) for version in versions},
        "connectors": [
            {
                "member": one.reader.member,
                "connector": one.reader.connector,
                "state": one.reader.state,
                "verdict": one.verdict.value,
                "newest_version": one.version or None,
                "mapping_hash": one.reader.mapping_hash,
                "findings": [finding_json(finding) for finding in one.findings],
            }
            for one in found.judged
        ],
    }


def finding_json(one: Finding) -> dict[str, Any]:
    """A finding as JSON values."""
    return {
        "code": one.code,
        "path": one.path,
        "sentence": one.sentence,
        "fix": one.fix,
        "severe": one.severe,
    }


def impact_lines(found: Impact, draft: Draft) -> list[str]:
    """The impact for people, most urgent first."""
    every, total = len(found.members), f"of {len(found.members)} members"
    lines = []
    broken: dict[tuple[int, tuple[Finding, ...]], list[str]] = {}
    for one in found.judged:
        if one.verdict is Verdict.BREAKS:
            name = f"{one.reader.member}.{one.reader.connector}"
            broken.setdefault((one.version, one.findings), []).append(name)
    for (version, findings), names in broken.items():
        lines.append(f"version {version} and this one do not go together, at {', '.join(names)}:")
        lines += [f"  {finding}" for finding in findings]
    breaks = found.by_verdict(Verdict.BREAKS)
    lines.append(f"{len(breaks)} {total} break" + (f": {', '.join(breaks)}" if breaks else ""))
    for verdict, words in (
        (Verdict.READS, "read it"),
        (Verdict.PARKS, "park it until their upgrade"),
        (Verdict.NEW, "have no version of this event and park it until their upgrade"),
        (Verdict.UNKNOWN, "do not say what they read; upgrade their connectors to hear it"),
    ):
        codes = found.by_verdict(verdict)
        if codes:
            shown = "" if len(codes) == every else f": {', '.join(codes)}"
            lines.append(f"{len(codes)} {total} {words}{shown}")
    if found.without_connector():
        lines.append(f"{len(found.without_connector())} {total} have no connector: {', '.join(found.without_connector())}")  # fmt: skip
    for version in sorted({one.version for one in draft.earlier}):
        lines.append(f"{len(found.reading(version))} {total} read v{version}")
    return lines
