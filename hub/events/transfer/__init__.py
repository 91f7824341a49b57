"""Rules of the transfer events."""
