"""Sink: a JSON API that takes batches of events, outcomes and flags and answers for each."""
