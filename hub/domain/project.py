"""Joint research projects and the people in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import START, Living, Machine, moves, steps

PROJECT = Machine(
    kind="project",
    title_en="Joint project",
    title_zh="联合科研项目",
    steps=moves(
        "lead",
        {
            START: "idea drafted submitted funded active declined completed terminated",
            "idea": "drafted terminated",
            "drafted": "submitted terminated",
            "submitted": "funded declined terminated",
            "funded": "active terminated",
            "active": "completed terminated",
        },
    ),
    waits={"idea": "lead", "drafted": "lead", "submitted": "lead", "funded": "lead"},
    source="RAiD metadata schema 1.0; CERIF application, decision, project",
)
PARTICIPANT = Machine(
    kind="participant",
    title_en="Person in a project",
    title_zh="项目成员",
    steps=steps(
        "employer",
        ": joined -> active",
        "active: role_changed -> active",
        "active: left -> left",
        "left: joined -> active",
    ),
    waits={},
    source="RAiD contributor position and role",
)


@dataclass(frozen=True, slots=True)
class Project(Living):
    KIND: ClassVar[str] = "project"
    LIFE: ClassVar[Machine] = PROJECT
    project_id: str
    lead: str
    members: tuple[str, ...]
    state: str

    @property
    def id(self) -> str:
        return self.project_id

    def concerned(self) -> frozenset[str]:
        return frozenset(self.members)


@dataclass(frozen=True, slots=True)
class Participant(Living):
    KIND: ClassVar[str] = "participant"
    LIFE: ClassVar[Machine] = PARTICIPANT
    project_id: str
    person_id: str
    employer: str
    position: str
    state: str

    @property
    def id(self) -> str:
        return participant_id(self.project_id, self.person_id)


def participant_id(project_id: str, person_id: str) -> str:
    """Both ids may hold slashes (ORCID); the length keeps `a/b` with `c` apart from `a` with `b/c`."""
    return f"{len(project_id)}/{project_id}/{person_id}"
