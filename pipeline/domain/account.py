"""Whether an account may be published to, and in whose name."""

from __future__ import annotations

from enum import StrEnum


class AccountStatus(StrEnum):
    """What a workspace sees of one of its accounts."""

    ACTIVE = "active"
    RECONNECT = "reconnect"  #: its grant is dead; scheduled posts wait
    INACTIVE = "inactive"  #: taken out of use; new posts are refused


class WorkspaceKind(StrEnum):
    """A workspace of an agency, or one person's own."""

    WORKSPACE = "workspace"
    PERSONAL = "personal"


class Plan(StrEnum):
    """The plans; only the first three publish through the API."""

    CREATOR = "creator"
    PROFESSIONAL = "professional"
    BUSINESS = "business"
    SCHEDULER = "scheduler"
    NONE = "none"


PUBLISHING_PLANS = frozenset({Plan.CREATOR, Plan.PROFESSIONAL, Plan.BUSINESS})


class Subscription(StrEnum):
    """Whether the plan is paid for."""

    ACTIVE = "active"
    TRIALING = "trialing"
    PAST_DUE = "past_due"
    CANCELED = "canceled"


LIVE_SUBSCRIPTIONS = frozenset({Subscription.ACTIVE, Subscription.TRIALING})
