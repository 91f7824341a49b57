"""XML documents of the standards, read without entities and without network; what their kinds share."""
