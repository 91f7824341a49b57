"""ELMO documents: results that a campus issues, and awards and recognition decisions written for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.elmo import results
from connectors.elmo.institutions import load_institutions
from connectors.elmo.writing import ElmoWriter
from connectors.sdk.contract import Context, Options, SinkKind, SourceKind
from connectors.sdk.http import ClientOptions
from connectors.sdk.xml.document import MAX_BYTES, Node
from connectors.sdk.xml.http import Pages, XmlClient
from connectors.sdk.xml.sink import Delivered, OutFolder, OutHttp, XmlSink
from connectors.sdk.xml.source import Documents, Fact, Folder, XmlSource, in_place

_KEY_CHARACTERS = 16  # fewer can be tried out


class Remote(ClientOptions):
    """`http` of a source or sink: where the campus's system answers. Paths are below `base_url`."""

    paths: tuple[str, ...] = ()
    post: str = ""


class SourceOptions(Options):
    """Options of the source; times in seconds."""

    award_key: SecretStr
    folder: str | None = None
    pattern: str = "*.xml"
    http: Remote | None = None
    learner_identifiers: tuple[str, ...] = ("local", "esi", "europeanStudentIdentifier")
    settle_s: float = Field(default=10, ge=0)
    max_bytes: int = Field(default=MAX_BYTES, ge=1024)

    @field_validator("award_key")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < _KEY_CHARACTERS:
            raise ValueError(
                f"shorter than {_KEY_CHARACTERS} characters, so it could be guessed; write 32 random bytes in base64"
            )
        return value

    @model_validator(mode="after")
    def _one_place(self) -> SourceOptions:
        if (self.folder is None) == (self.http is None):
            raise ValueError('write either folder = "..." or http = { base_url, paths }')
        if self.http and not self.http.paths:
            raise ValueError("http needs paths, each of which answers with one document")
        return self


class SinkOptions(Options):
    """Options of the sink."""

    institutions: str = "codes/institution.csv"
    folder: str | None = None
    http: Remote | None = None
    memory: str = "elmo.db"
    version: Literal[1, 2] = 2
    student_names: Literal["pseudonym", "required"] = "pseudonym"

    @model_validator(mode="after")
    def _one_place(self) -> SinkOptions:
        if (self.folder is None) == (self.http is None):
            raise ValueError('write either folder = "..." or http = { base_url, post }')
        if self.http and not self.http.post:
            raise ValueError("http needs post, a path below base_url")
        return self


class Results:
    """Reads ELMO documents: each final result is an award, its correction another event about the same one."""

    def __init__(self, key: bytes, learner_identifiers: Sequence[str]) -> None:
        self._key = key
        self._learner_identifiers = learner_identifiers

    def facts(self, root: Node, at: str, sha256: str) -> Sequence[Fact]:
        """The awards of a document. Raises `XmlError`."""
        found = results.awards(
            root, at, sha256, key=self._key, learner_ids=self._learner_identifiers
        )
        return [
            Fact(
                "awarded",
                award["award_id"],
                results.identity(award),
                award | {"enrollment_key": f"{award['learner']['id']}/{award['course']['code']}"},
                follows="award-corrected",
                as_of=results.as_of(root),
            )
            for award in found
        ]

    def complete(self, event: str, data: dict[str, Any]) -> bool:
        """Everything is in the document, or in the campus's code tables."""
        return True


def open_source(options: SourceOptions, context: Context) -> XmlSource:
    """A source on a folder or on paths."""
    key = options.award_key.get_secret_value().encode()
    documents: Documents
    if options.http is None:
        folder = Folder(context.folder / (options.folder or ""), options.pattern, options.max_bytes)
        documents = in_place(context, folder)
    else:
        client = XmlClient(options.http, context.clock, context.transport)
        documents = Pages(client, options.http.paths)
    return XmlSource(
        documents, Results(key, options.learner_identifiers), context,
        settle_s=options.settle_s, max_bytes=options.max_bytes,
    )  # fmt: skip


def open_sink(options: SinkOptions, context: Context) -> XmlSink:
    """A sink on a folder or a path. Raises `ConfigError`."""
    writer = ElmoWriter(
        load_institutions(context.folder / options.institutions),
        version=options.version,
        names_required=options.student_names == "required",
    )
    delivered = Delivered(context.folder / options.memory, write=True)
    if options.http is None:
        outlet = OutFolder(context.folder / (options.folder or ""))
        return XmlSink(writer, in_place(context, outlet), delivered)
    client = XmlClient(options.http, context.clock, context.transport)
    return XmlSink(writer, OutHttp(client, options.http.post), delivered)


SOURCE = SourceKind(options=SourceOptions, open=open_source)
SINK = SinkKind(options=SinkOptions, open=open_sink)
