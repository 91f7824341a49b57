"""XML documents from outside: bytes to plain nodes and back, with nothing of XML that can hurt.

Owns what may be read (no document type, no entities, no inclusion, bounded size and depth) and how a fault is named.
Which elements mean what belongs to the kinds. Nothing here opens a file or a connection.

The parser is Expat from the standard library, told to stop at the first DOCTYPE: entities cannot be declared without
one, so bombs and external entities end before they begin (https://owasp.org/www-community/vulnerabilities/XML_External_Entity_(XXE)_Processing).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from connectors.sdk.contract import Permanent

XML_NS: Final = "http://www.w3.org/XML/1998/namespace"
XINCLUDE_NS: Final = "http://www.w3.org/2001/XInclude"
SCHEMA_INSTANCE_NS: Final = "http://www.w3.org/2001/XMLSchema-instance"

MAX_BYTES: Final = 16 * 1024 * 1024  # a transcript with its signed PDF in base64 has about 2 MB
MAX_DEPTH: Final = 100  # the deepest of the formats we read is a tree of courses, some 40 levels
MAX_ELEMENTS: Final = 500_000

# XML's own encodings Expat reads itself; Chinese ones only by way of Python, which knows that they are supersets.
_CHINESE: Final = {"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5"}
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_TRUNCATED: Final = frozenset(
    expat.errors.codes[said]
    for said in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
_WRONG_ENCODING: Final = frozenset(
    expat.errors.codes[said]
    for said in (
        expat.errors.XML_ERROR_UNKNOWN_ENCODING,
        expat.errors.XML_ERROR_INCORRECT_ENCODING,
    )
)


class XmlError(Permanent):
    """This document cannot be read, or not be written. `code` names the fault; `brief` holds no data."""

    def __init__(self, code: str, at: str, found: str, wanted: str) -> None:
        super().__init__(f"{at}: {found}; {wanted}", code, code=code)


@dataclass(frozen=True, slots=True)
class Node:
    """An element: its local name, its namespace, its attributes by local name, and what is in it.

    `text` is the character data directly in it, as it stands. `lang` is xml:lang where the element says so itself.
    """

    name: str
    namespace: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Node, ...] = ()
    text: str = ""
    line: int = 0
    lang: str | None = None

    def all(self, name: str) -> Iterator[Node]:
        """The elements of that name directly in this one. Those of foreign namespaces are somebody else's."""
        return (
            child
            for child in self.children
            if child.name == name and _kin(child.namespace, self.namespace)
        )

    def child(self, *path: str) -> Node | None:
        """The first element at that path, or None."""
        node: Node | None = self
        for name in path:
            node = next(node.all(name), None) if node else None
        return node

    def value(self, *path: str) -> str | None:
        """The text of the first element at that path as XML Schema's token (blanks collapsed); None when there is none or it is empty."""
        found = self.child(*path)
        text = " ".join(found.text.split()) if found else ""
        return text or None

    def values(self, name: str) -> list[str]:
        """The tokens of all elements of that name directly in this one, without empty ones."""
        return [text for node in self.all(name) if (text := " ".join(node.text.split()))]


# Formats that are composed of several namespaces: a transcript of one holds a document of the other.
_FAMILIES: Final = (
    "https://github.com/erasmus-without-paper/",
    "https://github.com/emrex-eu/elmo-schemas/",
)


def _kin(one: str, other: str) -> bool:
    """Whether two namespaces belong to the same family of formats."""
    return one == other or (one.startswith(_FAMILIES) and other.startswith(_FAMILIES))


def parse(data: bytes, at: str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Node:
    """The root element of a document. `at` names the document in messages. Raises `XmlError`.

    Comments and processing instructions are dropped, character data in CDATA sections is text as any other.
    """
    if len(data) > max_bytes:
        raise XmlError(
            "XML_TOO_LARGE", at, f"{len(data)} bytes", f"at most {max_bytes} are read; split it"
        )
    if not data.strip(b"\xef\xbb\xbf \t\r\n\x00"):
        raise XmlError("XML_TRUNCATED", at, "the document is empty", "write it whole")
    data, encoding = _decodable(data, at)
    return _Reader(at, max_depth).read(data, encoding)


def _decodable(data: bytes, at: str) -> tuple[bytes, str | None]:
    """Bytes that Expat can decode, and the encoding it must be told because the document says otherwise."""
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        raise XmlError("XML_ENCODING", at, "is UTF-32", "write it in UTF-8")
    found = _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf")[:200])
    declared = found[1].decode().lower() if found else "utf-8"
    codec = _CHINESE.get(declared)
    if codec is not None:
        return _decoded(data, codec, declared, at).encode(), "utf-8"
    # UTF-16, with a mark or without, is told apart by Expat itself.
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:4].count(0) >= 2
    if declared in ("utf-8", "utf8") and not wide:
        _decoded(data, "utf-8", declared, at)
    return data, None


