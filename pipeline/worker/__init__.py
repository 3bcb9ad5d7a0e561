"""The Celery worker: app, tasks, thread pool, shutdown and watchdog."""
