"""Rules of the lab events."""
