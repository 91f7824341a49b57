"""XML over HTTP: documents that are asked for, and documents that are brought.

Owns the questions. What an answer's status means is in `connectors.sdk.http`, what a document says in the kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConfigError, Transient
from connectors.sdk.http import ClientOptions, JsonClient, Refused
from connectors.sdk.http.answers import complain
from connectors.sdk.xml.document import Node, XmlError, parse
from connectors.sdk.xml.source import Named

_TYPE = {"Accept": "application/xml, text/xml"}


class XmlClient:
    """A system that answers in XML."""

    def __init__(self, options: ClientOptions, clock: Clock, transport: Any) -> None:
        self._options = options
        self._clock = clock
        self._client = JsonClient.of(options, clock, transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes:
        """The body of the answer; names may occur more than once. Raises as every client does, a refusal as `ConfigError`."""
        asked = f"{path}?{urlencode(params)}" if params else path
        reply = await self._client.exchange("GET", asked, headers=_TYPE)
        if not reply.ok:
            try:
                complain(reply, self._options.respond, self._clock.now())
            except Refused as error:
                raise ConfigError(
                    f"{error}: refuses our question; correct paths and hei_id"
                ) from error
        return reply.content

    async def post(self, path: str, content: bytes) -> None:
        """Bring a document. Raises as every client does, and `Refused` where the system says no to this document."""
        headers = {**_TYPE, "Content-Type": "application/xml; charset=utf-8"}
        reply = await self._client.exchange("POST", path, content=content, headers=headers)
        if not reply.ok:
            complain(reply, self._options.respond, self._clock.now())


class Pages:
    """Documents each at a path of its own."""

    incremental = False

    def __init__(self, client: XmlClient, paths: Sequence[str]) -> None:
        self._client = client
        self._paths = paths

    async def check(self) -> str:
        """Ask for the first."""
        size = len(await self._client.get(self._paths[0]))
        return f"{len(self._paths)} paths, the first has {size} bytes"

    async def names(self, since: datetime | None) -> Sequence[Named]:
        """The paths."""
        return [Named(path) for path in self._paths]

    async def read(self, names: Sequence[Named]) -> Sequence[tuple[Named, bytes]]:
        """One question for each; what is no XML at all is the system's fault, not the document's."""
        found = [(named, await self._client.get(named.name)) for named in names]
        for named, data in found:
            _is_xml(data, named.name)
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Indexed:
    """Documents behind an index that lists ids, and tells which changed; several are asked for at once."""

    incremental = True

    def __init__(
        self, client: XmlClient, *, index: str, get: str, id_element: str, id_param: str,
        fixed: Sequence[tuple[str, str]], is_index: Callable[[Node, str], None], chunk: int,
    ) -> None:  # fmt: skip
        self._client = client
        self._index = index
        self._get = get
        self._id_element = id_element
        self._id_param = id_param
        self._fixed = fixed
        self._is_index = is_index
        self._chunk = chunk

    async def check(self) -> str:
        """Ask for the index."""
        return f"{self._index}: {len(await self.names(None))} ids"

    async def names(self, since: datetime | None) -> Sequence[Named]:
        """The ids in the index."""
        params = list(self._fixed)
        if since is not None:
            params.append(("modified_since", since.isoformat()))
        data = await self._client.get(self._index, params)
        root = _is_xml(data, self._index)
        try:
            self._is_index(root, self._index)
        except XmlError as error:
            raise ConfigError(f"{error}; correct `index`") from error
        return [Named(found) for found in dict.fromkeys(root.values(self._id_element))]

    async def read(self, names: Sequence[Named]) -> Sequence[tuple[Named, bytes]]:
        """As many at once as the system allows. Ids it does not know any more are left out by it."""
        found = []
        for start in range(0, len(names), self._chunk):
            some = names[start : start + self._chunk]
            ids = [(self._id_param, named.name) for named in some]
            data = await self._client.get(self._get, [*self._fixed, *ids])
            _is_xml(data, self._get)
            last = "" if len(some) == 1 else f"..{some[-1].name}"
            found.append((Named(f"{some[0].name}{last}"), data))
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _is_xml(data: bytes, at: str) -> Node:
    """The root of an answer. One that cannot be read is half an answer or a login page, and is asked for again."""
    try:
        root = parse(data, at)
    except XmlError as error:
        if error.code == "XML_DOCTYPE" and b"<html" not in data[:1000].lower():
            raise ConfigError(f"GET {error}; have that system send plain documents") from error
        raise Transient(
            f"GET {error}; is a proxy or login page in the way? It is asked again"
        ) from error
    if root.name == "html":
        raise Transient(f"GET {at}: answers with a web page; is a login page in the way?")
    return root
