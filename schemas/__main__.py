"""`python -m schemas build|check|list`."""

from schemas.cli import app

app(prog_name="python -m schemas")
