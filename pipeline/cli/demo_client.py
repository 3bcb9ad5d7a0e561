"""Calls the API of the demo's stack as any client does; reads its tables, and the ledger of its sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import click

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from pipeline.cli.demo_compare import OurDelivery
    from pipeline.cli.demo_stack import Stack


@dataclass
class Interrupt:
    """A flag that the demo was asked to end.

    A KeyboardInterrupt is lost if it is raised in a finalizer or in a callback of a library, so calls look here too.
    """

    came: bool = False

    def handle(self, *_: object) -> NoReturn:
        """End as on Ctrl-C, so that the temporary stack is stopped and the pause lifted."""
        self.came = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if one came."""
        if self.came:
            raise KeyboardInterrupt


INTERRUPT = Interrupt()


def create_post(stack: Stack, body: Mapping[str, Any]) -> str:
    """Create a post and return its id. Raises ClickException."""
    identity: str = call_api(stack, "POST", "posts", json=body)["id"]
    return identity


def call_api(stack: Stack, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """Send one request to the API, as any client does, and return its data. Raises ClickException."""
    import requests

    INTERRUPT.check()
    try:
        answer = requests.request(
            method,
            f"{stack.summary.api}/api/partner/v1/{path}",
            timeout=30,
            headers={"Authorization": f"Bearer {stack.summary.key}"},
            **sent,
        )
    except requests.RequestException as error:
        raise click.ClickException(
            f"The API at {stack.summary.api} does not answer ({type(error).__name__}): look at {stack.summary.logs}."
        ) from None
    if not answer.ok:
        raise click.ClickException(f"The API answered {answer.status_code} to {method} {path}: {answer.text}")
    data: dict[str, Any] = answer.json()["data"]
    return data


def list_theirs(stack: Stack) -> list[dict[str, Any]]:
    """Return what went live, from the sandbox's own ledger."""
    found: list[dict[str, Any]] = control_sandbox(stack, "GET", "ledger")
    return found


def control_sandbox(stack: Stack, method: str, path: str, **sent: Any) -> Any:
    """Send one request to the control API of the stack's sandbox. Raises ClickException."""
    from pipeline.embedded.control import Control, ControlError

    try:
        return Control(stack.summary.sandbox, stack.summary.sandbox_token).call(method, path, **sent)
    except ControlError as error:
        raise click.ClickException(f"The sandbox: {error} Look at {stack.summary.logs}.") from None


def list_ours(stack: Stack, posts: Mapping[str, str]) -> list[OurDelivery]:
    """Return the deliveries from our tables, not from the API."""
    from pipeline.cli.demo_compare import OurDelivery
    from pipeline.store.accounts.accounts import list_accounts
    from pipeline.store.posts.views import read_post

    workspace = UUID(stack.summary.workspace)
    with open_tables(stack) as c:
        remote = {account.id: account.remote_id for account in list_accounts(c)}
        views = {name: read_post(c, workspace, UUID(post)) for name, post in posts.items()}
    return [
        OurDelivery(
            post=name,
            caption=view.caption,
            platform=d.platform,
            username=d.username,
            account=remote[d.account_id],
            state=d.state,
            due_at=d.due_at,
            remote_id=d.remote_id,
            url=d.url,
            error=None if d.error is None else d.error["message"],
            hold=_describe_hold(d.held_for, d.next_at),
        )
        for name, view in views.items()
        if view
        for d in view.deliveries
    ]


def _describe_hold(hold: str | None, next_at: datetime | None) -> str | None:
    if hold is None:
        return None
    until = f" until {next_at.astimezone():%Y-%m-%d %H:%M:%S %Z}" if next_at else ""
    return f"held for {hold}{until}"


@contextmanager
def open_tables(stack: Stack) -> Iterator[Connection]:
    """One transaction on the stack's database."""
    from pipeline.store.database import Database

    database = Database(stack.settings.store.url.get_secret_value(), pool=1)
    try:
        with database.begin() as c:
            yield c
    finally:
        database.close()
