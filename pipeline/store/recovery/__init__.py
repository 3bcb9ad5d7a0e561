"""The database's record of the epoch, and the restores a person accepted."""
