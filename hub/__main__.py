"""`python -m hub`: the command `alliance`."""

from hub.cli import main

main()
