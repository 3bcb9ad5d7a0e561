"""Accounts at the platforms: credentials, refreshes, and the OAuth sessions that add them."""
