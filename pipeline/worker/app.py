"""What `celery -A pipeline.worker.app` runs: the app of ``pipeline.broker`` with our tasks on it."""

from config.settings import settings
from pipeline.broker import configured

app = configured(settings())
