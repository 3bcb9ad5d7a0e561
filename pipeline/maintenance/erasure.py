"""Erase closed workspaces (``actions.delete_workspace``) in steps of a job that can be killed anywhere (``job_loop``).

The job cancels what is not armed, and lets settle what is or may be live; a person decides what nothing proves. Once
the receipts are written it revokes the grants, then erases bytes and rows. What stays: receipts, tombstones, the row of
the deletion, and a line beside the epoch, by which a restore of an older backup erases the workspace again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from adapters.errors import AdapterError, CredentialsExpired, CredentialsRevoked, Unavailable
from adapters.oauth import RevokesGrants
from pipeline.accounts.refresh import refresh
from pipeline.actions.cancel_delete_retry import cancel_deliveries
from pipeline.actions.delete_workspace import WHY, close
from pipeline.domain.audit import Actor
from pipeline.domain.delivery import SETTLED
from pipeline.maintenance.expire import remove_objects
from pipeline.runtime.context import Context
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.failpoint import failpoint
from pipeline.runtime.job_loop import next_chunk_size, run_step
from pipeline.stages.post_state import is_in_flight
from pipeline.store import deletions as store
from pipeline.store import erase, jobs
from pipeline.store.accounts import accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.deletions import JOBS, Deletion, DeletionState
from pipeline.store.posts import actions as posts
from pipeline.store.vault import VaultError

SLICE = 4.0
"""Seconds that a run of the maintenance job gives to each deletion."""
FIRST, POSTS, OBJECTS = 20, 500, 20
"""Rows of the first transaction; posts that one statement lists; objects of one step."""
TRIES = 3
"""How often a platform that does not answer is asked to end a grant."""


def erase_workspaces(context: Context) -> int:
    """Do the next steps of every deletion, for a while each; return the number of steps."""
    with context.database.begin() as c:
        found = store.list_deletions(c, working=True)
    return sum(_run(context, one.id, SLICE) for one in found)


def erase_restored(context: Context, actor: Actor, epoch_file: EpochFile) -> list[UUID]:
    """Erase the workspaces that a backup brought back, whole, and close those that had not settled.

    Return those that could not be erased whole, as the store of files is away. Raises OSError.
    """
    left = []
    for workspace, is_settled in epoch_file.list_deleted().items():
        close(context, actor, workspace, again=is_settled)
        if is_settled:
            while _run(context, workspace, SLICE, again=True):
                pass
            with context.database.begin() as c:
                if store.find_name(c, workspace) is not None:
                    left.append(workspace)
    return left


def _run(context: Context, workspace: UUID, seconds: float, *, again: bool = False) -> int:
    """Do steps of one deletion until the time is over or it has to wait; none while a restore is not accepted."""
    steps, end = 0, time.monotonic() + seconds
    sizes: dict[str, int] = {}

    def work(job: Deletion, _: Caller | None) -> bool:
        failpoint("deletion.claimed", workspace)
        return _WORK[job.state](context, job, sizes)

    if context.send_guard.find_doubt() is not None and not again:
        return 0
    while time.monotonic() < end and run_step(context.database, JOBS, workspace, work):
        steps += 1
    return steps


def _store(context: Context, job: Deletion, **changes: Any) -> None:
    """Store where the job stands; a change of it means that it moves."""
    with jobs.begin_step(context.database) as c:
        jobs.change(c, JOBS, job.id, **({"moved_at": datetime.now(UTC)} | changes if changes else {}))


# --- closing ---------------------------------------------------------------------------------------------------------


def _close(context: Context, job: Deletion, _: Mapping[str, int]) -> bool:
    """Cancel what is not in flight; once all has settled and every reader has read it, go on to erase."""
    if job.again:
        _store(context, job, state=DeletionState.ERASING)
        return True
    _record(context, job, is_settled=False)
    if _cancel_waiting(context, job.id):
        _store(context, job, position=None)
        return True
    with context.database.begin() as c:
        is_waiting = bool(store.list_waiting(c, job.id, 1))
        newest = store.find_newest_move(c)
        is_read = job.position is not None and store.is_read(c, job.position)
    position = None if is_waiting else job.position or newest
    if not is_read or is_waiting:
        _store(context, job, **({} if position == job.position else {"position": position}))
        return False
    _record(context, job, is_settled=True)
    failpoint("deletion.settled", job.id)
    _store(context, job, state=DeletionState.ERASING)
    return True


def _record(context: Context, job: Deletion, *, is_settled: bool) -> None:
    if context.send_guard.epoch_file is not None:
        context.send_guard.epoch_file.record_deleted(job.id, is_settled=is_settled)


def _cancel_waiting(context: Context, workspace: UUID) -> int:
    """Cancel each delivery that is not in flight, a post in each transaction; return how many posts had one."""
    cancelled, after = 0, None
    while True:
        with jobs.begin_step(context.database) as c:
            found = store.list_waiting(c, workspace, POSTS, after)
        for post in found:
            cancelled += _cancel(context, workspace, post)
        if len(found) < POSTS:
            return cancelled
        after = found[-1]


def _cancel(context: Context, workspace: UUID, identity: UUID) -> bool:
    with jobs.begin_step(context.database) as c:
        post = posts.read(c, workspace, identity, lock=True)
        parts = [] if post is None else post.deliveries
        chosen = [part for part in parts if part.state not in SETTLED and not is_in_flight(part)]
        if post is not None:
            cancel_deliveries(context, c, post, chosen, why=WHY)
    failpoint("deletion.cancelled", identity)
    return bool(chosen)


# --- erasing ---------------------------------------------------------------------------------------------------------


def _erase(context: Context, job: Deletion, sizes: dict[str, int]) -> bool:
    """Revoke the next grant, else remove bytes, else erase rows, else end; False if it has to wait."""
    if not job.again and (asked := _revoke_next(context, job)) is not None:
        return asked
    over = timedelta(seconds=0 if job.again else context.settings.files.upload_time)
    with jobs.begin_step(context.database) as c:
        objects = erase.list_objects(c, job.id, over, OBJECTS)
    removed = remove_objects(context, objects, erase.forget_object)
    if removed:
        _store(context, job, **_count(job, "objects", removed))
        return True
    began = time.monotonic()
    size = sizes.get("size", FIRST)
    with jobs.begin_step(context.database) as c:
        gone = erase.erase_some(c, job.id, size)
        if gone is not None:
            jobs.change(c, JOBS, job.id, **_count(job, *gone))
            failpoint("deletion.erasing", job.id)
    if gone is None:
        return _end(context, job)
    failpoint("deletion.erased", job.id)
    sizes["size"] = next_chunk_size(size, time.monotonic() - began)
    return True


def _count(job: Deletion, table: str, rows: int) -> dict[str, Any]:
    return {"erased": {**job.erased, table: job.erased.get(table, 0) + rows}, "moved_at": datetime.now(UTC)}


def _end(context: Context, job: Deletion) -> bool:
    """Delete the workspace's own row, which nothing refers to any more; else begin again what came meanwhile."""
    with context.database.begin() as c:
        is_gone = erase.erase_workspace(c, job.id)
        ended: dict[str, Any] = (
            {"state": DeletionState.DONE, "ended_at": datetime.now(UTC)} if is_gone else {}
        )
        jobs.change(c, JOBS, job.id, **ended)
    failpoint("deletion.ended", job.id)
    return False