def _decoded(data: bytes, codec: str, declared: str, at: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if error.reason in ("unexpected end of data", "incomplete multibyte sequence"):
            raise XmlError(
                "XML_TRUNCATED", at, "ends in the middle of a character", "write it whole"
            ) from error
        line = data.count(b"\n", 0, error.start) + 1
        raise XmlError(
            "XML_ENCODING",
            f"{at}:{line}",
            f"says {declared}, and byte {error.start} (0x{data[error.start]:02x}) is none of it",
            "correct the encoding it declares",
        ) from error


class _Open:
    """An element whose end has not come yet."""

    __slots__ = ("attributes", "children", "lang", "line", "name", "namespace", "text")

    def __init__(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        self.namespace, _, self.name = tag.rpartition(" ")
        self.attributes: dict[str, str] = {}
        self.lang: str | None = None
        for key, value in attributes.items():
            namespace, _, name = key.rpartition(" ")
            if namespace == XML_NS and name == "lang":
                self.lang = value or None
            elif namespace != SCHEMA_INSTANCE_NS:  # where its author keeps the schema is not ours
                self.attributes[name] = value
        self.children: list[Node] = []
        self.text: list[str] = []
        self.line = line

    def closed(self) -> Node:
        return Node(
            self.name, self.namespace, self.attributes, tuple(self.children), "".join(self.text), self.line, self.lang,
        )  # fmt: skip


class _Reader:
    """One parse of one document."""

    def __init__(self, at: str, max_depth: int) -> None:
        self._at = at
        self._max_depth = max_depth
        self._stack: list[_Open] = []
        self._elements = 0
        self._root: Node | None = None

    def read(self, data: bytes, encoding: str | None) -> Node:
        self._parser = parser = expat.ParserCreate(encoding, namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.ExternalEntityRefHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(data, True)  # noqa: FBT003, Expat takes it by position only
        except expat.ExpatError as error:
            raise self._named(error) from error
        except (
            LookupError,
            ValueError,
        ) as error:  # of Python, which knows more encodings than Expat
            found = f"is in an encoding nobody reads here ({error})"
            raise XmlError("XML_ENCODING", f"{self._at}:1", found, "write it in UTF-8") from error
        if self._root is None:
            raise XmlError("XML_TRUNCATED", self._at, "has no element", "write it whole")
        return self._root

    def _where(self) -> str:
        return f"{self._at}:{self._parser.CurrentLineNumber}"

    def _doctype(self, *_: Any) -> int:
        raise XmlError(
            "XML_DOCTYPE",
            self._where(),
            "has a document type, which could declare entities",
            "send it without DOCTYPE",
        )

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if len(self._stack) >= self._max_depth:
            found = f"elements lie more than {self._max_depth} deep"
            raise XmlError("XML_TOO_DEEP", self._where(), found, "no document of this kind is so")
        if self._elements > MAX_ELEMENTS:
            found = f"has more than {MAX_ELEMENTS} elements"
            raise XmlError("XML_TOO_LARGE", self._where(), found, "split it")
        if tag.startswith(f"{XINCLUDE_NS} "):
            raise XmlError(
                "XML_INCLUDE", self._where(), "includes another document", "send it whole"
            )
        self._stack.append(_Open(tag, attributes, self._parser.CurrentLineNumber))

    def _end(self, _: str) -> None:
        node = self._stack.pop().closed()
        if self._stack:
            self._stack[-1].children.append(node)
        else:
            self._root = node

    def _text(self, text: str) -> None:
        self._stack[-1].text.append(text)

    def _named(self, error: expat.ExpatError) -> XmlError:
        said = expat.ErrorString(error.code) or "unknown fault"
        where = f"{self._at}:{error.lineno}"
        if error.code in _TRUNCATED:
            return XmlError("XML_TRUNCATED", where, f"ends too early ({said})", "write it whole")
        if error.code in _WRONG_ENCODING:
            found = f"is not in the encoding it declares, or in one nobody reads here ({said})"
            return XmlError("XML_ENCODING", where, found, "write it in UTF-8")
        return XmlError("XML_MALFORMED", where, f"is no XML ({said})", "correct it at its source")


def element(
    name: str,
    *content: Node | str | None,
    namespace: str = "",
    lang: str | None = None,
    **attributes: str | None,
) -> Node:
    """A node to be written: its children and text in order, None left out. Attributes are named with `_` for `-`.

    Without a namespace it takes the one of the element it is written into.
    """
    return Node(
        name,
        namespace,
        {key.replace("_", "-"): text for key, text in attributes.items() if text is not None},
        tuple(item for item in content if isinstance(item, Node)),
        "".join(item for item in content if isinstance(item, str)),
        lang=lang,
    )


def maybe(name: str, text: object, *, lang: str | None = None) -> Node | None:
    """An element with that text; None where there is none."""
    return None if text is None or text == "" else element(name, str(text), lang=lang)


def serialize(root: Node, at: str) -> bytes:
    """The document in UTF-8, one element a line. Raises `XmlError` for text that no XML can hold."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    _lines(root, "", 0, lines, at)
    return ("\n".join(lines) + "\n").encode()


def _lines(node: Node, namespace: str, depth: int, lines: list[str], at: str) -> None:
    own = node.namespace or namespace
    head = node.name
    if own != namespace:
        head += f" xmlns={quoteattr(own)}"
    if node.lang:
        head += f" xml:lang={quoteattr(node.lang)}"
    for key, value in node.attributes.items():
        head += f" {key}={quoteattr(_legal(value, node, at))}"
    indent = "  " * depth
    text = escape(_legal(node.text, node, at))
    if node.children:
        lines.append(f"{indent}<{head}>{text}")
        for child in node.children:
            _lines(child, own, depth + 1, lines, at)
        lines.append(f"{indent}</{node.name}>")
    else:
        lines.append(f"{indent}<{head}>{text}</{node.name}>" if text else f"{indent}<{head}/>")


def _legal(text: str, node: Node, at: str) -> str:
    found = _FORBIDDEN.search(text)
    if found:
        raise XmlError(
            "XML_CHARACTER",
            at,
            f"{node.name} holds the character U+{ord(found[0]):04X}",
            "no XML can hold it; correct the text at its source",
        )
    return text
