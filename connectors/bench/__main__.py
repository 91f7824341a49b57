"""`python -m connectors.bench`."""

from connectors.bench.cli import app

app()