# --- grants ----------------------------------------------------------------------------------------------------------


def _revoke_next(context: Context, job: Deletion) -> bool | None:
    """End the grant of the next account that has no outcome; False if that has to wait, None if each has one."""
    with context.database.begin() as c:
        found = [one for one in accounts.find_accounts(c, job.id) if not _has_outcome(job, one.id)]
        if not found:
            return None
        is_shared = store.is_shared(c, found[0].id)
        jobs.change(c, JOBS, job.id, jobs.LEASE + 3 * timedelta(seconds=context.settings.publish.call))
    outcome = SHARED if is_shared else _revoke(context, found[0].id)
    failpoint("deletion.revoked", found[0].id)
    tries = job.grants.get(str(found[0].id), {}).get("tries", 0) + 1
    entry = {"platform": found[0].platform, "outcome": outcome, "tries": tries}
    _store(context, job, grants={**job.grants, str(found[0].id): entry})
    return outcome != UNANSWERED


def _has_outcome(job: Deletion, account: UUID) -> bool:
    past = job.grants.get(str(account))
    return past is not None and (past["outcome"] != UNANSWERED or past["tries"] >= TRIES)


UNANSWERED, SHARED = "not answered", "kept: another workspace has the account"


def _revoke(context: Context, identity: UUID, *, is_fresh: bool = False) -> str:
    """Return what became of a grant: ``revoked``, or why it was not. An expired token is refreshed first."""
    version = 0
    try:
        with context.database.begin() as c:
            account, version, _ = accounts.read_account(c, context.vault, identity)
        adapter = context.adapter(account.platform, context.client())
        has_call = isinstance(adapter, RevokesGrants) and adapter.revoke(account)
    except CredentialsExpired as error:
        if is_fresh or refresh(context, identity, version) is not None:
            return f"refused: {error.message}"
        return _revoke(context, identity, is_fresh=True)
    except CredentialsRevoked:
        return "ended before"
    except Unavailable:
        return UNANSWERED
    except (AdapterError, VaultError) as error:
        return f"refused: {error}"
    return "revoked" if has_call else "no call"


_WORK: Mapping[str, Callable[[Context, Deletion, dict[str, int]], bool]] = {
    DeletionState.CLOSING: _close,
    DeletionState.ERASING: _erase,
}
