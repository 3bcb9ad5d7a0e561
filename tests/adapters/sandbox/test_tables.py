"""The vendors' tables name every error that the code refuses with, and none that it does not."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "adapters" / "sandbox"
META = ("facebook", "instagram")
"""They share the errors of the Graph API."""
SHARED = tuple(FOLDER / f"{name}.py" for name in ("graph", "uploads", "endpoint", "dialect"))
FAULTS = {"unknown_token", "expired", "revoked", "missing_scope", "rate_limited", "server_error", "malformed"}
"""Errors of every dialect, and `spam_blocked` of some: they answer to faults."""


def read(platform: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / platform / "vendor.toml").read_text())


def list_rows(platform: str) -> set[str]:
    sections = [rows for name, rows in read(platform).items() if name.endswith("errors")]
    return {name for rows in sections for name in rows if name not in ("spam_blocked", *FAULTS)}


def list_texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from list_texts(part)


def read_sources(*platforms: str) -> str:
    paths = [path for platform in platforms for path in (FOLDER / platform).glob("*.py")]
    return "".join(path.read_text() for path in (*paths, *SHARED))


OTHERS = sorted({path.parent.name for path in FOLDER.glob("*/vendor.toml")} - set(META))


@pytest.mark.parametrize("platforms", [META, *((name,) for name in OTHERS)])
def test_errors_and_refusals_name_each_other(platforms: tuple[str, ...]) -> None:
    rows = {name for platform in platforms for name in list_rows(platform)}
    source = read_sources(*platforms)
    refused = set(re.findall(r"(?:refuse|respond)\(\s*\"(\w+)\"", source)) - FAULTS
    if platforms != META:
        refused -= list_rows("facebook")
    assert refused - rows == set(), "refused with, but without a row"
    tables = [
        table for platform in platforms for name, table in read(platform).items() if "errors" not in name
    ]
    named = set(re.findall(r"\"(\w+)\"", source)) | {text for table in tables for text in list_texts(table)}
    assert rows - named == set(), "a row that nothing refuses with"
