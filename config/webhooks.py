"""The group of settings for webhooks."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from config.groups import Group


class Webhooks(Group):
    """Events that are sent to customers' servers."""

    keep_days: float = Field(
        default=30,
        ge=4,
        description="Days that an event is kept, delivered or not. Tries to send it take three.",
    )
    trial_origin: str = Field(
        default="",
        description="Exact http://host:port of one receiver on this machine, for trials; only beside the sandbox.",
    )

    @field_validator("trial_origin")
    @classmethod
    def _check_origin(cls, value: str) -> str:
        if value and not re.fullmatch(r"http://[^/@?#\s:]+:[0-9]+/?", value):
            raise ValueError("must be like http://127.0.0.1:9000")
        return value.rstrip("/")
