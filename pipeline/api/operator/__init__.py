"""The operator API: dead letters."""
