"""Rules of the project events."""
