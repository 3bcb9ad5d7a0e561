"""The operator API: what needs a person, and dead letters."""
