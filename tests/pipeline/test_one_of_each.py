"""Each concept has one module: what only its implementation says is said nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORE, DELIVERIES = "pipeline/store", "pipeline/store/deliveries"
CONCEPTS = {
    "ingest: storing new posts": (r"\bstore\.store_posts\(", ["pipeline/stages/ingest.py"]),
    "ingest: the rules of a new post": (r"= plan_post\(", ["pipeline/stages/ingest.py"]),
    "draft of a post": (r"\bDraft\(\n", ["pipeline/stages/drafts.py"]),
    "reader of rows of files": (r"\bRowReader\(columns", ["pipeline/imports/read.py"]),
    "open range of a file": (r"return iter\(lambda: self\.read\(CHUNK\)", ["pipeline/media/fetch.py"]),
    "rate limit in Redis": (r"register_script\(", ["pipeline/limits/rate_buckets.py"]),
    "circuit breaker of the broker": (r"class \w*CircuitBreaker", ["pipeline/limits/rate_buckets.py"]),
    "rate limit in SQL": (r"(UPDATE|INTO|FROM) paces\b", [f"{DELIVERIES}/paced_rates.py"]),
    "shares of a process's slots": (r"\bShares\(\n", ["pipeline/limits/shared_slots.py"]),
    "position of a reader of moves": (r"UPDATE move_progress|pg_locks", [f"{STORE}/moves.py"]),
    "loop of jobs": (r"\bjobs\.claim\(", ["pipeline/runtime/job_loop.py"]),
    "lease of a job": (r"UPDATE \{table\.name\}", [f"{STORE}/jobs.py"]),
    "claim of a delivery": (r"state = 'publishing', held_for = NULL", [f"{DELIVERIES}/claim.py"]),
    "lease of a delivery, extended": (r"AND lease_until > now\(\) RETURNING", [f"{DELIVERIES}/lease.py"]),
    "lease of a delivery, expired": (r"'publishing' AND lease_until < now\(\)", [f"{DELIVERIES}/lease.py"]),
    "dispatch of what waits again": (r"FROM (due|lost) WHERE x\.id .* x\.fence", [f"{DELIVERIES}/lease.py"]),
    "lease of a check": (r"UPDATE checks k SET lease_until", [f"{STORE}/checks/claim.py"]),
    "lease of a webhook": (r"UPDATE webhooks w SET lease_until", [f"{STORE}/webhooks/rounds.py"]),
    "lease of a refresh": (r"refreshing_until = now\(\) \+", [f"{STORE}/accounts/accounts.py"]),
    "lease of a tick": (r"leased_until = now\(\) \+", [f"{STORE}/ticks.py"]),
}
SOURCES = {str(p.relative_to(ROOT)): p.read_text() for p in sorted((ROOT / "pipeline").rglob("*.py"))}


@pytest.mark.parametrize(("pattern", "modules"), CONCEPTS.values(), ids=CONCEPTS)
def test_a_concept_has_one_module(pattern: str, modules: list[str]) -> None:
    assert [name for name, source in SOURCES.items() if re.search(pattern, source)] == modules
