"""Checks of media and music URLs."""
