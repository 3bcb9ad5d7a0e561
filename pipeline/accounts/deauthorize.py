"""Deauthorize: a platform reports that a user removed our app, so the accounts they granted have to be connected again.

The report is signed with our app's secret, and harmless if it is sent again: accounts that were connected since keep
their new grant. Waiting posts are treated as after any grant that was revoked.
"""

from __future__ import annotations

import logging

from adapters.contract import Platform
from adapters.errors import CredentialsRevoked, Rejected
from adapters.oauth import Deauthorization, ReportsDeauthorizations
from pipeline.domain.account import PLATFORM_NAMES
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.accounts.accounts import lock_granted_by, require_reconnect
from pipeline.store.audit import record_change
from pipeline.store.deliveries.error_fields import error_to_dict

log = logging.getLogger("slipway.connect")


def deauthorize(context: Context, actor: Actor, platform: Platform, signed: str) -> int:
    """Set the accounts of the user whom a signed request names to ``reconnect``; return how many were active.

    Raises Refusal: 404 for a platform that reports no removals, 400 ``invalid_callback`` for a wrong signature.
    """
    said = _read(context, platform, signed)
    error = error_to_dict(
        CredentialsRevoked(
            f"{PLATFORM_NAMES[platform]} reports that the user removed the app.",
            next_action="Connect the account again.",
        )
    )
    with context.database.begin() as c:
        found = lock_granted_by(c, _list_platforms(context, platform), said.user_id, said.issued_at)
        for one in found:
            require_reconnect(c, one.id, error or {}, one.credentials_version)
            sides = {"status": "active"}, {"status": "reconnect"}
            record_change(c, actor, "deauthorize", "account", one.id, one.workspace_id, *sides)
    log.info("%s reports a removal of the app: %d accounts affected", platform.value, len(found))
    return len(found)


def _read(context: Context, platform: Platform, signed: str) -> Deauthorization:
    adapter = context.adapter(platform, context.client())
    if not isinstance(adapter, ReportsDeauthorizations):
        raise Refusal(404, "not_found", f"There is no deauthorize callback of {PLATFORM_NAMES[platform]}.")
    try:
        return adapter.read_deauthorization(signed)
    except Rejected as error:
        log.warning("a removal of the app at %s was refused: %s", platform.value, error.message)
        raise Refusal(400, "invalid_callback", error.message) from None


def _list_platforms(context: Context, platform: Platform) -> list[Platform]:
    """Return the platforms that share this one's app: Meta calls one address of an app, and scopes user ids to it."""
    apps = {one: settings.app_id for one, settings in context.platform_settings.items()}
    kinds = context.adapters.items()
    return [
        one
        for one, kind in kinds
        if issubclass(kind, ReportsDeauthorizations) and apps[one] == apps[platform]
    ]
