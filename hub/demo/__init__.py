"""One term of the alliance through the real system on this machine: `alliance demo`.

Starts every part as a process by its command line, as an installation would, and counts what came out.
"""
