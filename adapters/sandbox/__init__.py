"""Local stand-ins of the platforms: their wire, their rules, faults on demand, and a ledger of what went live.

Written from the vendors' documentation and never from the adapters, so that a misreading in one shows in the other.
The README says how to run it, what the control API offers, which step each endpoint is, and how to add a platform.
"""
