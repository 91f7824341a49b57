"""Figures of the path of value, against a plain Faust agent in the same run. `make bench` runs it."""
