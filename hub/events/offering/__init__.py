"""Rules of the offering events."""
