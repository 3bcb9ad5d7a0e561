"""Fuzzing of every reader of user bytes: `make fuzz`."""
