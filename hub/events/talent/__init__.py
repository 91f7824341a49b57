"""Rules of the talent events."""
