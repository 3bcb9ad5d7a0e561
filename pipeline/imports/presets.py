"""Names that headers give our columns: as the author of a file says, of another product, or kept by a workspace."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from uuid import UUID

from sqlalchemy import Connection

from pipeline.imports.columns import Columns, FileProblem
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.imports import imports as store


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Our columns by what a header calls them. ``source``: the page of a product that says so; None: a workspace's."""

    name: str
    columns: Mapping[str, str]
    source: str | None = None


@cache
def _load_products() -> Mapping[str, Preset]:
    found = tomllib.loads(files(__package__).joinpath("presets.toml").read_text())
    return {
        name: Preset(name=name, columns=one["columns"], source=one["source"]) for name, one in found.items()
    }


def list_presets(c: Connection, workspace: UUID) -> list[Preset]:
    """Return the presets of other products, and those that the workspace keeps."""
    kept = store.list_presets(c, workspace)
    return [*_load_products().values(), *(Preset(name=name, columns=kept[name]) for name in sorted(kept))]


def choose_columns(
    c: Connection,
    caller: Caller,
    known: Columns,
    *,
    preset: str | None,
    renamed: str,
    save_as: str | None,
) -> Mapping[str, str]:
    """Return our columns by what a header calls them: by a preset, and by ``Text=caption,Notes=`` over it.

    ``save_as``: the caller's workspace keeps them by this name. Raises FileProblem, also for a column that is none of
    ours.
    """
    by_name = {one.name: one for one in list_presets(c, caller.workspace_id)}
    if preset is not None and preset not in by_name:
        raise FileProblem(f"There is no preset {preset!r}: there are {', '.join(by_name)}.")
    columns = {**(by_name[preset].columns if preset else {}), **parse_renamed(renamed)}
    known.rename(columns)
    if save_as is not None:
        if save_as in _load_products():
            raise FileProblem(f"The preset {save_as!r} is that of a product: choose another name.")
        _save(c, caller, save_as, by_name[save_as].columns if save_as in by_name else {}, columns)
    return columns


def _save(
    c: Connection, caller: Caller, name: str, before: Mapping[str, str], columns: Mapping[str, str]
) -> None:
    """Keep a preset and record that; nothing is recorded where it is as before."""
    if columns == before:
        return
    store.save_preset(c, caller.workspace_id, name, columns)
    sides = {"columns": before}, {"columns": columns}
    verb = "save" if columns else "delete"
    record_change(c, caller.actor, verb, "import preset", name, caller.workspace_id, *sides)


def parse_renamed(text: str) -> dict[str, str]:
    """Return pairs such as ``Text=caption,Notes=``, separated as in CSV. Raises FileProblem."""
    pairs = {}
    for item in next(csv.reader([text], skipinitialspace=True), []):
        cell, sign, name = item.rpartition("=")
        if not sign or not cell.strip():
            raise FileProblem(f"{item!r} must be a column of the file, = and one of ours: Text=caption.")
        pairs[cell.strip()] = name.strip()
    return pairs
