"""The broker carries notifications: Celery app, transport, queues, ticks, dispatch, and which queues are consumed."""
