"""How far a long check is, how fast, how long still: one line on standard error, where a person looks at it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

FIRST_S = 0.5  # what is over sooner needs no line
EVERY_S = 0.2
_BAR = 24


@dataclass(slots=True)
class Progress:
    """Counts what is done. Writes nothing where standard error is no terminal, or `quiet`."""

    what: str
    total: int = 0  # 0: nobody knows yet
    quiet: bool = False
    out: TextIO = field(default_factory=lambda: sys.stderr)
    done: int = 0
    _start_s: float = field(default_factory=lambda: time.monotonic())
    _next_s: float = 0.0

    def __post_init__(self) -> None:
        self.quiet = self.quiet or not self.out.isatty()
        self._next_s = self._start_s + FIRST_S

    def add(self, count: int = 1, total: int | None = None) -> None:
        """More is done; `total` where it is known by now."""
        self.done += count
        self.total = self.total if total is None else total
        now_s = time.monotonic()
        if self.quiet or now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        self.out.write(f"\r{self.line(now_s - self._start_s)}\x1b[K")
        self.out.flush()

    def line(self, seconds: float) -> str:
        """What is shown after that many seconds."""
        rate = self.done / seconds if seconds > 0 else 0.0
        if not self.total:
            return f"{self.what} {self.done:,} ({rate:,.0f}/s)"
        full = min(_BAR, _BAR * self.done // self.total)
        left_s = (self.total - self.done) / rate if rate else 0.0
        bar = "#" * full + "." * (_BAR - full)
        return f"{self.what} [{bar}] {self.done:,} of {self.total:,} ({rate:,.0f}/s), {left_s:,.0f} s left"

    def end(self) -> None:
        """Take the line away."""
        if not self.quiet:
            self.out.write("\r\x1b[K")
            self.out.flush()
