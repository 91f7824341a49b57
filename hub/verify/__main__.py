"""`python -m hub.verify`."""

from hub.verify.cli import run

run()
