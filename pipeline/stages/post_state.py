"""Where a post stands when somebody wants to steer it: its public word, what is in flight, and its version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from pipeline.domain.delivery import SETTLED, State, may_be_changed
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status, derive_post_status
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.views import PostView


def compute_status(post: LockedPost) -> PostStatus:
    """The post's word as a reader sees it."""
    return derive_post_status(
        apply_due_time(derive_account_status(p.state, p.reason), p.due_at, post.now) for p in post.deliveries
    )


def is_in_flight(part: LockedDelivery) -> bool:
    """Whether it may be live any moment, or be live already: then nobody may change it or take it back."""
    if part.state is State.FAILED:
        return part.may_be_live or part.is_proven_live
    if part.state in SETTLED:
        return False
    return part.may_be_live or not may_be_changed(part.state, armed=part.armed)


def compute_version(view: PostView) -> str:
    """What tells two states of a post apart: changes with everything a reader sees of it (an ETag's value)."""
    told = asdict(view)
    told["now"] = view.due_at <= view.now  # a scheduled post whose time has come reads as pending
    for delivery in told["deliveries"]:
        del delivery["next_at"], delivery["armed_at"]
    text = json.dumps(told, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
