"""Uploaded files and their expiry."""
