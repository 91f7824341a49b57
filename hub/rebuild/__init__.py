"""Recomputing a long log on two cores: `ahead` is the second process, `rebuild` feeds both.

The rules themselves start no process; this stands between them and whoever reads a log.
"""
