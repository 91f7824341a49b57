"""A campus in memory, both directions: the kind to copy when you write one."""
