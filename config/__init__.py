"""Everything an operator may change, and nothing else."""
