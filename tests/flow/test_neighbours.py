"""One workspace's media come a byte at a time; another workspace's posts do not wait for them.

Real workers, a real server and the API. What is asserted is who went first, not how long it took. The shares of a
process's slots, and of its slow ones: tests/pipeline/store/checks/test_claim.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.contract import Platform
from pipeline.api.posts.schema import FORM
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.runtime.context import Context
from pipeline.stages.ingest import accept
from pipeline.stages.post_request import PostRequest
from pipeline.store.auth.keys import find_caller
from pipeline.store.database import rows
from tests.flow.ledger import caption, sample, upload
from tests.slow_media import SlowMedia, serve_slow_media
from tests.stack import Stack, until

SLOTS = 8
"""Of a worker."""
ATTACKS = 24
PER_HOST = 4
"""Of one workspace; a host has twice as many."""
LONG: dict[str, Any] = {"SLIPWAY_REACHABILITY__FIRST_SLICE": "60"}


class Attacker:
    """A workspace of its own, whose posts are taken in this process and published by the real workers."""

    def __init__(self, stack: Stack) -> None:
        kept = stack.workspace, stack.key, stack.owner, dict(stack.accounts)
        stack.owner = f"attacker{uuid4().hex[:8]}"
        stack.seed("youtube")
        self.workspace, self.account, key = stack.workspace, stack.accounts["youtube"], stack.key
        stack.workspace, stack.key, stack.owner, stack.accounts = kept
        limits = stack.context.settings.reachability.model_copy(update={"wait": 0.0})
        settings = stack.context.settings.model_copy(update={"reachability": limits})
        self._context: Context = replace(stack.context, settings=settings)
        with stack.context.database.begin() as c:
            caller = find_caller(c, key)
        assert caller is not None
        self._caller = caller

    def post(self, url: str) -> UUID:
        """Create an immediate post of this video."""
        text = caption()
        request = PostRequest(
            caption=text,
            media={"type": "video", "url": url},
            account_ids=[self.account],
            fingerprint=FORM + text.encode(),
        )
        return accept(self._context, self._caller, request).id

    def count_undecided(self) -> int:
        """Return how many of its checks are undecided."""
        return len(self._read("SELECT id FROM checks WHERE workspace_id = :w AND verdict IS NULL"))

    def read_states(self) -> Sequence[str]:
        """Return the states of its deliveries."""
        return self._read("SELECT state FROM deliveries WHERE workspace_id = :w")

    def read_moves(self) -> Sequence[str]:
        """Return the states that its deliveries moved to, each with its reason."""
        return self._read("""SELECT concat_ws(': ', m.target, m.why) FROM moves m
                             JOIN deliveries d ON d.id = m.delivery_id WHERE d.workspace_id = :w""")

    def _read(self, sql: str) -> Sequence[str]:
        with self._context.database.begin() as c:
            return [one[0] for one in rows(c, sql, w=self.workspace)]


@pytest.fixture
def slow() -> Iterator[SlowMedia]:
    with serve_slow_media() as serving:
        yield serving


@pytest.fixture
def attacker(stack: Stack) -> Attacker:
    return Attacker(stack)


@pytest.fixture
def media_host(stack: Stack, slow: SlowMedia) -> Iterator[None]:
    """The workers take the slow host for the sandbox's media host. Other posts use uploaded files."""
    for group in ("reachability", "publish"):
        stack.kill(group)
        stack.start_worker(group, SLIPWAY_SANDBOX__MEDIA_URL=slow.origin, **LONG)
    yield
    for group in ("reachability", "publish"):
        stack.kill(group)
        stack.start_worker(group)


def post_upload(stack: Stack) -> str:
    """Create an immediate post of an uploaded video."""
    url = upload(stack, "video/mp4", sample(stack, "sample.mp4"))
    return stack.create_post(caption(), Platform.YOUTUBE, media={"type": "video", "url": url})


@pytest.mark.usefixtures("media_host")
def test_two_workers_together_read_four_files_of_a_host_at_once_and_leave_places_of_it_to_another_workspace(
    stack: Stack, attacker: Attacker, slow: SlowMedia
) -> None:
    settings = {**LONG, "SLIPWAY_SANDBOX__MEDIA_URL": slow.origin}
    stack.start_worker("reachability", "another", **settings)
    neighbour, quick = Attacker(stack), slow.create_quick_url(sample(stack, "sample.mp4"))
    for _ in range(ATTACKS):
        attacker.post(slow.create_slow_url())
    until(lambda: slow.requests == PER_HOST, 40, lambda: f"{slow.requests} are read")
    stack.await_status(post_upload(stack), "posted")
    assert slow.requests == PER_HOST, "no slow check ended before, and no other began"
    neighbour.post(quick)
    until(lambda: neighbour.read_states() == ["published"], 40, lambda: str(neighbour.read_states()))
    assert slow.count_requests(quick) == slow.requests - PER_HOST, (
        "no slow check ended before: each has a minute"
    )
    stack.kill("another")
    assert attacker.count_undecided() == ATTACKS


@pytest.mark.usefixtures("media_host")
def test_uploads_that_drip_leave_slots_to_another_workspace(
    stack: Stack, attacker: Attacker, slow: SlowMedia
) -> None:
    slow.is_slow = False
    url = slow.create_later_slow_url(sample(stack, "sample.mp4"))
    attacker.post(url)
    until(lambda: attacker.read_states() == ["published"] or None, 40, lambda: str(attacker.read_states()))
    slow.is_slow, before = True, slow.requests
    for _ in range(ATTACKS):
        attacker.post(url)
    until(lambda: slow.requests >= before + SLOTS // 2 or None, 40)
    stack.await_status(post_upload(stack), "posted")
    assert attacker.read_states().count("published") == 1, "no slow upload ended before"

    def find_given_up() -> bool | None:
        rescue_expired_leases(
            stack.context
        )  # as upkeep, more often: a slow upload takes longer than a lease lasts
        return any("less than 64 KiB per second" in move for move in attacker.read_moves()) or None

    until(find_given_up, 60)
    ended = {move.partition(":")[0] for move in attacker.read_moves()} & {"failed", "blocked", "unknown"}
    assert not ended, "they are retried"
