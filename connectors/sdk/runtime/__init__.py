"""A connector at work: what reads, maps, publishes, delivers, waits, tries again and says how it is."""
