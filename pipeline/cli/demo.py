"""`slipway demo`: publishes posts to the sandbox through the API and compares the result with its ledger."""

from __future__ import annotations

import json
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports
from pipeline.cli.output import Command, is_json
from pipeline.cli.runtime import call_sandbox, find_actor, report_errors
from pipeline.domain.delivery import State

with lazy_imports():
    from pipeline.actions import pauses as pause_actions
    from pipeline.cli import demo_bulk, demo_stack


if TYPE_CHECKING:
    from rich.console import Console


PLATFORMS = ("tiktok", "instagram")
TIMEOUT = 120.0
"""Seconds after the last due time."""
IMAGES = 3
LEFT = (
    "For the dashboard it leaves a post that waited while its account was paused, a post that its platform refuses,\n"
    "and posts for the next days: {}\n"
)


@click.command(cls=Command)
@click.option(
    "--ahead",
    type=click.IntRange(0, 3600),
    default=45,
    show_default=True,
    metavar="SECONDS",
    help="When the second post is due, or with --bulk the first 60, in seconds from now; under 30 means at once.",
)
@click.option(
    "--bulk",
    is_flag=True,
    help="Instead, import 300 posts for 60 new sandbox accounts, and roll back those that are not live.",
)
@click.option(
    "--lose-answer",
    is_flag=True,
    help="Instead, publish one post to the sandbox's LinkedIn, whose answer is lost after the effect.",
)
def command(ahead: int, *, bulk: bool, lose_answer: bool) -> None:
    """Publish a video now and a slideshow later to the sandbox's TikTok and Instagram, and check both.

    Uses the `slipway up` of this folder, or starts a temporary one. Exit status 1 unless each is live exactly once.
    A `slipway up` that stays gets more posts, to be seen in the dashboard; an account is paused until the demo ends.

    With --bulk it goes the way of an import: accounts, template, plan, forecast, apply, some lost answers, rollback.

    With --lose-answer it needs a running `slipway up`, where the delivery stays unknown: no look can tell whether a
    member's post is live on LinkedIn. It prints the commands to inspect the delivery and to decide.

    Examples:
      slipway demo --ahead 60
      slipway demo --bulk
      slipway demo --lose-answer
    """
    from rich.console import Console

    if bulk and lose_answer:
        raise click.UsageError("Give --bulk or --lose-answer, not both.")
    if lose_answer:
        with report_errors():
            publish_and_lose_answer(demo_stack.open_running_stack())
        return
    # SIGINT too: a shell script starts what it puts in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, demo_stack.interrupt)
    began = time.monotonic()
    console = Console(stderr=is_json())
    with report_errors(), demo_stack.open_stack(demo_stack.get_printer(console)) as stack:
        if bulk:
            found, differences = demo_bulk.run_bulk(stack, ahead, console)
        else:
            compared, differences, left = _run(stack, ahead, console)
            found = {"deliveries": [one.to_dict() for one in compared], "left": left}
            if not is_json():
                _print_text(compared, differences)
                if left:
                    click.echo(LEFT.format(stack.summary.dashboard))
    seconds = time.monotonic() - began
    if is_json():
        found |= {"agrees": not differences, "differences": differences, "seconds": round(seconds, 1)}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo(f"The demo took {seconds:.1f} s.")
    sys.exit(1 if differences else 0)


