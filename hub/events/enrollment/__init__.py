"""Rules of the enrollment events."""
