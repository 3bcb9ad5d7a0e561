"""Webhooks, their events, and the tries to send them."""
