"""`slipway demo --lose-answer`: a post goes live on the sandbox's LinkedIn, and its answer is lost."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli.demo_client import call_api, create_post, list_theirs
from pipeline.cli.runtime import call_sandbox
from pipeline.domain.delivery import State

if TYPE_CHECKING:
    from pipeline.cli.demo_stack import Stack

PLATFORM = "linkedin"
FAULT = {"platform": PLATFORM, "step": "finalize", "fault": "effect-then-drop", "times": 1}
TIMEOUT = 60.0
POLL_SECONDS = 0.25


def publish_and_lose_answer(stack: Stack, *, as_json: bool) -> None:
    """Publish the post, wait until its delivery is unknown, and print what to do. Raises ClickException."""
    account = stack.summary.accounts.get(PLATFORM)
    if account is None:
        raise click.ClickException(
            f"The stack has no sandbox account on {PLATFORM}: try this in a fresh folder (SLIPWAY_FOLDER)."
        )
    marker = f"demo-{secrets.token_hex(4)}"
    call_sandbox("POST", "faults", json=FAULT)
    post = create_post(
        stack,
        {
            "caption": f"Slipway {marker}: its answer is lost",
            "media": {"type": "video", "url": f"{stack.summary.media}/media/sample.mp4"},
            "accounts": [{"id": account}],
        },
    )
    state = _wait_until_unknown(stack, post)
    entries = [entry for entry in list_theirs(stack) if marker in entry["caption"]]
    if state["state"] != State.UNKNOWN or len(entries) != 1:
        raise click.ClickException(
            f"The delivery is {state['state']} and live {len(entries)} times, not unknown and live once: "
            f"see {stack.summary.logs}."
        )
    found = {"post": post, "delivery": str(_find_delivery(stack, post)), "live_at": entries[0]["url"]}
    click.echo(json.dumps(found) if as_json else _format(found))


def _wait_until_unknown(stack: Stack, post: str) -> Mapping[str, Any]:
    """Return the account's state in the post once it is unknown, published or failed, or the last one."""
    end = time.monotonic() + TIMEOUT
    while True:
        [state] = call_api(stack, "GET", f"posts/{post}")["accounts"]["states"]
        if state["state"] in {State.UNKNOWN, State.PUBLISHED, State.FAILED} or time.monotonic() > end:
            found: Mapping[str, Any] = state
            return found
        time.sleep(POLL_SECONDS)


def _find_delivery(stack: Stack, post: str) -> UUID:
    """Return the id of the post's only delivery, which the API does not show."""
    from pipeline.cli.runtime import open_transaction
    from pipeline.store.posts.views import read_post

    with open_transaction() as c:
        view = read_post(c, UUID(stack.summary.workspace), UUID(post))
    if view is None:
        raise click.ClickException(f"Post {post} has been deleted.")
    return view.deliveries[0].id


def _format(found: Mapping[str, str]) -> str:
    """Return what happened and the next commands, beginning as this one did, so that they can be pasted."""
    name = sys.argv[0] if Path(sys.argv[0]).name == "slipway" else "slipway"
    slipway = shlex.quote(name)
    return (
        "LinkedIn has published the post, and its answer was lost. No look can tell whether a member's post is live\n"
        "there, so the delivery stays unknown, later blocked, and is never sent again until an operator decides.\n\n"
        f"  {slipway} delivery list --state unknown\n"
        f"  {slipway} delivery show {found['delivery']}\n"
        f"  {slipway} sandbox ledger --platform {PLATFORM}\n"
        f"  {slipway} delivery decide {found['delivery']} --live {found['live_at']}"
    )
