"""The table of a vendor, `<platform>/vendor.toml`: accounts, consent page, token endpoint, errors, names and limits.

Its sections are passed by name to `AccountKind`, `ConsentScreen`, `TokenEndpoint` and `make_dialect`.
"""

import tomllib
from pathlib import Path
from typing import Any

from adapters.sandbox.store import Record


def load_table(platform: str) -> Record:
    """Return the table of a platform; its lists are tuples."""
    text = (Path(__file__).parent / platform / "vendor.toml").read_text(encoding="utf-8")
    return {name: _freeze(section) for name, section in tomllib.loads(text).items()}


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _freeze(part) for name, part in value.items()}
    return tuple(_freeze(part) for part in value) if isinstance(value, list) else value
