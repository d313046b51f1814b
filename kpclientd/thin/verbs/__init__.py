"""The requests of the thin-client protocol: a module for each family of verbs, and the table that lists them all."""
