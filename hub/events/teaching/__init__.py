"""Rules of the teaching events."""
