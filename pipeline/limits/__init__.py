"""Limits of what may be done how fast, by whom: rate buckets, shared slots, circuit breakers, platform health."""
