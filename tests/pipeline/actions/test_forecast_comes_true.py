"""The forecast of an import comes true: each post goes out within one pace of the time that was predicted.

The clock is made fast by moving the data: whenever nothing is due, every time in the ledger and in the buckets is moved
back by as much as is left until the next. What runs is the release, the publish stage and the sandbox, as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.actions.forecast import forecast_releases
from pipeline.api.posts.schema import build_post_format
from pipeline.imports import control
from pipeline.imports.columns import Columns, Format
from pipeline.imports.step import run_step
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.limits.rate_buckets import create_redis_client
from pipeline.stages import delay, publish, reachability, status
from pipeline.stages.platform_limits import list_draft_options
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.auth.keys import Caller, find_caller
from pipeline.store.database import row, rows
from pipeline.store.imports import imports
from tests.conftest import environment_of, free_ports
from tests.pipeline.api.imports.importing import write_lines
from tests.stack import Stack, run_stack

POSTS = {"tiktok": 10, "instagram": 9, "youtube": 9, "linkedin": 3, "pinterest": 3}
QUOTAS = {"tiktok": 4, "instagram": 6, "youtube": 6}
"""Posts of a day: of each account, and of our app at YouTube. The platforms' own take ten times as many posts."""
EVERY = timedelta(minutes=4)
PACE = timedelta(seconds=10)
"""The longest gap that a rate leaves between two posts of an account (TikTok)."""
MOVED = ("posts", "deliveries", "attempts", "post_checks")


@pytest.fixture
def stack(database_url: str, broker_url: str, vault_key: str, tmp_path: Path) -> Iterator[Stack]:
    environment = environment_of(database_url, broker_url, vault_key, tmp_path)
    with run_stack(environment, tmp_path, free_ports(3), forks=True) as stack:
        stack.start_sandbox("--pace", "instant", "--no-quotas")  # its day is that of the machine's clock
        stack.seed(*POSTS)
        yield stack


