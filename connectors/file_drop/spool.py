"""The folder for copies of files: beside the state file, or where nothing may be left behind a temporary one."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

from connectors.sdk.contract import Context


class Spool:
    """Copies of one source's files. They hold what the files hold, so none stays longer than it is needed."""

    def __init__(self, context: Context) -> None:
        looking = context.memory is None
        self._temporary = tempfile.TemporaryDirectory() if looking else None
        self._path = (
            Path(self._temporary.name)
            if self._temporary
            else context.folder / f"spool-{context.name}"
        )
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Let go of it."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def copy(self, sha256: str) -> Path:
        """Where a copy with these contents lies."""
        return self._path / f"{sha256[:32]}.rows"

    def new(self) -> Path:
        """A name nobody else has: another reading of this source (a backfill) may copy the same file at the same time."""
        return self._path / f"incoming-{secrets.token_hex(8)}"

    def tidy(self, sha256: str | None = None) -> None:
        """Remove what an earlier life left, but for the copy with these contents."""
        kept = None if sha256 is None else self.copy(sha256)
        for path in self._path.iterdir():
            if path != kept:
                path.unlink(missing_ok=True)
