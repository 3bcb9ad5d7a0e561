"""The content of a post in the table ``posts``, with its options: a jsonb column per platform, named as it.

Each post-wide option has a column too. A new platform with options needs a migration that adds its column, and its line
in ``PLATFORMS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from adapters.contract import Platform
from pipeline.store.database import jsonb

Options = Mapping[Platform, Mapping[str, Any]]
"""A post's options by platform; a platform whose section was not sent is missing."""
DraftOptions = Mapping[Platform, Sequence[Mapping[str, Any]]]
"""By platform the options that leave an inbox draft, each by itself; a platform without drafts is missing."""

PLATFORMS = (
    Platform.TIKTOK,
    Platform.PINTEREST,
    Platform.YOUTUBE,
    Platform.INSTAGRAM,
    Platform.FACEBOOK,
    Platform.LINKEDIN,
)
"""The platforms that have a column."""
_NAMES = (*PLATFORMS, "ai_generated", "first_comment")
COLUMNS = ", ".join(_NAMES)
SECTION = "CASE d.platform " + " ".join(f"WHEN '{name}' THEN p.{name}" for name in PLATFORMS) + " END"
"""The options that a post ``p`` stores for the platform of its delivery ``d``."""
_TITLES = ", ".join(f"o.{name} ->> 'title'" for name in PLATFORMS)
_OWN_TITLES = ", ".join(f"v.own -> '{name}' ->> 'title'" for name in PLATFORMS)
_OWN_WORDS = f"""(SELECT string_agg(concat_ws(E'\\n', v.own ->> 'caption', {_OWN_TITLES}), E'\\n' ORDER BY v.id)
    FROM post_deliveries v WHERE v.post_id = o.id AND v.own IS NOT NULL)"""
SEARCHED = f"lower(concat_ws(E'\\n', o.caption, o.external_id, {_TITLES}, {_OWN_WORDS}))"
"""Where a search looks for a text, of a post ``o``: its words, and those of single accounts."""
OWN_CAPTION = "coalesce(d.own ->> 'caption', p.caption)"
OWN_MEDIA = "coalesce(d.own -> 'media', p.media)"
"""What a delivery ``d`` of a post ``p`` publishes."""
REWRITTEN = "w.own -> CAST(d.id AS text)"
"""What a row ``w`` of ``rewrites`` has of a delivery ``d`` that differed from its post: content_sha256 and due_at."""
REWRITTEN_DUE = f"coalesce(CAST({REWRITTEN} ->> 'due_at' AS timestamptz), w.due_at)"
ASSIGNMENTS = ", ".join(f"{name} = :{name}" for name in _NAMES)
"""For an UPDATE; ``to_columns`` has the values."""


CONTENT = f"id, workspace_id, caption, media, music_url, {COLUMNS}, due_at"
"""The columns of `PostContent`; ``gather_options`` makes its values of them."""


@dataclass(
    kw_only=True, slots=True
)  # not frozen: a page makes a hundred, and each took half as long again (measured)
class PostContent:
    """A row of ``posts`` with its content and time."""

    id: UUID
    workspace_id: UUID
    caption: str
    media: Mapping[str, Any]
    music_url: str | None
    options: Options
    ai_generated: bool = False
    first_comment: str | None = None
    due_at: datetime


def gather_options(values: dict[str, Any]) -> dict[str, Any]:
    """Replace the platforms' columns among the values of a row by one value ``options``, and return the values."""
    values["options"] = {
        platform: found for platform in PLATFORMS if (found := values.pop(platform)) is not None
    }
    return values


def to_columns(
    options: Options, *, ai_generated: bool, first_comment: str | None
) -> dict[str, Jsonb | bool | str | None]:
    """Return the values of the option columns, by their names."""
    sections = {platform.value: jsonb(options.get(platform)) for platform in PLATFORMS}
    return {**sections, "ai_generated": ai_generated, "first_comment": first_comment}
