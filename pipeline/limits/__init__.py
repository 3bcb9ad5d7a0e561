"""What may be done how fast, by whom: rate buckets, shared slots, circuit breakers, health of the platforms."""
