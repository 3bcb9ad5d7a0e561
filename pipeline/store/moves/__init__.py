"""Moves: read them in order, without gaps, apart from the transactions that write them."""
