"""`slipway post`: posts of a workspace, with the statuses of the API and the ids of their deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline.api.http.timestamp import format_timestamp
from pipeline.cli import EXAMPLE
from pipeline.cli.output import json_option, print_fields, print_rows
from pipeline.cli.runtime import open_transaction, parse_id
from pipeline.domain.delivery import Reason, State
from pipeline.domain.post import PostStatus, apply_due_time, derive_account_status, derive_post_status

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.store.posts.views import DeliveryView, PostView

CAPTION_WIDTH = 40
"""Characters of a caption in a list."""


@click.group()
def command() -> None:
    """Accepted posts and the state of each of their deliveries."""


@command.command("list", epilog=EXAMPLE + "slipway post list --workspace Acme --status failed")
@click.option("--workspace", required=True, help="Name or id.")
@click.option("--status", type=click.Choice([s.value for s in PostStatus]))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_(workspace: str, status: str | None, limit: int, *, as_json: bool) -> None:
    """List posts, newest first."""
    from pipeline.store.auth.workspaces import find_workspace
    from pipeline.store.posts.pages import list_posts

    with open_transaction() as c:
        found = list_posts(c, find_workspace(c, workspace).id, status=status, limit=limit)
    rows = [
        {
            "id": str(p.id),
            "status": _derive_status(p).value,
            "due_at": format_timestamp(p.due_at),
            "caption": p.caption
            if as_json or len(p.caption) <= CAPTION_WIDTH
            else f"{p.caption[: CAPTION_WIDTH - 1]}…",
            "accounts": ", ".join(f"{d.platform} {d.username}: {d.state}" for d in p.deliveries),
        }
        for p in found
    ]
    print_rows(rows, as_json=as_json, empty="No such posts.")


@command.command("show", epilog=EXAMPLE + "slipway post show 0199c0de-0000-7000-8000-000000000000 --json")
@click.argument("post")
@json_option
def show_post(post: str, *, as_json: bool) -> None:
    """Show one post: its deliveries, their states, addresses and errors."""
    from pipeline.store.deliveries.inspection import find_workspace_of_post
    from pipeline.store.posts.views import read_post

    wanted = parse_id(post, "post")
    with open_transaction() as c:
        workspace = find_workspace_of_post(c, wanted)
        found = read_post(c, workspace, wanted) if workspace else None
    if found is None or workspace is None:
        raise click.ClickException(
            f"There is no post {wanted}: `slipway post list --workspace NAME` shows them."
        )
    facts = {"id": str(found.id), "workspace_id": str(workspace), **_post_to_dict(found)}
    deliveries = [_delivery_to_dict(d, found.now) for d in found.deliveries]
    if as_json:
        print_fields({**facts, "deliveries": deliveries}, as_json=True)
    else:
        print_fields({name: fact for name, fact in facts.items() if fact is not None}, as_json=False)
        for one in deliveries:  # a block each, not a table: ids and URLs stay whole, to be copied
            click.echo()
            print_fields({name: fact for name, fact in one.items() if fact is not None}, as_json=False)


def _post_to_dict(p: PostView) -> dict[str, Any]:
    return {
        "status": _derive_status(p).value,
        "caption": p.caption,
        "media": p.media,
        "music_url": p.music_url,
        "tiktok": p.tiktok,
        "pinterest": p.pinterest,
        "due_at": format_timestamp(p.due_at),
        "expires_at": format_timestamp(p.expires_at),
        "on_late": p.on_late,
        "source": p.source,
        "external_id": p.external_id,
        "created_at": format_timestamp(p.created_at),
        "updated_at": format_timestamp(p.updated_at),
    }


def _delivery_to_dict(d: DeliveryView, now: datetime) -> dict[str, Any]:
    return {
        "delivery": str(d.id),
        "platform": d.platform,
        "username": d.username,
        "status": _derive_account_status(d, now).value,
        "state": d.state if d.reason is None else f"{d.state} ({d.reason})",
        "removed": d.removed or None,
        "published_at": format_timestamp(d.published_at),
        "url": d.url,
        "url_pending": d.url_pending or None,
        "error": None if d.error is None else d.error["message"],
        "platform_message": None if d.error is None else d.error.get("platform_message"),
    }


def _derive_account_status(d: DeliveryView, now: datetime) -> PostStatus:
    return apply_due_time(
        derive_account_status(State(d.state), Reason(d.reason) if d.reason else None), d.due_at, now
    )


def _derive_status(p: PostView) -> PostStatus:
    return derive_post_status(_derive_account_status(d, p.now) for d in p.deliveries if not d.removed)
