"""Hundreds of accounts of one platform: imported, refreshed and published to, as an agency's are.

YouTube is the platform, because its quota of 100 uploads a day is the app's, over all accounts.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.tiktok.limits import CAPABILITIES
from adapters.youtube import limits
from pipeline.maintenance.prepare_ahead import refresh_credentials
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.accounts.grants import list_due_refreshes
from pipeline.store.database import row, rows
from tests.conftest import environment_of, free_ports
from tests.flow.ledger import run_cli
from tests.stack import FAST, Stack, run_stack, until

MANY = 300
SLOTS = 8
COLUMNS = ("connection", "remote_id", "username", "access_token", "refresh_token", "expires_in", "scopes")


@pytest.fixture
def stack(database_url: str, broker_url: str, vault_key: str, tmp_path: Path) -> Iterator[Stack]:
    environment = environment_of(database_url, broker_url, vault_key, tmp_path) | FAST
    with run_stack(environment, tmp_path, free_ports(3), forks=True) as stack:
        stack.start_sandbox("--pace", "instant")
        stack.seed()
        yield stack


def test_quota_buckets_and_refreshes_hold_with_hundreds_of_accounts(stack: Stack, tmp_path: Path) -> None:
    import_accounts(stack, tmp_path / "accounts.csv")
    check_buckets(stack)
    check_refreshes(stack)
    check_daily_quota(stack)


def import_accounts(stack: Stack, file: Path) -> None:
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, ("platform", *COLUMNS), extrasaction="ignore")
        writer.writeheader()
        for number in range(MANY):
            body = {"platform": "youtube", "username": f"channel{number}"}
            made = stack.control("POST", "accounts", body)
            writer.writerow({**made, "scopes": " ".join(made["scopes"])})
    words = ("account", "import", str(file), "--workspace", str(stack.workspace), "--yes", "--json")
    said = run_cli(stack, *words)
    stored, _ = json.JSONDecoder().raw_decode(said, said.index("[\n"))  # between what it says of its progress
    assert len(stored) == MANY


def check_buckets(stack: Stack) -> None:
    """Each account has buckets of its own: one call passes, the next one waits, whatever the others do."""
    with stack.context.database.begin() as c:
        accounts = [str(account.id) for account in find_accounts(c, stack.workspace)]
    take = stack.context.rate_buckets.take
    assert {take(account, "finalize", CAPABILITIES.rates) for account in accounts} == {timedelta(0)}
    waits = [take(account, "finalize", CAPABILITIES.rates) for account in accounts[-100:]]
    assert all(timedelta(0) < wait <= timedelta(seconds=10) for wait in waits)


def check_refreshes(stack: Stack) -> None:
    """Tokens that end in the same moment become due over five minutes, and each is refreshed once."""
    due = [count_due(stack, timedelta(minutes=left)) for left in (10.1, 9, 8, 7, 6, 4.9)]
    assert (due[0], due[-1]) == (0, MANY)
    shares = [later - earlier for earlier, later in pairwise(due)]
    assert all(MANY / 10 < share < MANY / 3 for share in shares), shares
    refreshed = 0
    while done := refresh_credentials(stack.context):
        refreshed += done
    assert refreshed == MANY
    assert read(stack, "SELECT DISTINCT credentials_version AS v, status, unanswered AS u FROM accounts") == [
        {"v": 2, "status": "active", "u": 0}
    ]


def count_due(stack: Stack, left: timedelta) -> int:
    """Return how many accounts are due for a refresh when their hour has this long left."""
    with stack.context.database.begin() as c:
        row(
            c,
            """WITH changed AS (UPDATE accounts SET expires_at = now() + :left, refresh_expires_at = NULL,
                                       credentials_since = now() + :left - interval '1 hour' RETURNING 1)
               SELECT count(*) FROM changed""",
            left=left,
        )
        return len(list_due_refreshes(c, 2 * MANY))


def check_daily_quota(stack: Stack) -> None:
    """More posts are due at once: the app's 100 go out, no further visible call is made, the others wait."""
    allowed = limits.CAPABILITIES.daily_posts
    assert allowed is not None
    for group in ("publish", "reachability", "upkeep"):
        stack.start_worker(group, slots=SLOTS)
    stack.start_beat()  # maintenance dispatches again what a busy machine drops
    stack.start_api()
    until(lambda: stack.context.liveness.is_alive("reachability"), 60)
    with stack.context.database.begin() as c:
        accounts = [{"id": str(account.id)} for account in find_accounts(c, stack.workspace)]
    media = {"type": "video", "url": stack.media("sample.mp4")}
    for start in range(0, MANY, 10):
        answer = stack.post(caption=f"all {start}", media=media, accounts=accounts[start : start + 10])
        assert answer.status_code == 201, answer.text

    states = """SELECT CASE WHEN state <> 'published' AND next_at > now() + interval '1 minute' THEN 'waits'
                            ELSE state END AS state, count(*) AS n FROM deliveries GROUP BY 1 ORDER BY 1"""
    wanted = [{"state": "published", "n": allowed}, {"state": "waits", "n": MANY - allowed}]
    until(lambda: read(stack, states) == wanted, 120, lambda: f"{read(stack, states)}")
    # a session may begin while the last places are taken: the platform then refuses it, before anything is visible
    [refused] = read(stack, "SELECT count(*) AS n FROM deliveries WHERE state = 'retrying'")
    assert refused["n"] <= SLOTS
    live = stack.ledger()
    assert len(live) == len({line["remote_id"] for line in live}) == allowed
    attempts = "SELECT outcome, count(*) AS n FROM attempts WHERE armed_at IS NOT NULL GROUP BY 1"
    assert read(stack, attempts) == [{"outcome": "published", "n": allowed}]


def read(stack: Stack, sql: str) -> list[dict[str, Any]]:
    with stack.context.database.begin() as c:
        return [dict(found._mapping) for found in rows(c, sql)]
