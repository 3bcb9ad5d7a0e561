"""Print live posts that could be a delivery whose outcome is unknown since a restore, with links to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pipeline.cli.output import print_rows
from pipeline.domain.restored_post import describe_candidate, split_candidates


def list_candidates(error: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """Return the candidates of a stored error, as the API shows them."""
    found: Sequence[Mapping[str, Any]] = (error or {}).get("candidates", ())
    return found


def print_candidates(errors: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Print a table of the likely candidates of these errors, by delivery, and how many others there are."""
    split = {delivery: split_candidates(error) for delivery, error in errors.items()}
    rows = [_to_row(delivery, one) for delivery, (likely, _) in split.items() for one in likely]
    if rows:
        click.echo("\nLive posts that could be it")
        print_rows(rows, as_json=False)
    for delivery, (_, unlikely) in split.items():
        if unlikely:
            click.echo(
                f"\n{delivery}: {len(unlikely)} more live posts of the account differ from it; --json lists them."
            )


def _to_row(delivery: str, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "delivery": delivery,
        "url": one["url"] or f"(no link; id {one['remote_id']})",
        "created_at": one["created_at"],
        "compared": describe_candidate(one),
    }
