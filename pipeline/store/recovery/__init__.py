"""The database's record of the epoch, and the restores an operator accepted."""
