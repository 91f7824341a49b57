"""The seam between campus and office: what is found by folder, what each office owes, and how it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from connectors.sandbox.offices import directory
from connectors.sandbox.offices.directory import (
    OFFICES,
    RESOURCES,
    SETTLES,
    OfficeError,
    discovered,
    layout,
    owned,
    shared,
)
from connectors.sandbox.store import Store

POSTAL = """
from connectors.sandbox.store import Effect

TABLES = '''
CREATE TABLE letter (letter_id TEXT PRIMARY KEY, state TEXT, cause TEXT) STRICT;
CREATE TRIGGER letter_kept BEFORE DELETE ON letter BEGIN SELECT raise(ABORT, 'letters stay'); END;
'''
EFFECTS = (Effect("letter", "state", "letter_id", "NEW.state"),)
RESOURCES = {"letter": "postal.letter-changed"}
PHASES = {"agreements": print}
RECEIVES = {"project.changed": print}
SETTLES = {"letter": print}


def work(desk):
    return 2
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """A function from file names and texts to a package of offices."""

    def make(**modules: str) -> ModuleType:
        found = ModuleType("offices_of_a_test")
        found.__path__ = [str(tmp_path)]
        monkeypatch.setitem(sys.modules, found.__name__, found)
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
            monkeypatch.delitem(sys.modules, f"{found.__name__}.{name}", raising=False)
        return found

    return make


def test_a_new_office_is_one_file(package: Callable[..., ModuleType], tmp_path: Path) -> None:
    """Found by its name, with tables, journal and resources of its own; helpers beside it are no offices."""
    (postal,) = discovered(
        package(postal=POSTAL, shapes_postal="", _stamps="", directory="raise AssertionError")
    )
    assert (postal.name, list(postal.phases), postal.flags) == ("postal", ["agreements"], {})
    whole = layout([*OFFICES, postal])
    assert whole.events == {**RESOURCES, "letter": "postal.letter-changed"}
    with closing(Store(tmp_path / "campus.db", whole)) as store:
        store.db.execute("INSERT INTO letter VALUES ('l-1', 'sent', 'event-1')")
        assert [tuple(row) for row in store.all("SELECT * FROM journal")] == [
            ("event-1", "letter", "l-1", "sent")
        ]


def test_an_office_says_what_it_does_even_if_it_does_nothing(
    package: Callable[..., ModuleType],
) -> None:
    """A forgotten table of handlers would be an office that silently hears nothing."""
    with pytest.raises(OfficeError, match="office postal has no SETTLES; give it one, or call"):
        discovered(package(postal="PHASES = RECEIVES = {}"))


def test_a_phase_that_no_term_comes_to_is_named(package: Callable[..., ModuleType]) -> None:
    """It would never begin, and nobody would notice."""
    with pytest.raises(OfficeError, match="phase tea, which no term comes to; add it to TERM"):
        discovered(package(postal="PHASES = {'tea': print}\nRECEIVES = SETTLES = {}"))


def test_a_resource_has_one_owner_and_an_event_may_have_several_readers(
    package: Callable[..., ModuleType],
) -> None:
    """Two offices may want to hear of a project; of two that publish `result` one would get the other's outcomes."""
    (postal,) = discovered(package(postal=POSTAL))
    with pytest.raises(OfficeError, match="letter belongs to the offices postal and postal"):
        owned((office, office.resources) for office in (postal, postal))
    heard = shared(office.receives for office in (*OFFICES, postal))
    assert len(heard["project.changed"]) == 2


def test_each_resource_has_a_mapping_of_its_event_and_someone_who_hears_the_outcome() -> None:
    """The connector's template names them all; nothing lists them twice."""
    folder = files("connectors.sandbox") / "connector_template" / "mapping"
    types = {}
    for item in folder.iterdir():
        lines = item.read_text(encoding="utf-8").splitlines()
        types[item.name.removesuffix(".toml")] = next(
            line.partition('"')[2].strip('"') for line in lines if line.startswith("type = ")
        )
    assert types == RESOURCES
    assert set(SETTLES) == set(RESOURCES)


def test_a_table_with_two_effects_notes_a_new_row_once() -> None:
    """Otherwise every first event of a thing would look as if applied twice."""
    noted = [effect.table for office in OFFICES for effect in office.effects if effect.on_insert]
    assert len(noted) == len(set(noted))


def test_every_phase_of_an_office_comes_in_the_order_of_the_term() -> None:
    """Phases that no office has are left out: the driver would wait a second for nothing."""
    assert list(directory.PHASES) == [
        name for name in directory.TERM if any(name in office.phases for office in OFFICES)
    ]
