"""The options of `ooapi`, and where its two versions have what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from connectors.sdk.http import ClientOptions

Collection = Literal["offerings", "courses", "programs", "organizations"]
Version = Literal["5", "6"]


@dataclass(frozen=True, slots=True)
class Place:
    """A collection of one version: its path, the path of one member of it, and the field with its id."""

    path: str
    id: str


# Paths and names: https://github.com/open-education-api/specification, v5.0 (v5/spec.yaml) and v6.0 (source/ooapiv6.yaml).
PLACES: dict[tuple[Version, Collection], Place] = {
    ("5", "offerings"): Place("/offerings", "offeringId"),
    ("5", "courses"): Place("/courses", "courseId"),
    ("5", "programs"): Place("/programs", "programId"),
    ("5", "organizations"): Place("/organizations", "organizationId"),
    ("6", "offerings"): Place("/course-offerings", "courseOfferingId"),
    ("6", "courses"): Place("/courses", "courseId"),
    ("6", "programs"): Place("/programmes", "programmeId"),
    ("6", "organizations"): Place("/organisations", "organisationId"),
}


class Shared(ClientOptions):
    """Options of both directions."""

    version: Version = "5"
    consumer: str | None = None


class SourceOptions(Shared):
    """Options of the source; shares between 0 and 1."""

    collection: Collection = "offerings"
    organization: str | None = None
    path: str | None = None
    params: dict[str, str] = Field(default_factory=dict)
    expand: tuple[str, ...] = ()
    page_size: int = Field(default=100, gt=0)
    batch: int = Field(default=200, gt=0)
    deletes: Literal["tell", "ignore"] = "tell"
    max_delete: float = Field(default=0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _one_path(self) -> SourceOptions:
        if self.path is not None and self.organization is not None:
            raise ValueError("path and organization both say where to read; remove one")
        if self.collection == "offerings" and self.path is None and self.organization is None:
            raise ValueError(
                "the API lists offerings of an organization, not all; write organization, or path for an API that does"
            )
        return self

    def place(self) -> Place:
        """Where single members of the collection are."""
        return PLACES[self.version, self.collection]

    def listing(self) -> str:
        """The path of the collection."""
        if self.path is not None:
            return self.path
        whole = self.place().path
        if self.organization is None:
            return whole
        owner = PLACES[self.version, "organizations"].path
        return f"{owner}/{self.organization}{whole}"


class SinkOptions(Shared):
    """Options of the sink."""

    create: Literal["external_me", "put"] = "external_me"
    issuer: str | None = None

    @model_validator(mode="after")
    def _version_has_it(self) -> SinkOptions:
        if self.create == "put" and self.version == "5":
            raise ValueError('version 5 has no PUT of an association; write create = "external_me"')
        return self

    def associations(self) -> str:
        """The path of associations."""
        return "/associations" if self.version == "5" else "/course-offering-associations"

    def offering(self, offering_id: str) -> dict[str, Any]:
        """How an association names its offering."""
        return {"offering" if self.version == "5" else "courseOfferingId": offering_id}
