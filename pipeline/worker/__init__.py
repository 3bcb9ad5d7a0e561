"""Celery: the app, its queues, and tasks of three lines."""
