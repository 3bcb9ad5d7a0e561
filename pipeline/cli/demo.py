"""`slipway demo`: publishes two posts to the sandbox through the API and compares the result with its ledger."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import EXAMPLES
from pipeline.cli.demo_client import INTERRUPT, call_api, create_post, list_ours, list_theirs
from pipeline.cli.output import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.cli.demo_compare import Comparison
    from pipeline.cli.demo_stack import Stack

PLATFORMS = ("tiktok", "instagram")
TIMEOUT = 120.0
"""Seconds after the last due time."""
IMAGES = 3
LEFT = (
    "For the dashboard it leaves a post that waited while its account was paused, a post that its platform refuses,\n"
    "and posts for the next days: {}\n"
)


@click.command(
    epilog=f"{EXAMPLES}slipway demo --ahead 60\n  slipway demo --bulk\n  slipway demo --lose-answer"
)
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
@json_option
def command(ahead: int, *, bulk: bool, lose_answer: bool, as_json: bool) -> None:
    """Publish a video now and a slideshow later to the sandbox's TikTok and Instagram, and check both.

    Uses the `slipway up` of this folder, or starts a temporary one. Exit status 1 unless each is live exactly once.
    A `slipway up` that stays gets more posts, to be seen in the dashboard; an account is paused until the demo ends.

    With --bulk it goes the way of an import: accounts, template, plan, forecast, apply, some lost answers, rollback.

    With --lose-answer it needs a running `slipway up`, where the delivery stays unknown: no look can tell whether a
    member's post is live on LinkedIn. It prints the commands to inspect the delivery and to decide.
    """
    from rich.console import Console

    from pipeline.cli.demo_bulk import run_bulk
    from pipeline.cli.demo_lost_answer import publish_and_lose_answer
    from pipeline.cli.demo_stack import open_running_stack, open_stack
    from pipeline.cli.runtime import report_errors

    if bulk and lose_answer:
        raise click.UsageError("Give --bulk or --lose-answer, not both.")
    if lose_answer:
        with report_errors():
            publish_and_lose_answer(open_running_stack(), as_json=as_json)
        return
    # SIGINT too: a shell script starts what it puts in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, INTERRUPT.handle)
    began = time.monotonic()
    console = Console(stderr=as_json)

    def print_line(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    with report_errors(), open_stack(print_line) as stack:
        if bulk:
            found, differences = run_bulk(stack, ahead, console)
        else:
            compared, differences, left = _run(stack, ahead, console)
            found = {"deliveries": [one.to_dict() for one in compared], "left": left}
            if not as_json:
                _print_text(compared, differences)
                if left:
                    click.echo(LEFT.format(stack.summary.dashboard))
    seconds = time.monotonic() - began
    if as_json:
        found |= {"agrees": not differences, "differences": differences, "seconds": round(seconds, 1)}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo(f"The demo took {seconds:.1f} s.")
    sys.exit(1 if differences else 0)


def _run(stack: Stack, ahead: int, console: Console) -> tuple[list[Comparison], list[str], Mapping[str, Any]]:
    """Publish, follow, compare; on a stack that stays, leave more posts for the dashboard."""
    from pipeline.cli.demo_compare import compare
    from pipeline.cli.demo_dashboard import leave_for_dashboard, pause_account
    from pipeline.cli.demo_follow import follow

    accounts, marker = _list_accounts(stack), f"demo-{secrets.token_hex(4)}"
    bodies = _build_bodies(stack.summary.media, accounts, ahead, marker)
    with pause_account(stack, marker) as waiting:
        posts = {name: create_post(stack, body) for name, body in bodies.items()}
        follow(lambda post: call_api(stack, "GET", f"posts/{post}"), posts, ahead + TIMEOUT, console)
        compared, differences = compare(list_ours(stack, posts), list_theirs(stack), marker)
    left = {} if stack.is_temporary else leave_for_dashboard(stack, marker)
    return compared, differences, {**left, "posts": [*waiting, *left["posts"]]} if left else {}


def _list_accounts(stack: Stack) -> list[str]:
    """Return the ids of the sandbox accounts on the demo's platforms that have an adapter."""
    from pipeline.wiring import build_context

    context = build_context(stack.settings)
    context.database.close()
    known = {platform.value for platform in context.adapters}
    found = [stack.summary.accounts[p] for p in PLATFORMS if p in known and p in stack.summary.accounts]
    if not found:
        raise click.ClickException(
            f"The stack has no sandbox account on {' or '.join(PLATFORMS)}: "
            "add one with `slipway account add-sandbox`, or try the demo in a fresh folder."
        )
    return found


def _build_bodies(media: str, accounts: Sequence[str], ahead: int, marker: str) -> dict[str, dict[str, Any]]:
    """Return the two request bodies; the media are real files of the sandbox's media host: an MP4 and three JPEGs."""
    common = {"accounts": [{"id": account} for account in accounts]}
    images = [f"{media}/media/sample-{number}.jpg" for number in range(1, IMAGES + 1)]
    due = (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()
    return {
        "video": {
            "caption": f"Slipway {marker}: a video, now",
            "media": {"type": "video", "url": f"{media}/media/sample.mp4"},
            **common,
        },
        "slideshow": {
            "caption": f"Slipway {marker}: a slideshow, {ahead} s ahead",
            "media": {"type": "slideshow", "urls": images},
            "scheduled_at": due,
            **common,
        },
    }


def _print_text(compared: Sequence[Comparison], differences: Sequence[str]) -> None:
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
