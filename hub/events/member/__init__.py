"""Rules of the member events."""