def test_each_post_goes_out_when_the_forecast_says(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, posts in QUOTAS.items():
        adapter = stack.context.adapters[Platform(name)]
        assert adapter.capabilities.daily_posts is not None
        monkeypatch.setattr(adapter, "capabilities", replace(adapter.capabilities, daily_posts=posts))
    with stack.context.database.begin() as c:
        caller = find_caller(c, stack.key)
    assert caller is not None
    identity = plan(stack, caller)
    predicted = predict(stack, caller, identity)
    assert sum(map(len, predicted.values())) == sum(POSTS.values())
    control.apply(stack.context, caller, identity, read_hash(stack, caller, identity))
    run_step(stack.context, identity, build_post_format(stack.context.settings), seconds=60)
    real = run_fast(stack)
    for platform, account in stack.accounts.items():
        both = list(zip(predicted[account], real[account], strict=True))
        late = [(said, at) for said, at in both if abs(at - said) > PACE]
        assert not late, f"{platform}: {len(late)} of {len(both)}, first {late[0]}"
    carried = {
        platform: max(real[account]) - min(real[account]) for platform, account in stack.accounts.items()
    }
    assert carried["tiktok"] > timedelta(days=2), "ten posts, four a day"
    assert carried["instagram"] > timedelta(days=1)


def plan(stack: Stack, caller: Caller) -> UUID:
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    video = {"type": "video", "url": stack.media("sample.mp4")}
    image = {"type": "slideshow", "urls": [stack.media("sample-1.jpg")]}
    lines = [
        {
            "caption": f"{platform} {n}",
            "media": video if platform == "youtube" else image,
            "accounts": [{"id": str(stack.accounts[platform])}],
            "scheduled_at": (start + n * EVERY).isoformat(),
        }
        for platform, count in POSTS.items()
        for n in range(count)
    ]
    job = store_file(
        stack.context, caller, ImportOptions(), Columns([]), [write_lines(*lines)], Format.NDJSON
    )
    run_step(stack.context, job.id, build_post_format(stack.context.settings), seconds=60)
    return job.id


def read_hash(stack: Stack, caller: Caller, identity: UUID) -> str:
    with stack.context.database.begin() as c:
        job = imports.find_import(c, caller, identity)
    assert job is not None
    assert (job.state, job.accepted) == ("planned", sum(POSTS.values())), job
    return (job.plan_hash or b"").hex()


def predict(stack: Stack, caller: Caller, identity: UUID) -> dict[UUID, list[datetime]]:
    """Return by account when its posts go out, in order."""
    with stack.context.database.begin() as c:
        new = imports.list_new(c, identity, list_draft_options(stack.context))
        accounts = find_accounts(c, caller.workspace_id)
        found = forecast_releases(stack.context, c, accounts, new)
    times: dict[UUID, list[datetime]] = {}
    for one in found:
        assert one.at is not None
        times.setdefault(one.waiting.account, []).append(one.at)
    return {account: sorted(at) for account, at in times.items()}


def run_fast(stack: Stack) -> dict[UUID, list[datetime]]:
    """Release and publish until all is armed; return by account when each was, by the fast clock."""
    context, moved = stack.context, timedelta(0)
    check_media(stack)
    assert context.send_guard.try_reopen() or context.send_guard.may_send()
    while (left := find_left(stack)) is not None:
        if left > timedelta(0):
            moved += move_back(stack, left)
        delay.release_due(context)
        with context.database.begin() as c:
            due = rows(
                c,
                "SELECT id, generation, fence, state FROM deliveries WHERE state IN ('queued', 'preparing')",
            )
        for one in due:
            if one.state == "queued":
                publish.publish(context, one.id, one.generation)
            else:
                status.look(context, one.id, one.generation, one.fence)
    with context.database.begin() as c:
        armed = rows(c, "SELECT account_id, armed_at FROM attempts WHERE armed_at IS NOT NULL")
    times: dict[UUID, list[datetime]] = {}
    for one in armed:
        times.setdefault(one.account_id, []).append(one.armed_at + moved)
    return {account: sorted(at) for account, at in times.items()}


def check_media(stack: Stack) -> None:
    """Give the checks their verdicts, as a worker does."""
    while reachability.run_due_checks(stack.context):
        pass
    with stack.context.database.begin() as c:
        assert rows(c, "SELECT url, seen FROM checks WHERE verdict IS DISTINCT FROM 'good'") == []


def find_left(stack: Stack) -> timedelta | None:
    """Return how long nothing is due; None once everything was armed."""
    with stack.context.database.begin() as c:
        found = row(
            c,
            """SELECT min(CASE WHEN state = 'queued' THEN now() ELSE next_at END) - now() AS left FROM deliveries
               WHERE state IN ('scheduled', 'retrying', 'queued', 'preparing')""",
        )
        failed = rows(c, "SELECT platform, error FROM deliveries WHERE state IN ('failed', 'blocked')")
    assert failed == [], [(one.platform, one.error) for one in failed[:1]]
    assert found is not None
    left: timedelta | None = found.left
    return left


def move_back(stack: Stack, by: timedelta) -> timedelta:
    """Move every time of the ledger, and of the buckets, back."""
    with stack.context.database.begin() as c:
        columns = rows(
            c,
            """SELECT table_name AS t, column_name AS n FROM information_schema.columns
               WHERE table_schema = 'public' AND table_name = ANY(:tables) AND data_type LIKE 'timestamp%'""",
            tables=list(MOVED),
        )
        for table in {one.t for one in columns}:
            sets = ", ".join(
                f"{one.n} = {one.n} - CAST(:by AS interval)" for one in columns if one.t == table
            )
            rows(c, f"UPDATE {table} SET {sets} RETURNING 1", by=by)  # noqa: S608  names from the schema
    client = create_redis_client(stack.context.settings.broker.url.get_secret_value())
    for key in client.scan_iter("pace:*"):
        value = client.get(key)
        if value is not None:
            client.set(key, float(value) - by.total_seconds() * 1000, keepttl=True)
    client.close()
    return by
