"""The file of `slipway import plan`: its options, and the saved lists of other products that become rows of NDJSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pipeline.cli import lazy_imports

with lazy_imports():
    from pipeline.api.imports import models
    from pipeline.imports import local_time, plan, saved_lists, upload
    from pipeline.store.accounts import accounts as account_store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.runtime.context import Context
    from pipeline.store.auth.keys import Caller


def read_options(
    name: str | None, form: str | None, given: dict[str, Any]
) -> tuple[dict[str, Any] | None, upload.ImportOptions]:
    """Return what is said of a saved list, if FILE is one, and the options of a file, by the API's own checks.

    Raises ClickException.
    """
    from pydantic import ValidationError

    saved = {option: given.pop(option) for option in ("product", "theirs", "without")}
    if any(saved.values()) and (form or not saved["product"]):
        raise click.ClickException("--account and --without are for --from, and --format for other files.")
    asked = {**given, "name": name}
    try:
        query = models.UploadQuery.model_validate({key: value for key, value in asked.items() if value})
    except ValidationError as error:
        found = error.errors()[0]
        option = str(found["loc"][0]).replace("_", "-")
        raise click.ClickException(f"--{option}: {found['msg']} It is {found['input']!r}.") from None
    return saved if saved["product"] else None, query.to_options(None)


def convert_list(
    context: Context, caller: Caller, saved: Mapping[str, Any], file: BinaryIO, target: Path
) -> list[str]:
    """Write the rows of a saved list to *target*; return the notes for its author. Raises ClickException.

    *saved*: as ListReader has it.
    """
    with context.database.begin() as c:
        ours = account_store.find_accounts(c, caller.workspace_id)
    reader = saved_lists.ListReader(ours=ours, **saved)
    try:
        found = list(reader.read(file.read(saved_lists.MAX_BYTES + 1)))
    except local_time.InvalidCell as error:
        raise click.ClickException(f"--account {' '.join(saved['theirs'])}: {error}") from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if not found:
        raise click.ClickException(f"No post is still to come. {' '.join(reader.describe())}".rstrip())
    rows = (f"{json.dumps(row, ensure_ascii=False)}\n" for row in found)
    target.write_text("".join(rows), "utf-8", "backslashreplace")
    notes: list[str] = plan.make_storable(reader.describe())
    return notes
