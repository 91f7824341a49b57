"""Rules of the practice events."""
