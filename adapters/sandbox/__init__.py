"""Fake platforms for development and tests: their HTTP APIs and rules, fault injection, a ledger of live posts.

Written from the vendors' documentation, never from the adapters, so that a misreading on one side shows on the other.
The README describes how to run it, the control API, the step of each endpoint, and how to add a platform.
"""
