"""Totals of posts by status and time, kept by triggers and compacted by a maintenance job."""
