"""Replays: a request that was accepted before is answered with its post as it is now. Nothing is created or changed.

Requests with the same ``external_id`` are one; with another body the second is refused. Without one, requests with
equal bodies within the window are one, unless the post was changed, cancelled or deleted since, or failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import OPEN, PostStatus, apply_due_time
from pipeline.runtime.context import Context
from pipeline.stages.new_post import PostPlan, Submission
from pipeline.stages.post_request import AcceptanceWarning, AcceptedPost, PostContent, PostRequest, Refusal
from pipeline.stages.warnings import find_warnings
from pipeline.store.idempotency_keys import Claimed, IdempotencyKey, claim, find_claim
from pipeline.store.posts import idempotency as store
from pipeline.store.posts.actions import LockedPost
from pipeline.store.posts.idempotency import OpenPost, Replay
from pipeline.store.posts.pins import WaitingPost

REUSED = "idempotency_key_reused"


@dataclass
class Replayed(Exception):
    """An equal request with this key made the resource before; this one makes nothing."""

    resource: UUID


def claim_key(c: Connection, key: IdempotencyKey | None, resource: UUID) -> None:
    """Claim the key, if there is one, for a resource of this transaction.

    Raises Replayed for an equal request, and Refusal 409 if the key was used for another one.
    """
    if key is not None:
        _compare(key, claim(c, key, resource))


def refuse_claimed(c: Connection, key: IdempotencyKey | None) -> None:
    """Raise as ``claim_key`` does if the key, where there is one, was claimed before; claim nothing."""
    if key is not None:
        _compare(key, find_claim(c, key))


def _compare(key: IdempotencyKey, earlier: Claimed | None) -> None:
    if earlier is None:
        return
    if earlier.request_sha256 != key.request_sha256:
        message = (
            f"Idempotency-Key {key.value!r} was used for another request within the last day; nothing was done. "
            "Use a new key for a new request, or repeat the earlier one exactly."
        )
        raise Refusal(409, REUSED, message)
    raise Replayed(earlier.resource)


def build_token(context: Context, submission: Submission) -> str | None:
    """Return the token by which a repeat of this request is recognised; None when it is never taken for a repeat.

    A key that is bound to accounts has tokens of its own realm, so that no key learns which ids others use.
    """
    request, realm = submission.request, submission.caller.realm
    if submission.row_token is not None:
        return submission.row_token
    if request.external_id is not None:
        return f"bound:{realm}:{request.external_id}" if realm else f"id:{request.external_id}"
    return f"body:{realm}{request.fingerprint.hex()}" if context.settings.ingest.dedupe_window else None


def find_replay(context: Context, c: Connection, submission: Submission) -> AcceptedPost | None:
    """Return the post an equal request made before. Raises Refusal when its external_id was used for another body."""
    found = find_replays(context, c, {0: (submission, build_token(context, submission))}).get(0)
    if isinstance(found, Refusal):
        raise found
    return found


def find_replays(
    context: Context, c: Connection, repeats: Mapping[int, tuple[Submission, str | None]]
) -> dict[int, AcceptedPost | Refusal]:
    """Find the posts that equal requests made; a replay is answered even if its request breaks a rule by now."""
    names = {n: (s.workspace, token) for n, (s, token) in repeats.items() if token is not None}
    if not names:
        return {}
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    importing = any(s.import_id is not None for s, _ in repeats.values())
    known = store.find_replays(c, list(dict.fromkeys(names.values())), window, importing=importing)
    found = {n: known[name] for n, name in names.items() if name in known}
    equal = {n: replay for n, replay in found.items() if is_equal(repeats[n][0].request, replay)}
    named = {replay.post_id: repeats[n][0].caller.accounts is None for n, replay in equal.items()}
    waiting = {r.post_id for r in equal.values() if not r.deleted and _read_status(r) in OPEN}
    warnings = find_open_warnings(context, c, {post: named[post] for post in waiting})
    return {
        n: _accept(replay, warnings.get(replay.post_id, []))
        if n in equal
        else _refuse(repeats[n][0].request, replay)
        for n, replay in found.items()
    }


def refuse_erased(c: Connection, plans: Mapping[int, PostPlan]) -> dict[int, Refusal]:
    """Refuse what a deleted workspace published under the same ``external_id`` to the same account at the platform."""
    named = {
        (n, account.platform, account.remote_id, plan.submission.request.external_id)
        for n, plan in plans.items()
        for account in plan.accounts
        if plan.submission.request.external_id is not None
    }
    return {
        n: _refuse_erased(plans[n].submission.request) for n in (store.find_erased(c, named) if named else ())
    }


def _refuse_erased(request: PostRequest) -> Refusal:
    said = (
        f"external_id {request.external_id!r} was published to the account by a workspace that was deleted."
    )
    return Refusal(409, "create_failed", said)


def is_equal(request: PostRequest, replay: Replay) -> bool:
    """Return True if the request's body equals the stored one."""
    return replay.fingerprint == request.fingerprint


def _accept(replay: Replay, warnings: Sequence[AcceptanceWarning]) -> AcceptedPost:
    return AcceptedPost(
        id=replay.post_id,
        status=_read_status(replay),
        scheduled_at=replay.scheduled_at,
        warnings=warnings,
        duplicate=True,
        deleted=replay.deleted,
    )


def _refuse(request: PostRequest, replay: Replay) -> Refusal:
    said = f"external_id {request.external_id!r} was used for a post with another body ({replay.post_id})."
    return Refusal(409, "create_failed", said)


def _read_status(replay: Replay) -> PostStatus:
    return apply_due_time(PostStatus(replay.status), replay.due_at, replay.now)


def find_open_warnings(
    context: Context, c: Connection, named: Mapping[UUID, bool]
) -> dict[UUID, list[AcceptanceWarning]]:
    """Find the warnings of now about posts that are still to be published, by post.

    *named*: the posts, each with whether its warnings say which post a neighbour is.
    """
    found = {}
    for post in store.read_open_posts(c, named):
        says, name = read_content(post, post.own), named[post.id]
        found[post.id] = find_warnings(
            context, c, post.id, says, post.accounts, post.dues, post.checks, named=name
        )
    return found


def read_content(post: OpenPost | LockedPost | WaitingPost, own: Mapping[UUID, OwnContent]) -> PostContent:
    """Return the content of a stored post as a request has it. *own*: what single accounts have of their own."""
    return PostContent(
        caption=post.caption,
        media=post.media,
        music_url=post.music_url,
        options=post.options,
        ai_generated=post.ai_generated,
        first_comment=post.first_comment,
        own=own,
    )
