"""Rules of the agreement events."""
