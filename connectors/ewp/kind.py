"""Documents of Erasmus Without Paper: read from a campus's own system, and written for it.

The connector stands beside one institution and speaks for that one alone. It takes no part in the network itself: keys,
catalog and notifications stay with the campus's system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from connectors.elmo.institutions import load_institutions
from connectors.ewp.agreements import Agreements
from connectors.ewp.documents import Us, version_of
from connectors.ewp.learning import LearningAgreements, PlanHash
from connectors.ewp.links import Links
from connectors.ewp.nominations import Nominations
from connectors.ewp.transcripts import Transcripts
from connectors.ewp.writing import EwpWriter
from connectors.sdk.contract import ConfigError, Context, Options, Permanent, SinkKind, SourceKind
from connectors.sdk.http import ClientOptions
from connectors.sdk.mapping.event import load_mapping
from connectors.sdk.xml.document import MAX_BYTES
from connectors.sdk.xml.http import Indexed, XmlClient
from connectors.sdk.xml.sink import OutFolder, OutHttp, XmlSink
from connectors.sdk.xml.source import Documents, Folder, Reader, XmlSource, in_place

Api = Literal["omobilities", "omobility-las", "imobility-tors", "iias"]


@dataclass(frozen=True, slots=True)
class _Questions:
    """How an API is asked: elements of its index, names of its parameters, where our own id goes."""

    id_element: str
    id_param: str
    our_param: str | None


_QUESTIONS: Final[Mapping[str, _Questions]] = {
    "omobilities": _Questions("omobility-id", "omobility_id", "sending_hei_id"),
    "omobility-las": _Questions("omobility-id", "omobility_id", "sending_hei_id"),
    "imobility-tors": _Questions("omobility-id", "omobility_id", "receiving_hei_id"),
    "iias": _Questions("iia-id", "iia_id", None),  # since version 7
}


class Remote(ClientOptions):
    """`http` of a source or sink: where the campus's system answers. Paths are below `base_url`."""

    index: str = ""
    get: str = ""
    post: str = ""
    chunk: int = Field(default=20, ge=1, le=500)


class SourceOptions(Options):
    """Options of the source; times in seconds."""

    api: Api
    hei_id: str
    institutions: str = "codes/institution.csv"
    folder: str | None = None
    pattern: str = "*.xml"
    http: Remote | None = None
    memory: str = "ewp.db"
    plan_mapping: str = "mapping/plan-proposed.toml"
    require_namespace: bool = True
    settle_s: float = Field(default=10, ge=0)
    full_every_s: float = Field(default=86_400, gt=0)
    max_bytes: int = Field(default=MAX_BYTES, ge=1024)

    @model_validator(mode="after")
    def _one_place(self) -> SourceOptions:
        if (self.folder is None) == (self.http is None):
            raise ValueError('write either folder = "..." or http = { base_url, index, get }')
        if self.http and not (self.http.index and self.http.get):
            raise ValueError("http needs index and get, paths below base_url")
        return self


class SinkOptions(Options):
    """Options of the sink."""

    hei_id: str
    institutions: str = "codes/institution.csv"
    folder: str | None = None
    http: Remote | None = None
    memory: str = "ewp.db"
    student_names: Literal["pseudonym", "required"] = "pseudonym"
    signer_name: str = ""
    signer_app: str = "Alliance Hub"

    @model_validator(mode="after")
    def _one_place(self) -> SinkOptions:
        if (self.folder is None) == (self.http is None):
            raise ValueError('write either folder = "..." or http = { base_url, post }')
        if self.http and not self.http.post:
            raise ValueError("http needs post, a path below base_url")
        return self


def open_source(options: SourceOptions, context: Context) -> XmlSource:
    """A source on a folder or an API. Raises `ConfigError`."""
    us = _us(options, context)
    links = Links(context.folder / options.memory, write=context.memory is not None)
    reader = _reader(options, context, us, links)
    return XmlSource(
        _documents(options, context, us), reader, context,
        settle_s=options.settle_s, full_every_s=options.full_every_s, max_bytes=options.max_bytes,
    )  # fmt: skip


def open_sink(options: SinkOptions, context: Context) -> XmlSink:
    """A sink on a folder or a path. Raises `ConfigError`."""
    us = _us(options, context)
    links = Links(context.folder / options.memory, write=True)
    writer = EwpWriter(
        us, links, names_required=options.student_names == "required",
        signer_name=options.signer_name, signer_app=options.signer_app,
    )  # fmt: skip
    if options.http is None:
        outlet = OutFolder(context.folder / (options.folder or ""))
        return XmlSink(writer, in_place(context, outlet), links)
    client = XmlClient(options.http, context.clock, context.transport)
    return XmlSink(writer, OutHttp(client, options.http.post), links)


def _us(options: SourceOptions | SinkOptions, context: Context) -> Us:
    institutions = load_institutions(context.folder / options.institutions)
    us = Us(options.hei_id, context.member, institutions)
    if institutions.member(options.hei_id) != context.member:
        raise ConfigError(
            f"{institutions.file}: {options.hei_id} is {institutions.member(options.hei_id) or 'not there'}, we are "
            f"{context.member}; correct the table or hei_id"
        )
    return us


def _documents(options: SourceOptions, context: Context, us: Us) -> Documents:
    if options.http is None:
        folder = Folder(context.folder / (options.folder or ""), options.pattern, options.max_bytes)
        return in_place(context, folder)
    asked = _QUESTIONS[options.api]
    index_root = f"{options.api}-index-response"
    return Indexed(
        XmlClient(options.http, context.clock, context.transport),
        index=options.http.index,
        get=options.http.get,
        id_element=asked.id_element,
        id_param=asked.id_param,
        fixed=[(asked.our_param, us.hei_id)] if asked.our_param else [],
        is_index=lambda root, at: _is_index(root, at, index_root, options),
        chunk=options.http.chunk,
    )


def _is_index(root: Any, at: str, name: str, options: SourceOptions) -> None:
    version_of(root, at, (name,), bare=not options.require_namespace)


def _reader(options: SourceOptions, context: Context, us: Us, links: Links) -> Reader:
    bare = not options.require_namespace
    if options.api == "omobilities":
        return Nominations(us, links, bare=bare)
    if options.api == "imobility-tors":
        return Transcripts(us, links, bare=bare)
    if options.api == "iias":
        return Agreements(us, bare=bare)
    plan_hash = _plan_hash(context.folder / options.plan_mapping, context)
    return LearningAgreements(us, links, plan_hash, bare=bare)


def _plan_hash(path: Path, context: Context) -> PlanHash:
    """The hash that a plan gets when its mapping makes the event: our own approval of it must name the very same.

    A plan that cannot be mapped has none; it is parked before its approval is asked for.
    """
    mapping = load_mapping(
        path, context.folder / "codes", member=context.member, connector=context.name
    )

    def plan_hash(data: dict[str, Any]) -> str | None:
        change = {"eventId": "-", "version": 1, "at": data["occurred_at"]}
        try:
            record: Any = mapping.record({**data, "_change": change}, lambda _: "-")
        except Permanent:
            return None
        return str(record.plan_hash)

    return plan_hash


SOURCE = SourceKind(options=SourceOptions, open=open_source)
SINK = SinkKind(options=SinkOptions, open=open_sink)
