"""The look at a delivery that a restore left in doubt: the platform is really asked, by handle and by its lists.

After the backup the delivery may have been sent, again or for the first time, under a handle that the database does not
know. A look changes nothing at the platform.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from adapters.contract import Adapter, Draft, LookResult, Pending, Published
from adapters.errors import Permanent, PermissionMissing
from adapters.listing import Asked, Listing
from pipeline.domain.restored_post import judge_listing
from pipeline.runtime.context import Context
from pipeline.stages.retry_inputs import may_appear_until
from pipeline.store.deliveries.claimed import ClaimedDelivery
from pipeline.store.recovery.restores import find_doubt


def look_in_doubt(
    context: Context,
    claimed: ClaimedDelivery,
    adapter: Adapter,
    draft: Draft,
    taken: Container[str],
    *,
    is_past_limit: bool,
) -> LookResult:
    """Ask by the handle of the backup, where there is one, then list the account's posts since the span in doubt.

    ``is_past_limit``: what the platform still works on by then is looked for in the list too.
    """
    until = may_appear_until(claimed.armed_deadline, context.settings, adapter.capabilities)
    if claimed.armed_at is None or until is None:
        raise LookupError(f"Delivery {claimed.id} is in doubt and not armed: a bug.")
    if claimed.checkpoint:
        seen = adapter.look(draft, claimed.account, claimed.checkpoint, claimed.armed_at, taken)
        is_proof = isinstance(seen, Published) and not seen.is_searched
        if is_proof or (isinstance(seen, Pending) and not is_past_limit):
            return seen
    with context.database.once() as c:
        doubt = find_doubt(c, claimed.id)
    since = min(claimed.armed_at, doubt.since or claimed.armed_at)
    return judge_listing(
        _list_posts(adapter, draft, claimed, since),
        adapter.capabilities.display_name,
        since=since,
        due=claimed.armed_at,
        until=until,
        taken=taken,
        is_twin=doubt.is_twin,
    )


def _list_posts(adapter: Adapter, draft: Draft, claimed: ClaimedDelivery, since: datetime) -> Listing:
    """List the account's posts. What no later look could read was not asked; other errors are raised."""
    try:
        return adapter.list_posts(draft, claimed.account, since)
    except (PermissionMissing, Permanent) as error:
        return Listing(asked=Asked.NOT, reason=error.message.rstrip("."))
