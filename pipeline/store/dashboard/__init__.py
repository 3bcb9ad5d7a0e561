"""Reads for the pages of the dashboard."""
