"""Which test of the proof has workers die where, and what is not so on every way."""

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
"""The failpoints between a post that was taken and one that is live begin so."""

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
"""Test -> the points at which workers die in it, on every way."""

ELSEWHERE: Mapping[str, str] = {
    "delay.locked": "a frozen sweeper holds rows of every platform alike",
    "rescue.refilled": "about the broker, and no delivery",
    "publish.handed-back": "a worker that was told to stop gives rows back, whatever their platform",
}
"""Points that begin so, and are no platform's: they have their death in ``tests/crash_table.py`` alone."""

_FETCHED_BY_PLATFORM = select_targets("tiktok", "pinterest", kinds=PICTURES) | select_targets(
    "tiktok business", "instagram", "facebook"
)
_WITH_HANDLE = select_targets("instagram", "youtube") | select_targets("facebook", kinds=PICTURES)
NEVER_REACHED: Mapping[str, Mapping[str, str]] = {
    "publish.checkpointed": dict.fromkeys(
        select_targets("tiktok", "pinterest", kinds=PICTURES) | select_targets("tiktok business"),
        "its only step before the visible call leaves nothing to keep",
    ),
    "publish.beat": dict.fromkeys(
        _FETCHED_BY_PLATFORM, "the platform fetches the files, no byte goes through us"
    ),
    "publish.handle-stored": dict.fromkeys(
        TARGETS.keys() - _WITH_HANDLE, "the visible call answers with no handle that is asked at once"
    ),
    "publish.disarmed": dict.fromkeys(
        TARGETS.keys() - select_targets("pinterest", kinds=PICTURES),
        "a stale token shows before the visible call",
    ),
    "credentials.answered": dict.fromkeys(
        select_targets("instagram", "facebook", "linkedin member"),
        "its grant cannot be renewed once it has ended",
    ),
    "decide.again": {},
}
"""Point -> way -> why it is never met there. The proof fails where that is not so."""

CANNOT_PROVE_ABSENCE = select_targets("tiktok", kinds=PICTURES) | select_targets(
    "tiktok business", "pinterest", "linkedin member", "linkedin organization"
)
"""Nothing there proves that a post is not live (the adapters' READMEs, "What a lost answer leads to")."""
CANNOT_SHOW_POSTS = select_targets("linkedin member")
"""Nothing there shows what is live."""

NEVER_REACHED = {
    **NEVER_REACHED,
    "decide.again": dict.fromkeys(TARGETS.keys() - CANNOT_PROVE_ABSENCE, "nobody has to be asked"),
}
