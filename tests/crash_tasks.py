"""Pieces of work that a process of its own does, and may die in: ``Crashes.of`` has one of these forked and run.

Arguments come as JSON. The house is the environment's; where a platform has part in it, a script stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from adapters.contract import Account, Draft, FinalizeResult, Platform, Published
from adapters.errors import CredentialsExpired
from pipeline.accounts import authorize as connect
from pipeline.accounts import refresh as credentials
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import dead_letters
from pipeline.maintenance import JOBS
from pipeline.maintenance.fill_urls import fill_urls
from pipeline.maintenance.rebuild_broker import rebuild_broker
from pipeline.stages import publish as publishing
from pipeline.stages import reachability
from pipeline.stages.ingest import accept
from pipeline.stages.post_request import PostRequest
from pipeline.store.accounts.oauth_sessions import CLI
from pipeline.store.auth.keys import find_caller
from pipeline.store.database import row
from pipeline.store.deliveries.dead_letters import Scope
from pipeline.store.vault_rotation import rotate
from pipeline.wiring import get_context
from tests.pipeline.scripted_adapter import Script, raising, with_script


def chore(name: str) -> None:
    """One tick of a chore."""
    JOBS[name](get_context())


def rebuild() -> None:
    """What `slipway broker rebuild` does."""
    rebuild_broker(get_context(), per_second=100_000, on_progress=lambda _: None)


def find_addresses(url: str) -> None:
    """The chore that finds addresses, at a platform that knows this one."""
    fill_urls(with_script(get_context(), Script(look=lambda _: Published(remote_id=url, url=url))))


def publish(delivery: str, generation: int, what: str) -> None:
    """One slice at a platform that behaves like this."""
    publishing.publish(with_script(get_context(), _PLATFORMS[what]), UUID(delivery), generation)


def _publishes_after_the_rescue(draft: Draft, _: Account) -> FinalizeResult:
    with get_context().database.begin() as c:
        row(
            c,
            "UPDATE deliveries SET state = 'unknown', fence = fence + 1 WHERE id = :id RETURNING id",
            id=UUID(draft.delivery_id),
        )
    return Published(remote_id="late")


_PLATFORMS: Mapping[str, Script] = {
    "stale": Script(finalize=raising(CredentialsExpired("The token is stale."))),
    "so slow that its worker is taken for dead": Script(finalize=_publishes_after_the_rescue),
}


def check(check_id: str) -> None:
    """One try of one URL."""
    reachability.run_check(get_context(), UUID(check_id))


def ingest(key: str, request: Mapping[str, object]) -> None:
    """One post, as the API takes it."""
    with get_context().database.begin() as c:
        caller = find_caller(c, key)
    assert caller is not None
    given = {**request, "account_ids": [UUID(str(a)) for a in request["account_ids"]]}  # type: ignore[attr-defined]
    accept(get_context(), caller, PostRequest(**given, body_sha256=b"the same body"))  # type: ignore[arg-type]


def cancel(key: str, posts: list[str]) -> None:
    """Takes posts back, as the API does."""
    with get_context().database.begin() as c:
        caller = find_caller(c, key)
    assert caller is not None
    steer.cancel(get_context(), caller, [UUID(p) for p in posts])


def discard(workspace: str, letters: list[str]) -> None:
    """Gives dead letters up."""
    scope = Scope(workspace=UUID(workspace))
    dead_letters.discard(get_context(), scope, [UUID(x) for x in letters], why="not worth it", who="a test")


def decline(platform: str, state: str) -> None:
    """A person came back and had said no."""
    connect.decline_authorization(get_context(), Platform(platform), state, "access_denied", CLI)


def refresh(account: str, version: int) -> None:
    """Renews an account's tokens."""
    credentials.refresh(get_context(), UUID(account), version)


def seal(keys: str) -> None:
    """Seals every secret with the newest of these keys, one at a time."""
    rotate(get_context().database, keys, lambda _: None, batch=1)
