"""The state of a post before an action on it: its public status, what is in flight, and its version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from pipeline.domain.delivery import SETTLED, State, may_be_changed
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status, derive_post_status
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.views import PostView


def compute_status(post: LockedPost) -> PostStatus:
    """Compute the status that a reader sees now."""
    return derive_post_status(compute_account_status(post, p) for p in post.deliveries if not p.removed)


def compute_account_status(post: LockedPost, delivery: LockedDelivery) -> PostStatus:
    """Compute the status of one account that a reader sees now."""
    stored = derive_account_status(delivery.state, delivery.reason)
    return apply_due_time(stored, delivery.due_at, post.now)


def is_in_flight(delivery: LockedDelivery) -> bool:
    """Return True if the delivery is or may be live, so that it can no longer be changed or cancelled."""
    if delivery.state is State.FAILED:
        return delivery.may_be_live or delivery.is_proven_live
    if delivery.state in SETTLED:
        return False
    return delivery.may_be_live or not may_be_changed(delivery.state, armed=delivery.armed)


def compute_version(view: PostView) -> str:
    """Compute the ETag of a post, which changes with everything that a reader sees of it."""
    visible = asdict(view)
    visible["now"] = view.due_at <= view.now  # a scheduled post whose time has come reads as pending
    for delivery in visible["deliveries"]:
        del delivery["next_at"], delivery["armed_at"]
    text = json.dumps(visible, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
