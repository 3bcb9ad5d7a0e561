"""Daily quota of a project; the day ends at midnight Pacific time.

developers.google.com/youtube/v3/determine_quota_cost, read 2026-11-24: 100 videos.insert calls, 10 000 units of all
other calls. The page does not say whether the start or the end of an upload is charged; the sandbox charges the start.
"""

from adapters.sandbox.daily_quota import DailyQuota
from adapters.sandbox.endpoint import Call
from adapters.sandbox.responses import Refused
from adapters.sandbox.youtube.dialect import quota_response

_ZONE = "America/Los_Angeles"
_INSERTS = ("youtube.inserts", 100)
_UNITS = ("youtube.units", 10_000)


def spend_insert(call: Call) -> None:
    """Charge one videos.insert; raises Refused."""
    _spend(call, *_INSERTS)


def spend_unit(call: Call) -> None:
    """Charge one unit; raises Refused."""
    _spend(call, *_UNITS)


def _spend(call: Call, name: str, limit: int) -> None:
    if not DailyQuota(call.context, _ZONE).take(name, limit):
        raise Refused(quota_response())
