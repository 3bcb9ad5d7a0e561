"""The body of POST /posts as workers know it: how it is read, and the columns that a file of posts may have."""

from __future__ import annotations

from functools import partial

from config.settings import Settings
from pipeline.api.posts.field_types import build_rules
from pipeline.api.posts.schema import PostBody, read_post
from pipeline.api.posts.unsafe_text import is_safe_text
from pipeline.imports.columns import build_columns
from pipeline.imports.validate import PostFormat


def build_post_format(settings: Settings) -> PostFormat:
    """Return how these settings have posts read."""
    return PostFormat(
        read=partial(read_post, rules=build_rules(settings)),
        is_safe_text=is_safe_text,
        columns=build_columns(PostBody),
    )
