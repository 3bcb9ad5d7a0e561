"""`slipway post create --body FILE` with ``posts`` in the file: many posts at once, as POST /posts/batch takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import print_fields, print_rows

if TYPE_CHECKING:
    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller


def is_batch(body: Any) -> bool:
    """Return True for the body of many posts."""
    return isinstance(body, dict) and "posts" in body


def create_batch(context: Context, caller: Caller, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Store the posts and print a result for each, in order. Raises Refusal for all of them, and Exit(1) for some."""
    from pipeline.api.posts.batch_schema import read_batch
    from pipeline.api.posts.batch_store import store_batch
    from pipeline.api.posts.field_types import build_rules

    result, _ = store_batch(context, caller, read_batch(body), build_rules(context.settings))
    if as_json:
        print_fields(result.model_dump(mode="json"), as_json=True)
    else:
        print_rows([_to_row(n, one) for n, one in enumerate(result.results)], as_json=False)
        click.echo(result.describe())
    if result.refused:
        raise click.exceptions.Exit(1)


def _to_row(number: int, result: Any) -> dict[str, Any]:
    post = result.data.id if result.ok else None
    return {"number": number, "post": post, "code": result.code, "message": result.message}
