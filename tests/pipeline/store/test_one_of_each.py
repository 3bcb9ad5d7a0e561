"""A concept of reading has one module: another place that builds it again is named here with its reason, or fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STORE = Path(__file__).parents[3] / "pipeline" / "store"
GUARDED = "a guarded statement stays text, so that its conditions are read in one place"

CONCEPTS = {
    "a condition that holds only where its value is given": (
        r"CAST\(:\w+ AS [\w\[\]]+\) IS NULL OR",
        "selection.py",
        {
            "accounts/accounts.py": GUARDED,
            "auth/keys.py": "no key is the command line, not any key",
            "auth/sessions.py": GUARDED,
            "deliveries/pauses.py": "CASE compares an index with NULL where a part does not concern the pause",
            "deliveries/settle.py": GUARDED,
            "webhooks/events.py": GUARDED,
        },
    ),
    "a page by keyset": (
        r"\([\w.]+, [\w., ]+\) [<>] \(|(?<!\w)id [<>] (:|CAST\(:)",
        "selection.py",
        {
            "posts/pages.py": "stretches of candidates, of which a page is made",
            "posts/idempotency.py": "a lower bound by time, not a place",
            "vault.py": "batches that are rewritten under a lock",
            "posts/calendar.py": "the bounds of a span of time",
            "receipts.py": "a position of the reader of moves",
        },
    ),
    "a filter of deliveries": (
        r"class \w+Filter\b",
        "deliveries/selection.py",
        {"audit.py": "of audit rows"},
    ),
    "the scope of a caller": (r"o\.account_id <> ALL", "deliveries/ownership.py", {}),
    "a delivery that an operator gave up": (r"FROM discards x", "deliveries/selection.py", {}),
    "a dead letter": (r"= 'failed' OR \w+\.reason = 'person_needed'", "deliveries/dead_letters.py", {}),
    "the hold of a delivery": (r"THEN '\{Hold\.PAUSED\}'", "deliveries/holds.py", {}),
}
"""Concept -> what writes it, its module, and the places that have a reason to."""


@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_concept_has_one_module(concept: str) -> None:
    pattern, module, excused = CONCEPTS[concept]
    modules = (path for path in STORE.rglob("*.py") if "migrations" not in path.parts)
    found = {str(path.relative_to(STORE)) for path in modules if re.search(pattern, path.read_text())}
    assert found - {module} == set(excused)
    assert module in found or module == "selection.py"
