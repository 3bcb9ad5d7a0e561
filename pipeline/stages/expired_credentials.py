"""Refresh the credentials of a claimed delivery after its platform reported an expired token."""

from __future__ import annotations

from adapters.errors import Unavailable
from pipeline.accounts import refresh
from pipeline.domain.retry_policy import judge_refresh_error
from pipeline.domain.verdict import Verdict
from pipeline.runtime.context import Context
from pipeline.stages.retry_inputs import build_retry_policy, build_retry_state
from pipeline.store.deliveries.claimed import ClaimedDelivery


def refresh_expired(context: Context, claimed: ClaimedDelivery, verdict: Verdict) -> Verdict:
    """Refresh, and return the verdict: continue, wait, or block for a person."""
    can = context.adapters[claimed.account.platform].capabilities

    def judge_outage(error: Unavailable) -> Verdict:
        state = build_retry_state(claimed, context.settings, can)
        return judge_refresh_error(verdict, error, state, build_retry_policy(context.settings, can))

    return refresh.refresh_expired(context, claimed, verdict, judge_outage)
