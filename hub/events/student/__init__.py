"""Rules of the student events."""
