"""Source: an outbox table that the campus's own transactions write, read without losing the late ones."""
