"""Everything that an operator may change."""
