"""Begin the deletion of a workspace: count what there is and close it, at once; ``maintenance.erasure`` does the rest.

Closed: its keys, sessions and jobs are refused, and a pause holds back all that is not armed.

A new workspace of the same name may use any external id, except for an account to which the deleted one published
under that id: such a post is refused.
"""

from __future__ import annotations

from uuid import UUID

from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.runtime.failpoint import failpoint
from pipeline.store import deletions as store
from pipeline.store.audit import record_change
from pipeline.store.deliveries.pauses import pause

WHY = "the workspace is being deleted"


def close(context: Context, actor: Actor, workspace: UUID, *, again: bool = False) -> bool:
    """Close a workspace and begin its deletion; False if that was done before, or there is none.

    *again*: a backup brought it back after it was erased.
    """
    with context.database.begin() as c:
        counted = store.count_contents(c, workspace)
        if not store.close_workspace(c, workspace, counted, again=again):
            return False
        pause(c, "workspace", str(workspace), WHY, actor.name)
        name = {"name": store.find_name(c, workspace)}
        record_change(c, actor, "delete", "workspace", workspace, workspace, before=name, after=counted)
    failpoint("deletion.closed", workspace)
    return True
