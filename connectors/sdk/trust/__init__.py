"""Whom a connector believes: the policy, promises and receipts, and the witness that it is itself."""
