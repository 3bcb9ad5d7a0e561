"""Post options in the table ``posts``: one jsonb column per platform that has any, named as the platform.

A new platform with options needs a migration that adds its column, and its line in ``PLATFORMS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from adapters.contract import Platform
from pipeline.store.database import jsonb

Options = Mapping[Platform, Mapping[str, Any]]
"""A post's options by platform; a platform whose section was not sent is missing."""

PLATFORMS = (
    Platform.TIKTOK,
    Platform.PINTEREST,
    Platform.YOUTUBE,
    Platform.INSTAGRAM,
    Platform.FACEBOOK,
    Platform.LINKEDIN,
)
"""The platforms that have a column."""
COLUMNS = ", ".join(PLATFORMS)
ASSIGNMENTS = ", ".join(f"{platform} = :{platform}" for platform in PLATFORMS)
"""For an UPDATE; ``to_columns`` has the values."""


def gather_options(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's values with one value ``options`` in place of its option columns."""
    values = dict(row)
    options = {platform: found for platform in PLATFORMS if (found := values.pop(platform)) is not None}
    return {**values, "options": options}


def to_columns(options: Options) -> dict[str, Jsonb | None]:
    """Return the values of the option columns, by their names."""
    return {platform.value: jsonb(options.get(platform)) for platform in PLATFORMS}
