"""Commands about the approval of a post: `slipway post approval|approve|send-back|approval-link`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from pipeline.cli import lazy_imports, runtime
from pipeline.cli.options import DURATION, FUTURE_OR_NOW
from pipeline.cli.output import Command, is_json, print_fields, print_present
from pipeline.cli.post_requests import group_by_workspace
from pipeline.cli.progress import is_interactive

with lazy_imports():
    from pipeline.actions import approve as actions
    from pipeline.api.http import auth
    from pipeline.api.posts import approval_routes
    from pipeline.store import health

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller

hash_option = click.option(
    "--hash", "shown", metavar="HASH", help="Of what you have seen, as `slipway post approval` shows it."
)


def _run(post: str, work: Callable[[Context, Caller, UUID], Any]) -> Any:
    """Return what *work* does to a post in the name of who is at the command line. Raises ClickException."""
    identity = runtime.parse_id(post, "post")
    with runtime.report_refusals(), runtime.open_context() as context:
        [(caller, _)] = group_by_workspace(context, [identity], require_all=True)
        return work(context, caller, identity)


def _print(found: Any) -> None:
    shown = approval_routes.PostApproval.from_approval(found).model_dump(mode="json")
    print_present({n: v for n, v in shown.items() if is_json() or v is not False})


@click.command(cls=Command)
@click.argument("post")
def approval(post: str) -> None:
    """Show whether POST is approved as it is, and the hash that an approval names.

    Example:
      slipway post approval 0199c0de-0000-7000-8000-000000000000 --json
    """
    _print(_run(post, _find))


def _find(context: Context, caller: Caller, identity: UUID) -> Any:
    with context.database.begin() as c:
        return actions.find_approval(c, caller, identity)


def _choose_hash(context: Context, caller: Caller, identity: UUID, shown: str | None) -> str:
    """Return the hash that was given, or ask for what is shown now. Raises ClickException."""
    if shown is not None:
        return shown
    found = _find(context, caller, identity)
    if found is None:
        raise click.ClickException("The post needs no approval.")
    if not is_interactive():
        raise click.UsageError(
            "Give --hash: `slipway post approval` and `slipway post show` show what you approve."
        )
    click.echo(f"`slipway post show {identity}` shows it. Its hash is {found.hash}.", err=True)
    click.confirm("Go on with it as it is now?", abort=True, err=True)
    return str(found.hash)


@click.command(cls=Command)
@click.argument("post")
@hash_option
@click.option(
    "--at",
    type=FUTURE_OR_NOW,
    metavar="WHEN",
    help="Its new time, needed once its own has passed: 2h, or now.",
)
def approve(post: str, shown: str | None, at: datetime | str | None) -> None:
    """Approve POST as it is: it is sent at its time. Who wrote it or changed it last does not.

    Examples:
      slipway post approve 0199c0de-0000-7000-8000-000000000000
      slipway post approve 0199c0de-0000-7000-8000-000000000000 --hash 9f86…0a08 --at now
    """

    def work(context: Context, caller: Caller, identity: UUID) -> Any:
        auth.require_plan(caller)
        with context.database.begin() as c:
            due_at = health.database_now(c) if at == "now" else at
        return actions.approve(
            context,
            caller,
            identity,
            _choose_hash(context, caller, identity, shown),
            due_at if isinstance(due_at, datetime) else None,
        )

    _print(_run(post, work))


@click.command("send-back", cls=Command)
@click.argument("post")
@hash_option
@click.option("--why", required=True, help="What has to be changed.")
def send_back(post: str, shown: str | None, why: str) -> None:
    """Send POST back to its author: it waits until they change it.

    Example:
      slipway post send-back 0199c0de-0000-7000-8000-000000000000 --why 'The price is wrong.'
    """

    def work(context: Context, caller: Caller, identity: UUID) -> Any:
        return actions.send_back(
            context, caller, identity, _choose_hash(context, caller, identity, shown), why
        )

    _print(_run(post, work))


@click.command("approval-link", cls=Command)
@click.argument("posts", nargs=-1, required=True, metavar="POST...")
@click.option("--lasts", type=DURATION, default="72h", show_default=True, help="How long it works: 72h.")
def approval_link(posts: tuple[str, ...], lasts: timedelta) -> None:
    """Make a link to a page on which a client without a login approves POSTs of one workspace, or sends them back.

    Each is answered once. The link is shown only now.

    Example:
      slipway post approval-link 0199c0de-0000-7000-8000-000000000000 --lasts 72h
    """
    ids = [runtime.parse_id(post, "post") for post in posts]
    if len(ids) > actions.MOST_POSTS:
        raise click.UsageError(f"A link has at most {actions.MOST_POSTS} posts; these are {len(ids)}.")
    with runtime.report_refusals(), runtime.open_context() as context:
        groups = group_by_workspace(context, ids, require_all=True)
        if len(groups) > 1:
            raise click.UsageError("A link is of one workspace; these posts are of several.")
        token, link = actions.make_link(context, groups[0][0], ids, lasts)
        url = context.settings.own_url + actions.LINK_PATH.format(token=token)
    print_fields({"url": url, "posts": len(link.posts), "expires_at": link.expires_at})
