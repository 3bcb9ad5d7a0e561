"""Which limits a new key gets, and which apply."""

from __future__ import annotations

import pytest

from pipeline.domain.account import NEW_KEY_POSTS_PER_MINUTE, SERVER_DEFAULT, KeyLimits, choose_new_limits


@pytest.mark.parametrize(
    ("given", "server", "bulk", "rate"),
    [
        (None, 0, False, NEW_KEY_POSTS_PER_MINUTE),
        (None, 0, True, None),
        (None, 100, False, None),  # it follows the server
        (None, 100, True, None),
        (0, 0, False, 0),
        (5, 100, True, 5),
    ],
)
def test_a_new_key_gets_a_rate_where_nobody_set_one(
    given: int | None, server: int, bulk: bool, rate: int | None
) -> None:
    chosen = choose_new_limits(
        KeyLimits(posts_per_minute=given, posts_per_day=7), server_posts_per_minute=server, bulk=bulk
    )
    assert chosen == KeyLimits(posts_per_minute=rate, posts_per_day=7)


def test_the_servers_limits_apply_where_the_key_has_none() -> None:
    server = KeyLimits(music_required=True, posts_per_minute=100, posts_per_day=1000)
    assert SERVER_DEFAULT.over(server) == server
    own = KeyLimits(music_required=False, posts_per_minute=0)
    assert own.over(server) == KeyLimits(music_required=False, posts_per_minute=0, posts_per_day=1000)
