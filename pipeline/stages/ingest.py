"""Taking a post: every rule that needs accounts, clock or media, then one commit. It *is* the request.

Leaves deliveries scheduled when every check is decided good, else accepted. A crash before the commit leaves nothing;
one between commit and answer is healed by the client's repeat, which finds the post by its token.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection

from pipeline.context import Context
from pipeline.failpoint import failpoint
from pipeline.stages import media_checks as links
from pipeline.stages import post_rules as rules
from pipeline.stages.new_post import Draught, drawn, new_post, repeated, ring, taken, token_of
from pipeline.stages.post_request import Accepted, PostRequest, Refusal, Warned
from pipeline.stages.warnings import warnings_for
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.health import database_now
from pipeline.store.posts import posts as store


def accept(context: Context, caller: Caller, request: PostRequest) -> Accepted:
    """Stores the post, or finds the one an equal request made. Raises Refusal (nothing stored) and Unreachable."""
    with context.database.begin() as c:
        draught = _draught(context, c, caller, request)
        if isinstance(draught, Accepted):
            return draught
    _fit(context, draught, draught.checks)
    if links.undecided(draught.checks):
        draught.checks = links.wait_for(context, draught.checks, bulk=draught.caller.bulk)
        links.refuse_unreachable(draught.checks)
        _fit(context, draught, draught.checks)
    accepted = _store(context, draught)
    failpoint("ingest.committed", accepted.id)
    ring(context, [draught])
    return accepted


def _draught(context: Context, c: Connection, caller: Caller, request: PostRequest) -> Draught | Accepted:
    """Replay, then accounts, then clock and music: the order of the contract; opens the checks that are needed."""
    now = database_now(c)
    token = token_of(context, caller, request)
    if found := _replay(context, c, caller, request, token):
        return found
    accounts = rules.accounts_of(c, caller, request.account_ids)
    draught = drawn(context, caller, request, token=token, accounts=accounts, now=now)
    _fit(context, draught, {})  # whatever is wrong whatever the media are, before anybody fetches them
    wanted = links.links_of(request.media, rules.music_link_of(context, request.music_url))
    draught.checks = links.open_checks(context, c, caller.workspace_id, wanted)
    return draught


def replay_of(context: Context, c: Connection, caller: Caller, request: PostRequest) -> Accepted | None:
    """The post an equal request made before. Raises Refusal when its external_id was used for another body."""
    return _replay(context, c, caller, request, token_of(context, caller, request))


def _replay(
    context: Context, c: Connection, caller: Caller, request: PostRequest, token: str | None
) -> Accepted | None:
    """A repeat gets the original post, whatever has passed since; the same id with another body is refused."""
    if token is None:
        return None
    window = timedelta(seconds=context.settings.ingest.dedupe_window)
    found = store.find_replay(c, caller.workspace_id, token, request.body_sha256, window)
    if found is None:
        return None
    if not found.same_body:
        raise Refusal(
            409,
            "create_failed",
            f"external_id {request.external_id!r} was used for a post with another body ({found.post_id}).",
        )
    return repeated(found.post_id, due_at=found.due_at, created_at=found.created_at)


def _fit(context: Context, draught: Draught, checks: Mapping[int, Check]) -> None:
    rules.refuse_misfits(context, draught.request, draught.accounts, checks)


def _store(context: Context, draught: Draught) -> Accepted:
    """The one commit. The checks still open are locked in URL order: no verdict lands between reading and storing."""
    with context.database.begin() as c:
        draught.checks = links.locked(c, draught.caller.workspace_id, draught.checks)
        links.refuse_unreachable(draught.checks)
        _fit(context, draught, draught.checks)
        post = new_post(context, draught)
        if not store.take_token(c, post, timedelta(seconds=context.settings.ingest.dedupe_window)):
            winner = _replay(context, c, draught.caller, draught.request, draught.token)
            if winner is None:
                raise Refusal(500, "create_failed", "An equal request was being stored. Repeat it.")
            return winner
        store.insert_posts(c, [post])
        warnings = warnings_for(context, c, draught.request, draught.accounts, post.due_at, draught.checks)
    return taken(draught, post, warnings)


__all__ = ["Accepted", "PostRequest", "Refusal", "Warned", "accept"]
