"""Recovery from a restored backup: the epoch file, the send guard, and accepting a restore."""
