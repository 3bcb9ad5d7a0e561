"""Signs of life: the answers and failures of a platform's own hosts, and one cheap read where none is known.

A delivery is armed only after an answer of its platform within the last minute. So an outage leaves deliveries un-armed
and safe to send again, instead of with an unknown outcome.
"""

from __future__ import annotations

import logging

from adapters.contract import Adapter
from adapters.errors import AdapterError, AppRefused, OutcomeUnknown, Unavailable
from adapters.http import HttpClient
from pipeline.domain.delivery_error import PLATFORM, find_party
from pipeline.runtime.context import Context
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.platform_health import has_sign_of_life

log = logging.getLogger("slipway.publish")

_SOURCE_BROKE = "source_broke"
"""``platform_code`` of a visible call that its media source broke off."""


def record_result(
    context: Context, claimed: ClaimedDelivery, client: HttpClient, error: Exception | None
) -> None:
    """Record an answer or a failure of the platform's own hosts; nothing if the result shows neither."""
    platform = claimed.account.platform
    if error is not None and _is_failure(error):
        context.health.record_failure(platform, claimed.account_id, claimed.workspace_id)
    elif client.calls and (error is None or _is_answer(error)):
        context.health.record_answer(platform, force=claimed.breaker == "probe")


def pause_if_app_refused(context: Context, claimed: ClaimedDelivery, error: Exception | None) -> None:
    """Pause the platform if it refuses our app as a whole: before the delivery is put back, which it would call for."""
    if isinstance(error, AppRefused):
        context.health.record_app_refusal(claimed.account.platform, error)


def require_sign_of_life(context: Context, claimed: ClaimedDelivery, adapter: Adapter) -> None:
    """Return if the platform answered within the last minute, else read from it once.

    Raises Unavailable if that read gets no answer in the platform's own envelope, AppRefused if it refuses our app.
    """
    platform = claimed.account.platform
    with context.database.once() as c:
        if has_sign_of_life(c, platform):
            return
    try:
        adapter.discover(claimed.account.credentials)
    except AppRefused:
        raise
    except AdapterError as error:
        if _is_failure(error):
            raise Unavailable(
                f"{error.message} Nothing was sent.",
                code=error.code,
                platform_code=error.platform_code,
                platform_message=error.platform_message,
            ) from None
    except Exception:
        log.exception("unexpected error while reading a sign of life of %s", platform)
    context.health.record_answer(platform, force=True)


def _is_failure(error: Exception) -> bool:
    if isinstance(error, OutcomeUnknown):
        return error.platform_code != _SOURCE_BROKE
    return find_party(error, armed=False) == PLATFORM


def _is_answer(error: Exception) -> bool:
    is_media = isinstance(error, Unavailable) and find_party(error, armed=False) is not None
    return isinstance(error, AdapterError) and not isinstance(error, OutcomeUnknown) and not is_media
