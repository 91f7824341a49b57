"""Sink: rows of a campus's tables, written in one transaction with the note that a delivery was brought."""
