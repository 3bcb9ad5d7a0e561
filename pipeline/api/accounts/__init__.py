"""Routes of accounts, the subscription, and the OAuth flow."""
