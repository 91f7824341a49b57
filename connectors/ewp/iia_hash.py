"""The hash of an agreement in the network: SHA-256 over its conditions written out in one order.

Source: transform_version_7.xsl of https://github.com/erasmus-without-paper/ewp-specs-api-iias, stable-v7. What is left out
there is left out here: contacts, academic years at their place (they come last), and whatever is `not-yet-defined`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from connectors.sdk.xml.document import Node

_CONTACTS: Final = frozenset({"sending-contact", "receiving-contact"})
_YEARS: Final = ("receiving-first-academic-year-id", "receiving-last-academic-year-id")
_MARKS: Final = frozenset({"not-yet-defined", "v6-value"})
_TRUE: Final = ("true", "1")


def iia_hash(iia: Node) -> str:
    """Hex SHA-256 of an `iia` element of version 7."""
    return hashlib.sha256(text_to_hash(iia).encode()).hexdigest()


def text_to_hash(iia: Node) -> str:
    """What is hashed."""
    conditions = iia.child("cooperation-conditions") or Node("cooperation-conditions")
    ended = conditions.attributes.get("terminated-as-a-whole") in _TRUE
    parts = ["_@terminated-as-a-whole@_"] if ended else []
    for number, partner in enumerate(iia.all("partner"), 1):
        found = partner.child("iia-id")
        parts.append(f"_iia-id_{number}={found.text if found else ''}_")
    for spec in conditions.children:
        parts += _written(spec, (conditions.name, spec.name))
        for name in _YEARS:
            year = spec.child(name)
            parts.append(f"_{name}={year.text if year else ''}_")
    return "".join(parts)


def _written(node: Node, path: tuple[str, ...]) -> Iterator[str]:
    """Attributes and values below an element, in the order of the document."""
    if _undefined(node):
        return
    for child in node.children:
        if child.name in _CONTACTS or _undefined(child):
            continue
        at = (*path, child.name)
        if child.name not in _YEARS:
            for name, value in child.attributes.items():
                if name not in _MARKS:
                    yield f"_@{'.'.join((*at[-3:], name))}={value}@_"
            if not child.children:
                yield f"_{'.'.join(at[-3:])}={child.attributes.get('v6-value') or child.text}_"
        yield from _written(child, at)


def _undefined(node: Node) -> bool:
    return node.attributes.get("not-yet-defined") in _TRUE
