"""The group of settings for the audit."""

from __future__ import annotations

from pydantic import Field

from config.groups import Group


class Audit(Group):
    """The record of who changed what."""

    keep_days: float = Field(
        default=0, ge=0, description="Days that audit rows are kept; 0 = for ever. Older ones are deleted."
    )
