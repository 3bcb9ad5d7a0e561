"""Print the live posts that could be a delivery which a restore left in doubt, with links, for a person to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pipeline.cli.output import print_rows

_WORDS = {False: "differs", None: "not shown"}


def list_candidates(error: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """Return the candidates of a stored error, as the API shows them."""
    found: Sequence[Mapping[str, Any]] = (error or {}).get("candidates", ())
    return found


def print_candidates(errors: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Print a table of the candidates of these errors, by delivery; nothing where there are none."""
    rows = [_to_row(delivery, one) for delivery, error in errors.items() for one in list_candidates(error)]
    if rows:
        click.echo("\nLive posts that could be it")
        print_rows(rows, as_json=False)


def _to_row(delivery: str, one: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: one[f"same_{name}"] for name in ("caption", "kind", "media")}
    differences = [f"{name} {_WORDS[same]}" for name, same in parts.items() if same is not True]
    return {
        "delivery": delivery,
        "url": one["url"] or f"(no link; id {one['remote_id']})",
        "created_at": one["created_at"],
        "compared": ", ".join(differences) or "all agrees",
    }
