"""The operator API: what needs an operator, and dead letters."""
