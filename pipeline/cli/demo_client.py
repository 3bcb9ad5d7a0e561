"""Calls the API of the demo's stack as any client does, and the control API of its sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.cli.demo_stack import Stack


def create_post(stack: Stack, body: Mapping[str, Any]) -> str:
    """Create a post and return its id. Raises ClickException."""
    identity: str = call_api(stack, "POST", "posts", json=body)["id"]
    return identity


def call_api(stack: Stack, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """Send one request to the API, as any client does, and return its data. Raises ClickException."""
    import requests

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
    from pipeline.embedded.control import Control, ControlError

    try:
        found: list[dict[str, Any]] = Control(stack.summary.sandbox, stack.summary.sandbox_token).call(
            "GET", "ledger"
        )
    except ControlError as error:
        raise click.ClickException(f"The sandbox: {error} Look at {stack.summary.logs}.") from None
    return found
