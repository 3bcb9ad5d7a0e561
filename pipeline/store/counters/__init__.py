"""Counters and gauges for /metrics: the same from every process, and after a restart."""
