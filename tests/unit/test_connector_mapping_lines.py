"""On which line a key stands: every refusal of a configuration file leans on it."""

import tomllib
from pathlib import Path

import pytest

from connectors.sdk.mapping.toml_lines import TomlFault, parse_toml

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("connectors", "hub", "schemas")
    for path in (ROOT / folder).rglob("*.toml")
    if "$" not in path.read_text("utf-8")
)

TEXT = """\
# a comment = "no key"
a = 1
"b.c".d = "x # ] }"
e = '''
multi ' line
f = 2
'''
[t.'u v']
k = [
  1, # one
  { x = 1, "y" = [2,
    3] },
]
[[items]]
n = 2026-01-01 00:00:00
[items.sub]
z = { p.q = 1, r = 'its' }
[[items]]
n = \"\"\"a\\\" \" quote\"\"\"\"
m = 3
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 2),
        (("b.c", "d"), 3),
        (("e",), 4),
        (("t", "u v"), 8),
        (("t", "u v", "k", 0), 10),
        (("t", "u v", "k", 1, "x"), 11),
        (("t", "u v", "k", 1, "y", 1), 12),
        (("items", 0, "n"), 15),
        (("items", 0, "sub", "z", "p", "q"), 17),
        (("items", 1), 18),
        (("items", 1, "m"), 20),
        (("items", 0, "sub", "gone"), 16),  # what is missing is said at its table
        (("t", "u v", "k", 7), 9),
        (("gone", "too"), None),
    ],
)
def test_each_kind_of_key_is_found(path, line):
    """Tables, dotted and quoted keys, lists of tables, inline tables over several lines."""
    _, lines = parse_toml(TEXT, "x.toml")
    assert lines.line(path) == line
    assert lines.at(path) == ("x.toml" if line is None else f"x.toml:{line}")


def test_a_refusal_names_file_line_key_and_fix():
    """The form that editors turn into a link."""
    _, lines = parse_toml(TEXT, "x.toml")
    assert lines.said(("b.c", "d"), "remove it") == "x.toml:3: b.c.d: remove it"
    assert lines.said((), "add one") == "x.toml: add one"


def test_what_is_no_toml_is_said_with_its_line():
    """Reading stops there; the file's name alone does not help."""
    with pytest.raises(TomlFault, match="not TOML: invalid value; correct that line") as caught:
        parse_toml("a = 1\nb = yes\n", "x.toml")
    assert caught.value.line == 2


def every_path(value, at=()):
    """The path of each key and list item of a file's values."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    for name, held in inner:
        yield (*at, name)
        yield from every_path(held, (*at, name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_lines_of_our_own_files_are_found_key_for_key(path):
    """tomllib says which keys there are; none may be without a line, and each line holds its key's last name."""
    text = path.read_text("utf-8")
    values, lines = parse_toml(text, str(path))
    assert values == tomllib.loads(text)
    written = text.splitlines()
    for key in every_path(values):
        assert key in lines.found
        name = key[-1]
        assert isinstance(name, int) or name in written[lines.found[key] - 1]
