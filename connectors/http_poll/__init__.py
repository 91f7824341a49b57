"""Source: a JSON API that is asked for its changes, or for a collection page by page."""
