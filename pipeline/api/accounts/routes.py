"""GET /accounts and GET /subscription: what a key may publish to, and on what plan."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.envelope import success
from pipeline.api.posts import serialize as rendering
from pipeline.api.state import Site, site_of
from pipeline.domain.account import AccountStatus
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.auth.keys import Caller


async def index(request: Request) -> Response:
    """List the accounts the key may publish to: the active ones of its scope."""
    site = site_of(request)
    caller = await site.keyring.caller(request)
    return success(
        "Accounts retrieved", await site.reading.run(partial(_accounts, site, caller), caller.key_id)
    )


async def subscription(request: Request) -> Response:
    """Show the plan; readable without a live one, so that a client can tell why it may not publish."""
    caller = await site_of(request).keyring.caller(request)
    return success("Subscription retrieved", rendering.subscription(caller))


def _accounts(site: Site, caller: Caller) -> dict[str, Any]:
    with site.context.database.begin() as c:
        found = find_accounts(c, caller.workspace_id, caller.accounts)
    active = [rendering.account(a, caller) for a in found if a.status is AccountStatus.ACTIVE]
    return {**rendering.scope(caller), "accounts": active}
