"""Rules of the dispute events."""
