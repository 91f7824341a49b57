"""What `alliance sandbox init` writes: a database for each campus and, beside it, the folder of its connector.

    <out>/sandbox.toml              seed and ports
    <out>/campuses/<code>/campus.db
    <out>/connectors/<code>/        connector.toml, mapping/*.toml, codes/*.csv: what a real campus would write

The connectors expect `<out>/alliance.toml` and `<out>/keys/<code>.key`, which `alliance members keygen` makes.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any

from connectors.sandbox import seeds
from connectors.sandbox.offices.directory import LAYOUT, RESOURCES
from connectors.sandbox.seeds import Site
from connectors.sandbox.store import Store
from schemas.members import Alliance

FILE = "sandbox.toml"
STAFF = 30  # people per campus; enough for courses and projects


class SandboxError(Exception):
    """The sandbox's folder cannot be used as it is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A campus of the sandbox: where its database lies and where it answers."""

    code: str
    database: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def write_sandbox(
    out: Path, alliance: Alliance, bootstrap: str, seed: int, students: int, base_port: int
) -> list[Place]:
    """Write campuses and connector folders for all members of an alliance. `students` is the number of all campuses.

    Raises `SandboxError` when campuses are there already: their rows may be on their way to a ledger.
    """
    if (out / FILE).exists():
        raise SandboxError(f"{out / FILE} is there already; name another folder or remove this one")
    codes = list(alliance.members)
    places = [
        Place(code, out / "campuses" / code / "campus.db", base_port + i)
        for i, code in enumerate(codes)
    ]
    for i, place in enumerate(places):
        share = students // len(codes) + (i < students % len(codes))
        seed_campus(
            place.database, seeds.site(seed, alliance.members[place.code]), codes, seed, share
        )
        write_connector(out / "connectors" / place.code, place, alliance, bootstrap)
    rows = "".join(
        f'\n[[campus]]\ncode = "{place.code}"\nport = {place.port}\n' for place in places
    )
    (out / FILE).write_text(f"seed = {seed}\nstudents = {students}\n{rows}", encoding="utf-8")
    return places


def read_places(folder: Path) -> list[Place]:
    """The campuses of a sandbox. Raises `SandboxError` when the folder holds none."""
    try:
        values = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise SandboxError(
            f"cannot read {folder / FILE}: {error.strerror}; run: alliance sandbox init --out {folder}"
        ) from error
    return [
        Place(row["code"], folder / "campuses" / row["code"] / "campus.db", row["port"])
        for row in values["campus"]
    ]


def seed_campus(path: Path, at: Site, members: Sequence[str], seed: int, students: int) -> None:
    """Make one campus's database: settings, people, courses, and offerings that are not published yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()  # of an init that did not get to its end
    store = Store(path, LAYOUT)
    # Pseudonyms must not be guessable at a real campus; here they must repeat with the seed.
    key = hashlib.sha256(f"{seed}/{at.code}/pseudonyms".encode()).hexdigest()
    people = seeds.staff(seed, at, STAFF, key)
    bodies = {title.zh: seeds.course_body(seed, at, title) for title in seeds.taught(at)}
    with store.transaction():
        for name, value in _settings(at, members, seed).items():
            store.set(name, value)
        store.db.executemany(
            "INSERT INTO student VALUES (?, ?, ?, ?, ?)", seeds.students(seed, at, students, key)
        )
        store.db.executemany("INSERT INTO staff VALUES (?, ?, ?, ?)", people)
        store.db.executemany(
            "INSERT INTO course VALUES (?, ?, ?, 'cn_credit', ?, ?)",
            [
                (
                    body["courseId"],
                    body["primaryCode"]["code"],
                    title,
                    round(body["studyLoad"]["value"] * 1000),
                    _text(body),
                )
                for title, body in bodies.items()
            ],
        )
        for title in seeds.offered(seed, at):
            course = bodies[title.zh]
            offering = seeds.offering_body(seed, at, course, [person[0] for person in people])
            store.db.execute(
                "INSERT INTO offering (offering_id, course_id, body) VALUES (?, ?, ?)",
                (offering["offeringId"], course["courseId"], _text(offering)),
            )
    store.close()


def _settings(at: Site, members: Sequence[str], seed: int) -> dict[str, str]:
    return {
        "code": at.code,
        "name_zh": at.name_zh,
        "name_en": at.name_en,
        "domain": at.domain,
        "region": at.region,
        "city": at.city,
        "fields": ",".join(at.fields),
        "hours_per_credit": str(at.hours_per_credit),
        "notation": at.notation,
        "members": ",".join(members),
        "seed": str(seed),
    }


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False)


_PRIVATE = """[private]
encryption = {{ file = "../../keys/{code}.encryption" }}

"""


def write_connector(folder: Path, place: Place, alliance: Alliance, bootstrap: str) -> None:
    """Fill in the connector template for one campus. Each resource of the feed has the mapping of its name."""
    filled = {
        "code": place.code,
        "name": alliance.members[place.code].name_en,
        "port": str(place.port),
        "bootstrap": bootstrap,
        "private": _PRIVATE.format(code=place.code)
        if alliance.members[place.code].encryption
        else "",
        "mappings": "\n".join(f'{name} = "mapping/{name}.toml"' for name in RESOURCES),
    }
    _copy(files("connectors.sandbox") / "connector_template", folder, filled)


def _copy(source: Traversable, target: Path, filled: Mapping[str, str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        if item.is_dir():
            _copy(item, target / item.name, filled)
        elif item.name.endswith((".toml", ".csv")):
            text = item.read_text(encoding="utf-8")
            if item.name == "connector.toml":
                text = Template(text).substitute(filled)
            (target / item.name).write_text(text, encoding="utf-8")
