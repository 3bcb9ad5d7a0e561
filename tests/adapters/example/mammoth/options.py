"""The Mammoth section of a post request."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from adapters.contract import Platform
from adapters.post_options import PostOptions
from tests.adapters.example.word import MAMMOTH


class MammothOptions(PostOptions):
    """Options of a status; when at least one account is Mammoth."""

    platform: ClassVar[Platform] = MAMMOTH

    spoiler_text: str | None = Field(None, min_length=1, max_length=100)
    visibility: Literal["public", "unlisted"] | None = None
