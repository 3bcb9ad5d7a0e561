"""Accounts: the OAuth flow that connects them, the selection of accounts, and the refresh of their credentials."""
