"""`python -m connectors`: the same as `alliance connector`."""

from connectors.sdk.cli.main import app

app()
