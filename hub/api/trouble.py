"""What a trouble is, and words that all of them use. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hub.api.sentences import Text

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong. `code` and `about` identify it, `detail` is what was found, word for word."""

    code: str
    severity: str
    about: str
    title: Text
    detail: Text
    next_step: Text


def duration(seconds: float) -> Text:
    """A duration as people say it, one unit."""
    if seconds < 120:
        return Text(f"{seconds:.0f} s", f"{seconds:.0f} 秒")
    if seconds < 7200:
        return Text(f"{seconds / 60:.0f} min", f"{seconds / 60:.0f} 分钟")
    if seconds < 172_800:
        return Text(f"{seconds / 3600:.0f} h", f"{seconds / 3600:.0f} 小时")
    return Text(f"{seconds / 86_400:.0f} d", f"{seconds / 86_400:.0f} 天")


def same(words: str) -> Text:
    """Words that need no translation: what a program said."""
    return Text(words, words)
