"""Functions that ``Crashes.crash`` runs in a process of their own, which is killed at a failpoint.

Arguments are JSON values. Settings come from the environment; platforms are scripted adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from adapters.contract import Account, Draft, FinalizeResult, Platform, Published
from adapters.errors import CredentialsExpired
from pipeline.accounts import authorize as connect
from pipeline.accounts import refresh as credentials
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import lock_workspace
from pipeline.actions.delete_workspace import close
from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Steering
from pipeline.actions.steering import steer as start_steering
from pipeline.actions.undo import undo_job
from pipeline.api.posts.schema import FORM, build_post_format
from pipeline.domain.steering import Arguments, Verb
from pipeline.imports import control
from pipeline.imports.columns import Columns, Format
from pipeline.imports.step import run_step
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.maintenance import JOBS
from pipeline.maintenance.erasure import erase_workspaces
from pipeline.maintenance.finish_published import fill_urls, follow_up
from pipeline.maintenance.rebuild_broker import rebuild_broker
from pipeline.stages import publish as publishing
from pipeline.stages.ingest import accept
from pipeline.stages.post_request import PostRequest
from pipeline.store.accounts.oauth_sessions import CLI
from pipeline.store.auth.keys import Caller, find_caller
from pipeline.store.database import row
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.vault import rotate
from pipeline.webhooks.send_webhooks import send_webhooks
from pipeline.wiring import get_context
from tests.actors import TESTER
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.single_check import run_check


def run_job(name: str) -> None:
    """Run one maintenance job once."""
    JOBS[name](get_context())


def delete_scripted() -> None:
    """Run the deletions of workspaces against a platform that ends every grant."""
    erase_workspaces(with_script(get_context(), Script()))


def close_scripted(workspace: str) -> None:
    """Begin the deletion of a workspace."""
    close(get_context(), TESTER, UUID(workspace))


def lock_or_unlock(workspace: str, verb: str) -> None:
    """Lock a workspace, or unlock it."""
    if verb == "lock":
        lock_workspace.lock(get_context(), TESTER, UUID(workspace), "leaked")
    else:
        lock_workspace.unlock(get_context(), TESTER, UUID(workspace))


def rebuild() -> None:
    """Rebuild the broker, as `slipway broker rebuild` does."""
    rebuild_broker(get_context(), per_second=100_000, on_progress=lambda _: None)


def fill_missing_urls(url: str) -> None:
    """Run ``fill_urls`` against a platform that returns *url*."""
    fill_urls(with_script(get_context(), Script(look=lambda _: Published(remote_id=url, url=url))))


def do_scripted_follow_ups() -> None:
    """Run ``follow_up`` against a platform that takes everything."""
    follow_up(with_script(get_context(), Script()))


def publish(delivery: str, generation: int, what: str) -> None:
    """Run one publish slice; *what* names a script of ``_PLATFORMS``."""
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
    """Run one attempt of a check."""
    run_check(get_context(), UUID(check_id))


def ingest(key: str, request: Mapping[str, object]) -> None:
    """Accept one post as the API does."""
    caller = _find_caller(key)
    given = {**request, "account_ids": [UUID(str(a)) for a in request["account_ids"]]}  # type: ignore[attr-defined]
    accept(get_context(), caller, PostRequest(**given, fingerprint=FORM + b"the same body"))  # type: ignore[arg-type]


def cancel(key: str, posts: list[str]) -> None:
    """Cancel posts as the API does."""
    caller = _find_caller(key)
    steer.cancel(get_context(), caller, [UUID(p) for p in posts])


def store_import(key: str, path: str) -> None:
    """Store the file of a new import as the API does."""
    store_file(
        get_context(),
        _find_caller(key),
        ImportOptions(),
        Columns([]),
        [Path(path).read_bytes()],
        Format.NDJSON,
    )


def step_import(import_id: str) -> None:
    """Do the next step of an import as the worker does."""
    context = get_context()
    run_step(context, UUID(import_id), build_post_format(context.settings))


def roll_back_import(key: str, import_id: str) -> None:
    """Begin to roll an import back as the API does."""
    control.rollback(get_context(), _find_caller(key), UUID(import_id))


def step_steering(job_id: str) -> None:
    """Do the next step of a steering job as the worker does."""
    run_steering_step(get_context(), UUID(job_id))


def send_due_webhooks() -> None:
    """Send events to webhooks as the worker does."""
    send_webhooks(get_context())


def cancel_by_account(key: str, account: str) -> None:
    """Start a job that cancels what an account has, as the API does."""
    asked = Steering(verb=Verb.CANCEL, filter=ListFilter(account=UUID(account)), arguments=Arguments())
    start_steering(get_context(), _find_caller(key), asked, confirm=True)


def undo_steering(key: str, job: str) -> None:
    """Start the undo of a job, as the API does."""
    undo_job(get_context(), _find_caller(key), UUID(job))


def _find_caller(key: str) -> Caller:
    with get_context().database.begin() as c:
        caller = find_caller(c, key)
    assert caller is not None
    return caller


def decline(platform: str, state: str) -> None:
    """Complete an OAuth sign-in that the user declined."""
    connect.decline_authorization(get_context(), Platform(platform), state, "access_denied", CLI)


def refresh(account: str, version: int) -> None:
    """Refresh an account's tokens."""
    credentials.refresh(get_context(), UUID(account), version)


def rotate_keys(keys: str) -> None:
    """Re-encrypt every secret with the newest of these keys, one row per transaction."""
    rotate(get_context().database, TESTER, keys, lambda _: None, batch=1)
