"""Reads an account's tokens from standard input or a prompt.

Never from the command line: other users of the machine can read it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import click
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from adapters.contract import Credentials

CENTURY = 100 * 366 * 86_400
LARGEST = 100_000
"""Characters of input; tokens are far smaller."""


class Tokens(BaseModel):
    """Tokens as a platform returns them. ``expires_in`` and ``refresh_expires_in`` are seconds from now."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr | None = Field(default=None, min_length=1)
    expires_in: int | None = Field(default=None, gt=0, le=CENTURY)
    expires_at: AwareDatetime | None = None
    refresh_expires_in: int | None = Field(default=None, gt=0, le=CENTURY)
    scopes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _require_one_end(self) -> Self:
        if self.expires_in is not None and self.expires_at is not None:
            raise ValueError("expires_in and expires_at contradict each other; give one")
        return self

    def to_credentials(self) -> Credentials:
        """Convert to the contract's credentials; durations become points in time by this machine's clock."""
        return Credentials(
            access_token=self.access_token,
            refresh_token=self.refresh_token,
            expires_at=self.expires_at.astimezone(UTC) if self.expires_at else _after(self.expires_in),
            refresh_expires_at=_after(self.refresh_expires_in),
            scopes=self.scopes,
        )


def read_credentials() -> Credentials:
    """Read tokens as JSON from standard input, or ask at a terminal. Raises ClickException, without a token in it."""
    if sys.stdin.isatty():
        return _prompt()
    return _parse(sys.stdin.read(LARGEST))


def credentials_of_sandbox(answer: Mapping[str, Any]) -> Credentials:
    """Return the tokens in an answer of the sandbox's control API."""
    return Tokens.model_validate(
        {name: answer[name] for name in Tokens.model_fields if name in answer}
    ).to_credentials()


def _parse(text: str) -> Credentials:
    try:
        return Tokens.model_validate_json(text).to_credentials()
    except ValidationError as error:
        raise click.ClickException(
            f"The tokens on standard input cannot be used: {_describe(error)}."
        ) from None


def _prompt() -> Credentials:
    def ask(what: str, *, default: str | None = None, hide: bool = True) -> str:
        answer: str = click.prompt(what, default=default, hide_input=hide, show_default=False, err=True)
        return answer

    given = {
        "access_token": ask("Access token"),
        "refresh_token": ask("Refresh token (empty: none)", default=""),
    }
    given["expires_in"] = ask("Seconds until the access token ends (empty: never)", default="", hide=False)
    if given["refresh_token"]:
        given["refresh_expires_in"] = ask(
            "Seconds until the refresh token ends (empty: never)", default="", hide=False
        )
    try:
        return Tokens.model_validate({name: value for name, value in given.items() if value}).to_credentials()
    except ValidationError as error:
        raise click.ClickException(f"These tokens cannot be used: {_describe(error)}.") from None


def _describe(error: ValidationError) -> str:
    """The first error, without values. The name of an unknown field is left out: it may be a misplaced token."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return 'it is not JSON; send an object like {"access_token": "…", "expires_in": 86400}'
    if first["type"] == "extra_forbidden":
        return f"a field is not one of {', '.join(Tokens.model_fields)}"
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}" if where else message


def _after(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
