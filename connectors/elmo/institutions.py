"""Institutions by their two names: the id a network knows them by (a SCHAC domain), and our member code."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.sdk.contract import ConfigError


@dataclass(frozen=True, slots=True)
class Institution:
    """One institution. `title`, `country` (two letters) and `url` are for documents that must show them."""

    hei_id: str
    member: str
    title: str = ""
    country: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Institutions:
    """All that the campus deals with."""

    file: str
    by_hei: Mapping[str, Institution]
    by_member: Mapping[str, Institution]

    def member(self, hei_id: str | None) -> str | None:
        """The member code of an id of the network; None for one that is not in the table. Ids are domains, so case does not count."""
        found = self.by_hei.get((hei_id or "").lower())
        return found.member if found else None


def load_institutions(path: Path) -> Institutions:
    """Read a table with the columns local (the network's id) and alliance (the member code), and, for documents we write, title, country and url.

    Raises `ConfigError`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; add the table, columns local,alliance,title,country,url"
        ) from error
    found = []
    for number, row in enumerate(rows, 2):
        texts = {key: (text or "").strip() for key, text in row.items() if isinstance(key, str)}
        if not texts.get("local") or not texts.get("alliance"):
            raise ConfigError(
                f"{path}:{number}: local or alliance is empty; fill it or remove the line"
            )
        columns = ("local", "alliance", "title", "country", "url")
        found.append(Institution(*(texts.get(name, "") for name in columns)))
    by_hei = {one.hei_id.lower(): one for one in found}
    by_member = {one.member: one for one in found}
    if len(by_hei) < len(found) or len(by_member) < len(found):
        raise ConfigError(f"{path}: names an institution twice; keep one line for each")
    return Institutions(str(path), by_hei, by_member)
