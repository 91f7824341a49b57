"""The rules that hold for a university that has registered none of its own: default.toml beside this file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hub.recognition.language import RuleSet, parse


def default_text() -> str:
    """The text as it would travel in an event."""
    return files("hub.recognition").joinpath("default.toml").read_text(encoding="utf-8")


@cache
def default_rules() -> RuleSet:
    """`alliance-default`, version 1."""
    return parse(default_text())
