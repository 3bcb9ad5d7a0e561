"""A broker that hangs, is dead or is full: the API takes posts meanwhile, and each is live once when it is back."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.broker_outages import OUTAGES, Outage
from tests.conftest import Engines
from tests.flow.ledger import caption
from tests.stack import Stack


@pytest.mark.parametrize("outage", OUTAGES)
def test_posts_that_were_taken_meanwhile_are_live_once(
    stack: Stack, engines: Engines, outage: Outage
) -> None:
    """Half of them have media that are known, and the others need a check; some are on their way when it begins."""

    def create(n: int) -> tuple[str, str]:
        text = caption()
        url = stack.media("sample.mp4") + (f"?{uuid4().hex}" if n % 2 else "")
        return stack.create_post(text, "tiktok", media={"type": "video", "url": url}), text

    before = [create(n) for n in range(4)]
    with outage(engines.valkey):
        meanwhile = [create(n) for n in range(10)]
    for post, _ in before + meanwhile:
        stack.await_status(post, "posted", 80)
    for _, text in before + meanwhile:
        assert len(stack.live(text)) == 1
