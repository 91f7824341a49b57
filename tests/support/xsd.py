"""Schemas of document formats, where a machine has them: a folder named by ALLIANCE_XSD, searched for namespaces.

They are other projects' files and not ours to keep. `src/main/resources/schemas` of
https://github.com/erasmus-without-paper/ewp-registry-service has all that these tests ask for.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from connectors.sdk.xml.document import parse

_TARGET = re.compile(rb'targetNamespace\s*=\s*"([^"]+)"')


@cache
def _files() -> dict[str, str]:
    """Of each namespace, the file of its newest version (by name of folder)."""
    named = os.environ.get("ALLIANCE_XSD")
    found: dict[str, str] = {}
    for path in sorted(Path(named).rglob("*.xsd")) if named else ():
        target = _TARGET.search(path.read_bytes())
        if target:
            found[target[1].decode()] = str(path)
    return found


def assert_valid(document: bytes) -> None:
    """The document is as the schema of its root's namespace has it. Skips where there are no schemas."""
    if not _files():
        pytest.skip("no schemas here: ALLIANCE_XSD names no folder that has some")
    pytest.importorskip("xmlschema")
    faults = [
        f"{error.path}: {error.reason}" for error in _schema(parse(document, "document").namespace).iter_errors(document.decode())
    ]  # fmt: skip
    assert not faults, "\n".join(faults)


@cache
def _schema(namespace: str):
    import xmlschema

    files = _files()
    assert namespace in files, f"no schema of {namespace} in ALLIANCE_XSD"
    return xmlschema.XMLSchema(files[namespace], locations=list(files.items()), allow="local")
