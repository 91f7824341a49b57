"""Words of the alliance as values: reasons, units, things with a life. Standard library only."""
