"""A client of the daemon."""
