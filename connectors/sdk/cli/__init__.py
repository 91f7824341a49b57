"""`alliance connector` and `alliance erase`: one module for each group of commands."""
