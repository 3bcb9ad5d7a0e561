"""The reference of `POST /posts`: the same server, and the same way of a request up to its storing transaction.

Everything else stays as it is: the key looked up, the body read and checked, the transaction that reads clock, replays,
accounts and checks, the post made ready, the doorbell, the answer. Left out is the one transaction that stores: taking
the token, the rows of post, delivery, move and pins, the question about the day's quota, and the COMMIT that waits for
the disk. Never to be served to anybody: it answers 201 and stores nothing.
"""

from __future__ import annotations

from pipeline.api.app import create_app
from pipeline.core import Core
from pipeline.domain.delivery import State
from pipeline.domain.post import PostStatus
from pipeline.stages import ingest
from pipeline.stages.request import Accepted

STORING = ingest._store  # an import that fails is better than a reference that stores after all


def _not_stored(core: Core, draught: ingest._Draught) -> Accepted:
    """What `_store` does, less its transaction."""
    good = all(check.verdict == "good" for check in draught.checks.values())
    post = ingest._new_post(core, draught, State.SCHEDULED if good else State.ACCEPTED)
    ingest._fit(core, draught, draught.checks)
    status = PostStatus.PENDING if draught.immediate else PostStatus.SCHEDULED
    return Accepted(id=post.id, status=status, scheduled_at=post.due_at)


ingest._store = _not_stored
app = create_app()
