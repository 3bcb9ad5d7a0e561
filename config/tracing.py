"""The group of settings for traces."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr, field_validator

from config.groups import Group, split_list


class Tracing(Group):
    """Traces, sent over OTLP/HTTP; needs the extra slipway[otel]."""

    endpoint: str = Field(
        default="",
        description="URL of a collector (http://127.0.0.1:4318), to which /v1/traces is added; empty = no traces.",
    )
    headers: SecretStr = Field(
        default=SecretStr(""),
        description="Headers for the collector (authorization=Bearer …), separated by commas.",
    )
    share: float = Field(default=1, ge=0, le=1, description="Share of the traces that are sent, from 0 to 1.")

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", value):
            raise ValueError("must be like http://127.0.0.1:4318, without user, query or fragment")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: SecretStr) -> SecretStr:
        if not all(part.partition("=")[0] and "=" in part for part in split_list(value.get_secret_value())):
            raise ValueError("must be NAME=VALUE, separated by commas")
        return value

    def split_headers(self) -> dict[str, str]:
        """Return the headers by name."""
        parts = (part.partition("=") for part in split_list(self.headers.get_secret_value()))
        return {name.strip().lower(): value.strip() for name, _, value in parts}
