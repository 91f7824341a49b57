"""Sink: a JSON API that takes events, outcomes and flags, in batches or one by one."""
