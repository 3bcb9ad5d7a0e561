"""Accounts, workspaces and plans: who may publish to what."""

from __future__ import annotations

from enum import StrEnum


class AccountStatus(StrEnum):
    """The status of an account, as its workspace sees it."""

    ACTIVE = "active"
    RECONNECT = "reconnect"  #: its credentials were revoked; scheduled posts wait
    INACTIVE = "inactive"  #: taken out of use by the operator; new posts are refused


class WorkspaceKind(StrEnum):
    """A shared workspace, or the personal one of one user."""

    WORKSPACE = "workspace"
    PERSONAL = "personal"


class Plan(StrEnum):
    """The plans; ``PUBLISHING_PLANS`` may publish through the API."""

    CREATOR = "creator"
    PROFESSIONAL = "professional"
    BUSINESS = "business"
    SCHEDULER = "scheduler"
    NONE = "none"


PUBLISHING_PLANS = frozenset({Plan.CREATOR, Plan.PROFESSIONAL, Plan.BUSINESS})


class Subscription(StrEnum):
    """The payment status of a plan; ``LIVE_SUBSCRIPTIONS`` may publish."""

    ACTIVE = "active"
    TRIALING = "trialing"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


LIVE_SUBSCRIPTIONS = frozenset({Subscription.ACTIVE, Subscription.TRIALING})
