"""Members' keys: making them, and writing the public halves into the alliance's configuration."""
