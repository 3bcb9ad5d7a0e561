"""The table of a vendor, `<platform>/vendor.toml`: accounts, consent page, token endpoint, errors, names and limits.

Its sections are passed by name to `AccountKind`, `ConsentScreen`, `TokenEndpoint`, `make_dialect` and `check_fields`.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from adapters.sandbox.store import Record

Kind = Callable[[Any, Any], bool]
"""A check of a value, given the row's limit."""

KINDS: Final[Mapping[str, Kind]] = {
    "string": lambda value, _: isinstance(value, str),
    "text": lambda value, most: isinstance(value, str) and len(value) <= most,
    "decimal": lambda value, _: isinstance(value, str) and value.isdecimal(),
    "one_of": lambda value, allowed: value in allowed,
}


def load_table(platform: str) -> Record:
    """Return the table of a platform; its lists are tuples."""
    text = (Path(__file__).parent / platform / "vendor.toml").read_text(encoding="utf-8")
    return {name: _freeze(section) for name, section in tomllib.loads(text).items()}


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _freeze(part) for name, part in value.items()}
    return tuple(_freeze(part) for part in value) if isinstance(value, list) else value


def check_fields(
    values: Record,
    rows: Iterable[tuple[Any, ...]],
    refuse: Callable[..., Exception],
    kinds: Mapping[str, Kind] = KINDS,
) -> None:
    """Raise `refuse(*error)` for the first row (name, kind, limit, *error) whose field is not of its kind.

    An absent field is None, which only kinds with a question mark accept.
    """
    for name, kind, limit, *error in rows:
        value = values.get(name)
        if value is None and kind.endswith("?"):
            continue
        if not kinds[kind.removesuffix("?")](value, limit):
            raise refuse(*error)