def _run(
    stack: demo_stack.Stack, ahead: int, console: Console
) -> tuple[list[demo_stack.Comparison], list[str], Mapping[str, Any]]:
    """Publish, follow, compare; on a stack that stays, leave more posts for the dashboard."""
    accounts, marker = _list_accounts(stack), f"demo-{secrets.token_hex(4)}"
    due = (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()
    images = [f"{stack.summary.media}/media/sample-{number}.jpg" for number in range(1, IMAGES + 1)]
    slideshow = {"media": {"type": "slideshow", "urls": images}, "scheduled_at": due}
    with pause_account(stack, marker) as waiting:
        posts = {
            "video": _post(stack, f"Slipway {marker}: a video, now", accounts),
            "slideshow": _post(
                stack, f"Slipway {marker}: a slideshow, {ahead} s ahead", accounts, **slideshow
            ),
        }
        demo_bulk.follow(
            lambda post: demo_stack.call_api(stack, "GET", f"posts/{post}"), posts, ahead + TIMEOUT, console
        )
        compared, differences = demo_stack.compare(
            demo_stack.list_ours(stack, posts), demo_stack.control_sandbox(stack, "GET", "ledger"), marker
        )
    left = {} if stack.is_temporary else leave_for_dashboard(stack, marker)
    return compared, differences, {**left, "posts": [*waiting, *left["posts"]]} if left else {}


def _list_accounts(stack: demo_stack.Stack) -> list[str]:
    """Return the ids of the sandbox accounts on the demo's platforms."""
    found = [stack.summary.accounts[p] for p in PLATFORMS if p in stack.summary.accounts]
    if not found:
        raise click.ClickException(
            f"The stack has no sandbox account on {' or '.join(PLATFORMS)}: "
            "add one with `slipway account add-sandbox`, or try the demo in a fresh folder."
        )
    return found


def _print_text(compared: Sequence[demo_stack.Comparison], differences: Sequence[str]) -> None:
    click.echo("\nPublished:")
    for one in compared:
        click.echo(f"  {one.ours.post:<10} {one.ours.platform:<10} {one.ours.url or '(no address)'}")
    click.echo("\nOur database compared with the sandbox's ledger:")
    for one in compared:
        entries = ", ".join(f"{e['remote_id']} at {e['at']}" for e in one.entries) or "nothing"
        late = "" if one.late is None else f", {one.late:.2f} s after its time"
        ours = f"{one.ours.remote_id or ''} {one.ours.state}"
        click.echo(f"  {one.ours.post:<10} {one.ours.platform:<10} ours:   {ours}")
        click.echo(f"  {'':<21} ledger: {entries}{late}")
    for difference in differences:
        click.echo(difference, err=True)
    click.echo(
        "\nNot each of them is live exactly once: see above.\n"
        if differences
        else f"\nAll {len(compared)} are live, each exactly once.\n"
    )


PAUSED, REFUSING = "pinterest", "facebook"
"""Platforms of the sandbox accounts that the demo itself does not publish to."""
WHY = "by `slipway demo`, which lifts it when it ends"
"""A reason that marks the demo's own pause: an operator's stays."""
DAYS = (1, 2, 5)
"""From today, of the posts that are scheduled for all accounts."""
HOUR = 10
"""The hour of the day, in UTC: the calendar shows it without scrolling."""
REASON = "The video file is corrupt"


@contextmanager
def pause_account(stack: demo_stack.Stack, marker: str) -> Iterator[Sequence[str]]:
    """Pause an account while the block runs, on a stack that stays; yield the posts that are due and wait for it."""
    if stack.is_temporary or (account := stack.summary.accounts.get(PAUSED)) is None:
        yield ()
        return
    with pause_actions.pause_during(
        partial(demo_stack.open_tables, stack), find_actor(), "account", account, WHY
    ):
        yield [_post(stack, f"Slipway {marker}: waits for its account", [account])]


def leave_for_dashboard(stack: demo_stack.Stack, marker: str) -> Mapping[str, Any]:
    """Schedule posts, and let a post fail. Return what was left.

    The failure is ordered for the one account that it is about, so that it meets no other post.
    """
    accounts = stack.summary.accounts
    posts = [_schedule(stack, marker, timedelta(days=days), accounts) for days in DAYS]
    if (refusing := accounts.get(REFUSING)) is not None:
        _order_failure(stack, refusing)
        posts.append(_post(stack, f"Slipway {marker}: refused by the platform", [refusing]))
    return {"posts": posts}


def _schedule(stack: demo_stack.Stack, marker: str, ahead: timedelta, accounts: Mapping[str, str]) -> str:
    due = (datetime.now(UTC) + ahead).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    caption = f"Slipway {marker}: for {due:%A}"
    return _post(stack, caption, accounts.values(), scheduled_at=due.isoformat())


def _post(stack: demo_stack.Stack, caption: str, accounts: Iterable[str], **more: Any) -> str:
    """Create a post and return its id: of a video, unless *more* of the body has other media. Raises ClickException.

    The media are real files of the sandbox's media host: an MP4 and three JPEGs.
    """
    media = {"type": "video", "url": f"{stack.summary.media}/media/sample.mp4"}
    body = {"caption": caption, "media": media, "accounts": [{"id": one} for one in accounts], **more}
    identity: str = demo_stack.call_api(stack, "POST", "posts", json=body)["id"]
    return identity


def _order_failure(stack: demo_stack.Stack, account: str) -> None:
    with demo_stack.open_tables(stack) as c:
        remote = demo_stack.list_remote_ids(c)[UUID(account)]
    fault = {"platform": REFUSING, "step": "any", "fault": "fail-processing", "times": 1, "account": remote}
    demo_stack.control_sandbox(stack, "POST", "faults", json={**fault, "reason": REASON})


PLATFORM = "linkedin"
LOSE_ANSWER = {"platform": PLATFORM, "step": "finalize", "fault": "effect-then-drop", "times": 1}
UNKNOWN_TIMEOUT = 60.0
POLL_SECONDS = 0.25


def publish_and_lose_answer(stack: demo_stack.Stack) -> None:
    """Publish the post, wait until its delivery is unknown, and print what to do. Raises ClickException."""
    account = stack.summary.accounts.get(PLATFORM)
    if account is None:
        raise click.ClickException(
            f"The stack has no sandbox account on {PLATFORM}: try this in a fresh folder (SLIPWAY_FOLDER)."
        )
    marker = f"demo-{secrets.token_hex(4)}"
    call_sandbox("POST", "faults", json=LOSE_ANSWER)
    post = _post(stack, f"Slipway {marker}: its answer is lost", [account])
    delivery = _wait_until_unknown(stack, post)
    entries = [
        entry for entry in demo_stack.control_sandbox(stack, "GET", "ledger") if marker in entry["caption"]
    ]
    if delivery["state"] != State.UNKNOWN or len(entries) != 1:
        raise click.ClickException(
            f"The delivery is {delivery['state']} and live {len(entries)} times, not unknown and live once: "
            f"see {stack.summary.logs}."
        )
    found = {"post": post, "delivery": delivery["delivery_id"], "live_at": entries[0]["url"]}
    click.echo(json.dumps(found) if is_json() else _format(found))


def _wait_until_unknown(stack: demo_stack.Stack, post: str) -> Mapping[str, Any]:
    """Return the post's only delivery, explained, once it is unknown, published or failed, or as it is at last."""
    found: Mapping[str, Any]
    end = time.monotonic() + UNKNOWN_TIMEOUT
    while True:
        [found] = demo_stack.call_api(stack, "GET", f"posts/{post}/explain")["accounts"]
        if found["state"] in {State.UNKNOWN, State.PUBLISHED, State.FAILED} or time.monotonic() > end:
            return found
        time.sleep(POLL_SECONDS)


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
