"""Rules of the credit events."""
