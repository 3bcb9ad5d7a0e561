"""Steering jobs, their receipts, and paused deliveries."""
