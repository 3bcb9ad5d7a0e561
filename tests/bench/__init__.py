"""Benchmarks (`python -m tests.bench`): each figure has a reference measured in the same run."""
