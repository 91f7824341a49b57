"""Schemas on the wire: the catalogue published where clients without this package find it."""
