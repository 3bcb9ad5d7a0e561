"""`slipway post`: posts of a workspace, in the public words, with the id of every delivery beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import written
from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, show, show_one
from pipeline.cli.runtime import identity, ledger
from pipeline.domain.delivery import Reason, State
from pipeline.domain.post import PostStatus, account_status, as_read, status_of

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.store.posts.views import DeliveryView, PostView

SHORT = 40
"""Characters of a caption in a list."""


@click.group()
def command() -> None:
    """What was taken, and where each of its accounts stands."""


@command.command("list", epilog=EXAMPLE + "slipway post list --workspace Acme --status failed")
@click.option("--workspace", required=True, help="Name or id.")
@click.option("--status", type=click.Choice([s.value for s in PostStatus]))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_(workspace: str, status: str | None, limit: int, *, as_json: bool) -> None:
    """List posts, newest first."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.posts.pages import list_posts

    with ledger() as c:
        found = list_posts(c, find_workspace(c, workspace).id, status=status, limit=limit)
    rows = [
        {
            "id": str(p.id),
            "status": _status(p).value,
            "due_at": written(p.due_at),
            "caption": p.caption if as_json or len(p.caption) <= SHORT else f"{p.caption[: SHORT - 1]}…",
            "accounts": ", ".join(f"{d.platform} {d.username}: {d.state}" for d in p.deliveries),
        }
        for p in found
    ]
    show(rows, as_json=as_json, empty="No such posts.")


@command.command("show", epilog=EXAMPLE + "slipway post show 0199c0de-0000-7000-8000-000000000000 --json")
@click.argument("post")
@json_option
def show_post(post: str, *, as_json: bool) -> None:
    """Show one post: its deliveries, their states, addresses and errors."""
    from pipeline.store.deliveries.inspection import workspace_of_post
    from pipeline.store.posts.views import read_post

    wanted = identity(post, "post")
    with ledger() as c:
        workspace = workspace_of_post(c, wanted)
        found = read_post(c, workspace, wanted) if workspace else None
    if found is None or workspace is None:
        raise click.ClickException(
            f"There is no post {wanted}: `slipway post list --workspace NAME` shows them."
        )
    facts = {"id": str(found.id), "workspace_id": str(workspace), **_facts(found)}
    deliveries = [_delivery(d, found.now) for d in found.deliveries]
    if as_json:
        show_one({**facts, "deliveries": deliveries}, as_json=True)
    else:
        show_one({name: fact for name, fact in facts.items() if fact is not None}, as_json=False)
        for one in deliveries:  # a block each: ids and addresses stay whole, to be copied
            click.echo()
            show_one({name: fact for name, fact in one.items() if fact is not None}, as_json=False)


def _facts(p: PostView) -> dict[str, Any]:
    return {
        "status": _status(p).value,
        "caption": p.caption,
        "media": p.media,
        "music_url": p.music_url,
        "tiktok": p.tiktok,
        "pinterest": p.pinterest,
        "due_at": written(p.due_at),
        "expires_at": written(p.expires_at),
        "on_late": p.on_late,
        "source": p.source,
        "external_id": p.external_id,
        "created_at": written(p.created_at),
        "updated_at": written(p.updated_at),
    }


def _delivery(d: DeliveryView, now: datetime) -> dict[str, Any]:
    return {
        "delivery": str(d.id),
        "platform": d.platform,
        "username": d.username,
        "status": _word(d, now).value,
        "state": d.state if d.reason is None else f"{d.state} ({d.reason})",
        "published_at": written(d.published_at),
        "url": d.url,
        "error": None if d.error is None else d.error["message"],
    }


def _word(d: DeliveryView, now: datetime) -> PostStatus:
    return as_read(account_status(State(d.state), Reason(d.reason) if d.reason else None), d.due_at, now)


def _status(p: PostView) -> PostStatus:
    return status_of(_word(d, p.now) for d in p.deliveries)
