"""Processes of the hub: which command runs which part, and what an operator calls on topics and ledger."""
