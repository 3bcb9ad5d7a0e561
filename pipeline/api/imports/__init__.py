"""Imports: files of many posts."""
