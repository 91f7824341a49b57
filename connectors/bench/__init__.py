"""Figures of connectors, one process, no broker: `python -m connectors.bench`."""
