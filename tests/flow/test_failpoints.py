"""Crash workers and the API at the failpoints of ``tests/crash_table.py``: no post is lost or doubled.

One process crashes at several failpoints in turn, to save starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import requests

from adapters.contract import Platform
from pipeline.accounts.authorize import start_authorization
from pipeline.store.accounts.accounts import find_accounts
from pipeline.store.accounts.oauth_sessions import CLI
from tests.actors import TESTER
from tests.crash_table import Crashes
from tests.flow.ledger import ask, caption, slideshow
from tests.pipeline.accounts.consent_page import confirm, grant_consent
from tests.stack import Stack, until

SOON = {"SLIPWAY_REACHABILITY__SLICE": "2", "SLIPWAY_REACHABILITY__LEASE": "6"}


def test_a_worker_that_dies_around_each_look_leaves_one_post(stack: Stack, crashes: Crashes) -> None:
    text = caption()
    post = crash_worker(stack, "publish", crashes, lambda: stack.create_post(text, "tiktok"))
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1


def test_a_worker_that_dies_in_a_refresh_leaves_one_post(stack: Stack, crashes: Crashes) -> None:
    text = caption()
    stack.set_tokens("tiktok", "expired")
    post = crash_worker(stack, "publish", crashes, lambda: stack.create_post(text, "tiktok"))
    # a refresh token that may have been used is not sent a third time: the user reconnects the account
    if until(lambda: _state_in(stack, post, "published", "blocked"), 60) == "blocked":
        stack.reconnect("tiktok")
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1


def test_a_worker_that_dies_over_a_check_leaves_one_post(stack: Stack, crashes: Crashes) -> None:
    text = caption()
    media = {"type": "video", "url": stack.media(f"sample.mp4?unseen={uuid4().hex}")}
    post = crash_worker(
        stack, "reachability", crashes, lambda: stack.create_post(text, "tiktok", media=media), more=SOON
    )
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1


def test_an_api_that_dies_after_each_commit_keeps_its_word(stack: Stack, crashes: Crashes) -> None:
    stack.environment |= crashes.arm()
    try:
        _restart_api(stack)
        for point in crashes.points:
            _SCENARIOS[point](stack)
    finally:
        for name in crashes.arm():
            del stack.environment[name]


# --- requests during which the API crashes ---------------------------------------------------------------------------


def _crash_in_ingest(stack: Stack) -> None:
    text = caption()
    body = {
        "caption": text,
        "media": slideshow(stack),
        "accounts": [{"id": str(stack.accounts["tiktok"])}],
        "external_id": uuid4().hex,
    }
    _assert_crash(stack, lambda: stack.post(**body))
    again = stack.post(**body)
    assert again.ok, again.text
    stack.await_status(again.json()["data"]["id"], "posted", 60)
    assert len(stack.live(text)) == 1


def _crash_in_edit(stack: Stack) -> None:
    old, new = caption(), caption()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    post = stack.create_post(old, "tiktok", media=slideshow(stack), scheduled_at=later)
    _assert_crash(
        stack, lambda: ask(stack, "PATCH", f"/posts/{post}", {"caption": new, "scheduled_at": None})
    )
    stack.await_status(post, "posted", 60)
    assert (len(stack.live(old)), len(stack.live(new))) == (0, 1)


def _crash_in_retry(stack: Stack) -> None:
    text = caption()
    stack.fault("instagram", "prepare", "fail-processing", times=None, reason="2207026")
    post = stack.create_post(text, "instagram")
    stack.await_status(post, "failed", 60)
    stack.control("DELETE", "faults")
    _assert_crash(stack, lambda: ask(stack, "POST", "/posts/retry", {"post_ids": [post]}))
    stack.await_status(post, "posted", 60)
    assert len(stack.live(text)) == 1


def _crash_in_delete(stack: Stack) -> None:
    text = caption()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    post = stack.create_post(text, "tiktok", media=slideshow(stack), scheduled_at=later)
    _assert_crash(stack, lambda: ask(stack, "POST", "/posts/delete", {"postIds": [post]}))
    assert ask(stack, "GET", f"/posts/{post}").status_code == 404
    assert stack.live(text) == []


def _crash_in_sign_in(stack: Stack) -> None:
    """An OAuth session is good for one answer; after a lost answer the user starts again, and that works."""
    text, name = caption(), f"person{uuid4().hex[:8]}"
    stack.control("POST", "accounts", {"platform": "tiktok", "username": name})
    back = _grant_consent(stack, name)
    _assert_crash(stack, lambda: requests.get(back, timeout=60))
    assert requests.get(back, timeout=60).status_code == 409
    with stack.context.database.begin() as c:
        assert name not in [a.username for a in find_accounts(c, stack.workspace)], (
            "half a connection was stored"
        )
    if not _has_crashed(stack, lambda: confirm(requests.get(_grant_consent(stack, name), timeout=60))):
        _assert_posts_as(stack, name, text)


def _sign_in_again(stack: Stack) -> None:
    """The crash at ``connect.answered`` has happened above; the third sign-in works."""
    text, name = caption(), f"person{uuid4().hex[:8]}"
    stack.control("POST", "accounts", {"platform": "tiktok", "username": name})
    assert confirm(requests.get(_grant_consent(stack, name), timeout=60)).status_code == 200
    _assert_posts_as(stack, name, text)


_SCENARIOS: Mapping[str, Callable[[Stack], None]] = {
    "ingest.committed": _crash_in_ingest,
    "edit.committed": _crash_in_edit,
    "steer.retried": _crash_in_retry,
    "steer.deleted": _crash_in_delete,
    "connect.used": _crash_in_sign_in,
    "connect.answered": _sign_in_again,
}


def _grant_consent(stack: Stack, name: str) -> str:
    return grant_consent(
        start_authorization(stack.context, TESTER, stack.workspace, Platform.TIKTOK, CLI).url, name
    )


def _assert_posts_as(stack: Stack, name: str, text: str) -> None:
    with stack.context.database.begin() as c:
        [one] = [a for a in find_accounts(c, stack.workspace) if a.username == name]
    stack.accounts["tiktok"] = one.id
    stack.await_status(stack.create_post(text, "tiktok", media=slideshow(stack)), "posted", 60)
    assert len(stack.live(text)) == 1


# --- crashes ---------------------------------------------------------------------------------------------------------


def _assert_crash(stack: Stack, call: Callable[[], requests.Response]) -> None:
    assert _has_crashed(stack, call), "the API answered instead of crashing"


def _has_crashed(stack: Stack, call: Callable[[], requests.Response]) -> bool:
    """Return whether the API crashed during this request; restart it then."""
    try:
        call()
    except requests.ConnectionError:
        _restart_api(stack)
        return True
    return False


def _restart_api(stack: Stack) -> None:
    stack.kill("api")
    stack.start_api()


def crash_worker(
    stack: Stack,
    group: str,
    crashes: Crashes,
    work: Callable[[], str],
    meanwhile: Callable[[str], object] = lambda _post: None,
    more: Mapping[str, str] = {},
) -> str:
    """Run *work* with a worker that crashes once at each of the test's failpoints and is restarted each time.

    *meanwhile* is called with the post while waiting, to make time pass for it. Return the post.
    """
    environment = {**crashes.arm(), **more}
    stack.kill(group)
    stack.start_worker(group, None, 8, **environment)
    try:
        post = work()

        def has_crashed_everywhere() -> bool:
            meanwhile(post)
            # asked before the points: it may end at the last of them right now
            has_ended = stack.parts[group].poll() is not None
            if all(map(crashes.has_reached, crashes.points)):
                return True
            if has_ended:
                stack.start_worker(group, None, 8, **environment)
            return False

        until(
            has_crashed_everywhere,
            90,
            lambda: f"only died at {list(filter(crashes.has_reached, crashes.points))}",
        )
        until(lambda: stack.parts[group].poll() is not None, 20)
    finally:
        stack.kill(group)  # failpoints it has not reached must not stay armed for the next test
        stack.start_worker(group)
    return post


def _state_in(stack: Stack, post: str, *states: str) -> str | None:
    state: str = stack.state(post, "tiktok")["state"]
    return state if state in states else None
