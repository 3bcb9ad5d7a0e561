"""Keep the texts of posts that searches read: of new posts and of edited ones, within seconds."""

from __future__ import annotations

import time

from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store.posts.texts import save_texts

SPAN, MOST = 500, 10_000
"""Ids of moves per transaction, and per run: other jobs wait in the same queue."""


def index_texts(context: Context, *, span: int = SPAN, most: int = MOST) -> int:
    """Return how many texts were saved. Of concurrent runs one works, and the others return at once.

    A run rests after each transaction for as long as it took: the texts of a burst, all at once, would keep requests
    waiting for a processor.
    """
    saved = 0
    for _ in range(0, most, span):
        start = time.monotonic()
        with context.database.begin() as c:
            done = save_texts(c, span)
            failpoint("texts.saved")
        failpoint("texts.committed")
        saved += done[0] if done else 0
        if done is None or done[1] <= 0:
            break
        time.sleep(time.monotonic() - start)  # the pace of the job, not a wait for something
    return saved
