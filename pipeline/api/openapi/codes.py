"""The codes of errors and warnings that clients read, from ``codes.toml``: what causes each and what to do about it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Why a code appears, and what its reader can do. Markdown with code only."""

    cause: str
    action: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorCode(Advice):
    """One error code of a response, with its statuses, what it means, and an example of its message."""

    statuses: tuple[int, ...]
    meaning: str
    example: str


_TABLES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def _read(table: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the rows of a table by code, each with its action; ``see`` names one of several codes."""
    return {
        code: {"action": _TABLES["actions"][found.pop("see")], **found} if "see" in found else found
        for code, found in _TABLES[table].items()
    }


CODES = {
    code: ErrorCode(**{**found, "statuses": tuple(found["statuses"])})
    for code, found in _read("errors").items()
}
"""By ``error_code`` of a response."""
ACCOUNT_ERRORS = {code: Advice(**found) for code, found in _read("account_errors").items()}
"""By ``error.code`` of a post at an account; codes that responses have too are in ``CODES``."""
WARNINGS = {code: Advice(**found) for code, found in _read("warnings").items()}
"""By code of a warning, which never stops a post."""
