"""Crash table of the proof: the failpoints of each test, and the targets that never reach one of them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.proof.targets import PICTURES, TARGETS, select_targets

STAGE_PREFIXES = (
    "publish.",
    "settling.",
    "status.",
    "credentials.",
    "delay.",
    "reachability.",
    "rescue.",
    "resume.",
    "decide.",
)
"""Prefixes of the failpoints between acceptance and publication."""

PROVEN: Mapping[str, tuple[str, ...]] = {
    # --- until the visible call
    "test_before_arm": ("delay.released", "publish.claimed", "publish.prepared", "publish.checkpointed"),
    "test_uploads": ("publish.beat",),
    "test_checks": (
        "reachability.unanswered",
        "reachability.claimed",
        "reachability.seen",
        "reachability.decided",
    ),
    "test_too_late": ("delay.late",),
    # --- in it, and after it
    "test_armed": ("publish.armed", "decide.again"),
    "test_answered": ("publish.answered", "status.looked", "status.settled"),
    "test_lost_answers": ("publish.raised", "delay.looks-rung", "rescue.looks-found", "status.claimed"),
    "test_handfuls": ("publish.claimed-several", "publish.handle-stored"),
    "test_settling": ("rescue.moved", "rescue.found", "decide.resumed", "publish.settling"),
    "test_late_workers": ("settling.lost",),
    # --- accounts
    "test_refreshes": (
        "publish.disarmed",
        "credentials.claimed",
        "credentials.answered",
        "credentials.refused",
        "credentials.ended",
    ),
    "test_grants": ("resume.committed", "publish.settled"),
}
"""Test -> failpoints at which it crashes a process, on every target."""

ELSEWHERE: Mapping[str, str] = {
    "delay.locked": "a frozen sweeper holds rows of every platform alike",
    "rescue.refilled": "it concerns the broker, not a delivery",
    "publish.handed-back": "a stopping worker hands deliveries back, independent of the platform",
}
"""Failpoints with such a prefix that do not depend on the platform: only ``tests/crash_table.py`` has their crash."""

_FETCHED_BY_PLATFORM = select_targets("tiktok", "pinterest", kinds=PICTURES) | select_targets(
    "tiktok business", "instagram", "facebook"
)
_WITH_HANDLE = select_targets("instagram", "youtube") | select_targets("facebook", kinds=PICTURES)
CANNOT_PROVE_ABSENCE = select_targets("tiktok", kinds=PICTURES) | select_targets(
    "tiktok business", "pinterest", "linkedin member", "linkedin organization"
)
"""Targets that cannot prove that a post is not live (the adapters' READMEs, "What a lost answer leads to")."""
CANNOT_SHOW_POSTS = select_targets("linkedin member")
"""Targets that cannot show what is live."""
NEVER_REACHED: Mapping[str, Mapping[str, str]] = {
    "publish.checkpointed": dict.fromkeys(
        select_targets("tiktok", "pinterest", kinds=PICTURES) | select_targets("tiktok business"),
        "its only step before the visible call leaves nothing to keep",
    ),
    "publish.beat": dict.fromkeys(
        _FETCHED_BY_PLATFORM, "the platform fetches the files, no byte goes through us"
    ),
    "publish.handle-stored": dict.fromkeys(
        TARGETS.keys() - _WITH_HANDLE, "the answer to the visible call has no handle to look up at once"
    ),
    "publish.disarmed": dict.fromkeys(
        TARGETS.keys() - select_targets("pinterest", kinds=PICTURES),
        "an expired token is noticed before the visible call",
    ),
    "credentials.answered": dict.fromkeys(
        select_targets("instagram", "facebook", "linkedin member"),
        "it has no refresh token",
    ),
    "decide.again": dict.fromkeys(
        TARGETS.keys() - CANNOT_PROVE_ABSENCE, "the platform proves absence, so no decision is needed"
    ),
}
"""Failpoint -> target -> why it is never reached there. The proof fails where that is wrong."""
