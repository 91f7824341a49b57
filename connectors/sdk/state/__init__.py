"""What a connector must not forget: the state file, one module for each group of its tables."""
