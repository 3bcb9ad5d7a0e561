"""Receipts: append them to each workspace's hash chain, and read them."""
