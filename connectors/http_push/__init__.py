"""Sink: a JSON API that takes batches of events and outcomes and answers for each."""
