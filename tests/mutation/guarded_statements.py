"""Which statements are mutated, conjunct by conjunct, and which tests have to notice; the others with their reason.

`test_sql_statements.py` fails for a statement that changes or locks rows by a condition and is in neither list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

_DELIVERIES = (
    "tests/pipeline/store/deliveries",
    "tests/pipeline/store/recovery",
    "tests/pipeline/maintenance",
    "tests/pipeline/stages",
    "tests/pipeline/recovery",
)
_CHECKS = (
    "tests/pipeline/store/checks",
    "tests/pipeline/stages/test_reachability.py",
    "tests/pipeline/maintenance/test_jobs.py",
)
_EPOCH = ("tests/pipeline/store/recovery", "tests/pipeline/recovery")
_WEBHOOKS = ("tests/pipeline/store/webhooks", "tests/pipeline/webhooks")
_BULK = ("tests/pipeline/imports/test_statements.py", "tests/pipeline/imports", "tests/pipeline/api/imports")
_STEERING = (
    "tests/pipeline/store/steering",
    "tests/pipeline/actions/test_steering.py",
    "tests/pipeline/actions/test_undo_jobs.py",
)
_ACTIONS = (
    "tests/pipeline/store/posts",
    "tests/pipeline/actions",
    "tests/pipeline/stages/test_replay.py",
    "tests/pipeline/stages/test_inbox_drafts.py",
)
_APPROVALS = (
    "tests/pipeline/actions/test_approve.py",
    "tests/pipeline/api/test_approvals.py",
    "tests/pipeline/dashboard/test_approvals.py",
)
_REFRESH = ("tests/pipeline/store/accounts", "tests/pipeline/accounts")
_DEAUTHORIZE = ("tests/pipeline/api/accounts/test_deauthorize.py",)
_COMMENTS = ("tests/pipeline/maintenance/test_follow_up.py", "tests/pipeline/actions/test_edit_comments.py")
_LOCK = ("tests/pipeline/test_lock.py",)
_TICKS = ("tests/pipeline/store/test_ticks.py",)
_KEYS = ("tests/pipeline/api/test_idempotency_keys.py", "tests/pipeline/maintenance/test_expire_audit.py")

GUARDED: Mapping[tuple[str, ...], Sequence[str]] = {
    _LOCK: ("deliveries.pauses.lock_workspace", "deliveries.pauses.unlock_workspace*"),
    _DELIVERIES: (
        "deliveries.arm._ARM",
        "posts.actions.close_attempt_as_decided",
        "deliveries.arm.save_checkpoint",
        "deliveries.claim._CLAIM",
        "deliveries.claim._CLAIM_LOOK",
        "deliveries.claim._return_newer",
        "deliveries.published.claim_follow_ups",
        "deliveries.published.record_follow_ups",
        "deliveries.published.settle_follow_up",
        "deliveries.arm.disarm",
        "deliveries.late_results.save_late_result",
        "deliveries.late_results.save_late_result#2",
        "deliveries.late_results.save_late_handle",
        "deliveries.late_results._publish",
        "deliveries.lease.extend_lease",
        "deliveries.lease._HELD",
        "deliveries.lease._GIVE_BACK",
        "deliveries.lease.requeue_looks",
        "deliveries.published.save_url",
        "deliveries.published.postpone_url_lookup",
        "deliveries.move.move",
        "deliveries.move.lock_post",
        "deliveries.move.recompute_post_status#2",
        "deliveries.pauses.lift",
        "deliveries.pauses.restart_streaks",
        "deliveries.platform_health.*",
        "deliveries.platform_health.SIGN_OF_LIFE",
        "deliveries.lease._DISPATCH_LOOKS",
        "deliveries.lease.bring_look_forward",
        "deliveries.lease.redispatch_lost",
        "deliveries.lease.redispatch_lost_looks",
        "deliveries.release._CANDIDATES",
        "selection.walk_workspaces",
        "deliveries.release._RETRIED_POSTS",
        "deliveries.release._RELEASE",
        "deliveries.lease.list_expired_leases",
        "deliveries.lease.rescue",
        "deliveries.lease.resume_blocked",
        "deliveries.settle._SETTLE",
    ),
    _CHECKS: (
        "checks.checks.*",
        "checks.claim.*",
        "checks.claim._IS_DUE",
    ),
    _APPROVALS: ("posts.approvals.*", "deliveries.holds.IS_UNAPPROVED"),
    _EPOCH: (
        "recovery.epoch.EPOCH_IS_OPEN",
        "recovery.epoch.BROUGHT_FORWARD_RECORDED",
        "recovery.epoch.confirm",
        "recovery.epoch.confirm#2",
        "recovery.restores._NEVER_SENT",
        "recovery.restores._MARK_UNKNOWN",
        "recovery.restores._FIND_TWINS",
        "recovery.restores.mark_unknown",
        "recovery.restores.mark_unknown#2",
        "recovery.restores.mark_unknown#3",
    ),
    _WEBHOOKS: (
        "webhooks.events.insert_events",
        "webhooks.events.promote",
        "webhooks.events.replay_events",
        "webhooks.events.replay_events#2",
        "webhooks.facts.take_occurrences",
        "webhooks.notices.*",
        "webhooks.rounds.*",
        "webhooks.rounds.has_lost_key",
        "webhooks.webhooks.pause_webhook",
        "webhooks.webhooks.resume_webhook",
        "webhooks.webhooks.resume_webhook#2",
    ),
    _BULK: ("imports.imports.*", "imports.imports.JOBS", "imports.rows.*", "jobs.*"),
    _STEERING: (
        "steering.jobs.create_job",
        "steering.jobs.create_undo",
        "steering.jobs.find_undo",
        "steering.jobs.find_job",
        "steering.jobs.lock_job",
        "steering.jobs.lock_jobs",
        "steering.receipts.*",
        "steering.receipts.*",
    ),
    _ACTIONS: (
        "posts.actions.lock_to_resolve#2",
        "posts.actions._read_parts",
        "posts.rewrites.rewrite",
        "posts.rewrites._REWRITE_FOLLOW_UPS",
        "posts.rewrites.rewrite_comments",
        "posts.actions._MOVE",
        "posts.actions.add_delivery",
        "posts.rewrites.mark_deliveries",
        "posts.actions.hide_post",
        "posts.insert_batch.*",
        "posts.undo_log.*",
        "posts.pins.*",
    ),
    _REFRESH: (
        "accounts.accounts.store_credentials",
        "accounts.accounts.claim_refresh",
        "accounts.accounts.end_refresh",
        "accounts.accounts.require_reconnect",
        "accounts.oauth_sessions.lock_candidates",
        "accounts.oauth_sessions.save_candidates",
        "accounts.oauth_sessions.use_session",
        "accounts.oauth_sessions.end_session",
    ),
    _DEAUTHORIZE: ("accounts.accounts.lock_granted_by",),
    _KEYS: ("idempotency_keys.claim",),
    _TICKS: ("ticks._CLAIM", "ticks._FINISH"),
    _COMMENTS: ("deliveries.published._ADD_COMMENT",),
}
"""Statements by the tests that have to notice, the nearest first. A pattern means those that change or lock rows."""

EXCUSED: Mapping[str, str] = {
    "accounts.accounts.add_account": "an account that is connected again, by one user at a time",
    "accounts.grants.*": "a switch that a user sets",
    "accounts.accounts.*_group": "a choice that a user saves: no work is claimed, nothing is sent",
    "accounts.posting_times.lock_posting_times": "a switch that a user sets",
    "accounts.posting_times.store_posting_times": "a switch that a user sets",
    "accounts.posting_times.lock_accounts": "a lock by ids; test_auto_times has twenty requests at once",
    "accounts.oauth_sessions.expire_sessions*": "deletes what is over",
    "audit.*": "deletes what is over",
    "unsent_forms.*": "what a user typed and did not send: no work is claimed, nothing is sent",
    "auth.*": "users, sessions and keys: no work is claimed, nothing is sent",
    "canaries.*": "when each queue was consumed last, by which level, and what its hosts see",
    "counters.*": "counts, made from the moves",
    "deletions.*": "a switch that a user sets once, and what waits for it",
    "erase.*": "deletes what is over: all of it has settled, and a pause keeps the rest",
    "selection.delete_oldest": "deletes what is over",
    "deliveries.pauses.find_reason*": "the lock of a switch that a user sets",
    "deliveries.pauses.pause": "a switch that a user sets",
    "deliveries.paced_rates.*": "the pace of a backlog; errs on the slow side",
    "files.*": "uploads and their removal: nothing is sent by them",
    "moves.*": "counts and positions of readers of the moves",
    "posts.texts.*": "what searches read of posts; a post that is not found is sent all the same",
    "receipts.*": "lines made from the moves, by the holder of a lock on the chain",
    "rollups.*": "counts, made from the moves",
    "steering.jobs.delete_expired*": "deletes what is over",
    "vault.*": "an operator's command that seals again what it reads",
    "webhooks.events.delete_*": "deletes what is over",
    "webhooks.events.list_listeners": "reads who is listening; its lock keeps a lane's order (events.py)",
    "webhooks.webhooks.change_webhook": "a switch that a user sets",
    "webhooks.webhooks.delete_webhook": "a switch that a user sets",
    "webhooks.webhooks.list_webhooks": "a list for users; its lock orders two changes of one webhook",
    "webhooks.webhooks.rotate_secret*": "a switch that a user sets",
}
"""Statements that claim, send and settle nothing, with the reason, by patterns of their names."""


def find_tests(name: str, *, changes: bool = True) -> tuple[str, ...]:
    """Return the tests that have to notice a mutant of a statement; none if it is not mutated."""
    listed = [(tests, pattern) for tests, names in GUARDED.items() for pattern in names]
    fitting = (
        tests for tests, pattern in listed if pattern == name or (changes and fnmatchcase(name, pattern))
    )
    return next(fitting, ())


def is_excused(name: str) -> bool:
    """Return True if a statement is listed as one that guards nothing."""
    return any(fnmatchcase(name, pattern) for pattern in EXCUSED)
