"""Each concept has one module: what only its implementation says is said nowhere else, or for a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORE, DELIVERIES = "pipeline/store", "pipeline/store/deliveries"
GUARDED = "a guarded statement stays text, so that its conditions are read in one place"
CONCEPTS: dict[str, tuple[str, list[str]]] = {
    "ingest: storing new posts": (r"\bstore\.store_posts\(", ["pipeline/stages/ingest.py"]),
    "ingest: the rules of a new post": (r"= plan_post\(", ["pipeline/stages/ingest.py"]),
    "draft of a post": (r"\bDraft\(\n", ["pipeline/stages/drafts.py"]),
    "reader of rows of files": (r"\bRowReader\(columns", ["pipeline/imports/read.py"]),
    "open range of a file": (r"return iter\(lambda: self\.read\(CHUNK\)", ["pipeline/media/fetch.py"]),
    "rate limit in Redis": (r"register_script\(", ["pipeline/limits/rate_buckets.py"]),
    "circuit breaker of the broker": (r"class \w*CircuitBreaker", ["pipeline/limits/rate_buckets.py"]),
    "rate limit in SQL": (r"(UPDATE|INTO|FROM) paces\b", [f"{DELIVERIES}/paced_rates.py"]),
    "shares of a process's slots": (r"\bShares\(\n", ["pipeline/limits/shared_slots.py"]),
    "requests in progress by owner": (r"_running\[owner\]", ["pipeline/api/http/bulkhead.py"]),
    "slow transfers by workspace": (r"_slow\[workspace\]", ["pipeline/media/relay.py"]),
    "position of a reader of moves": (r"UPDATE move_progress|pg_locks", [f"{STORE}/moves.py"]),
    "action on dead letters": (r"dead_letters\.\w+_within\(", ["pipeline/actions/steer_step.py"]),
    "loop of jobs": (r"\bjobs\.claim\(", ["pipeline/runtime/job_loop.py"]),
    "size of a chunk": (r"= min\(CHUNK, next_chunk_size\(", ["pipeline/imports/import_slice.py"]),
    "lease of a job": (r"UPDATE \{table\.name\}", [f"{STORE}/jobs.py"]),
    "claim of a delivery": (r"state = 'publishing', held_for = NULL", [f"{DELIVERIES}/claim.py"]),
    "lease of a delivery, extended": (r"AND lease_until > now\(\) RETURNING", [f"{DELIVERIES}/lease.py"]),
    "lease of a delivery, expired": (r"'publishing' AND lease_until < now\(\)", [f"{DELIVERIES}/lease.py"]),
    "dispatch of what waits again": (r"FROM (due|lost) WHERE x\.id .* x\.fence", [f"{DELIVERIES}/lease.py"]),
    "lease of a check": (r"UPDATE checks k SET lease_until", [f"{STORE}/checks/claim.py"]),
    "lease of a webhook": (r"UPDATE webhooks w SET lease_until", [f"{STORE}/webhooks/rounds.py"]),
    "lease of a refresh": (r"refreshing_until = now\(\) \+", [f"{STORE}/accounts/accounts.py"]),
    "lease of a tick": (r"leased_until = now\(\) \+", [f"{STORE}/ticks.py"]),
    "a condition that holds only where its value is given": (r"CAST\(:\w+ AS [\w\[\]]+\) IS NULL OR", []),
    "a page by keyset": (r"\([\w.]+, [\w., ]+\) [<>] \(|(?<!\w)id [<>] (:|CAST\(:)", []),
    "a filter of deliveries": (r"class \w+Filter\b", [f"{DELIVERIES}/selection.py"]),
    "the scope of a caller": (r"o\.account_id <> ALL", [f"{DELIVERIES}/ownership.py"]),
    "a delivery that an operator gave up": (r"FROM discards x", [f"{DELIVERIES}/selection.py"]),
    "a dead letter": (r"= 'failed' OR \w+\.reason = 'person_needed'", [f"{DELIVERIES}/dead_letters.py"]),
    "a delivery that is a comment, sent and looked at": (
        r"(FROM|JOIN|UPDATE) deliveries\b|\"deliveries d\b",
        [
            f"{DELIVERIES}/{name}.py"
            for name in (
                *("arm", "claim", "history", "holds", "late_results", "lease", "move", "ownership"),
                *("pauses", "published", "release", "selection", "settle"),
            )
        ],
    ),
    "the hold of a delivery": (r"THEN '\{Hold\.PAUSED\}'", [f"{DELIVERIES}/holds.py"]),
}
"""Concept -> what writes it, and its module; none if ``store/selection.py`` builds it for all."""
EXCUSED: dict[str, dict[str, str]] = {
    "a condition that holds only where its value is given": {
        "accounts/accounts.py": GUARDED,
        "auth/keys.py": "no key is the command line, not any key",
        "auth/sessions.py": GUARDED,
        "deliveries/pauses.py": "CASE compares an index with NULL where a part does not concern the pause",
        "deliveries/settle.py": GUARDED,
        "webhooks/events.py": GUARDED,
    },
    "a page by keyset": {
        "posts/pages.py": "stretches of candidates, of which a page is made",
        "posts/idempotency.py": "a lower bound by time, not a place",
        "vault.py": "batches that are rewritten under a lock",
        "deliveries/queue.py": "the bounds of a span of time",
        "posts/calendar.py": "the bounds of a span of time",
        "posts/outcomes.py": "the bounds of a span of time",
        "posts/undo_log.py": "what came after one row",
        "receipts.py": "a position of the reader of moves",
    },
    "a filter of deliveries": {"audit.py": "of audit rows"},
    "a delivery that is a comment, sent and looked at": {
        "auth/access.py": "a lock holds and cancels comments too",
        "deletions.py": "what of a deleted workspace has to settle first, comments too",
        "erase.py": "all of a deleted workspace goes",
        "moves.py": "an open page shows what becomes of a comment",
        "posts/actions.py": "an operator decides about one by its id",
        "posts/rewrites.py": "an edit changes what is still to be said below a live post",
        "posts/views.py": "the comment below a post",
        "recovery/restores.py": "what is in doubt after a restore",
    },
}
"""Concept -> other modules of the store that write it, with the reason."""
SOURCES = {str(p.relative_to(ROOT)): p.read_text() for p in sorted((ROOT / "pipeline").rglob("*.py"))}


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_concept_has_one_module(concept: str) -> None:
    pattern, modules = CONCEPTS[concept]
    excused = [f"{STORE}/{name}" for name in EXCUSED.get(concept, ())]
    folder = STORE if excused else "pipeline"
    found = [name for name, source in SOURCES.items() if re.search(pattern, source)]
    assert [name for name in found if name.startswith(folder)] == sorted([*modules, *excused])
