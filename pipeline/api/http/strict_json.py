"""Bytes to JSON, strictly: what another reader might understand differently is refused, and nothing else is raised."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH = 32
"""Deepest nesting of arrays and objects that is read."""
DIGITS = 400
"""Longest number, in characters; CPython itself refuses to convert integers over 4,300 digits."""
PARTS = 50_000
"""Most brackets, braces and commas: a megabyte of `[],[],…` would hold the event loop for 0.2 s (measured)."""

_NESTING = (dict, list)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class InvalidJson(Exception):
    """The bytes are not JSON as RFC 8259 has it, or are absurd; ``str()`` says what and where."""


def read(raw: bytes) -> Any:
    """The value these bytes spell. Raises InvalidJson, and never anything else."""
    text = _text(raw)
    openers = text.count("[") + text.count("{")
    if openers + text.count(",") > PARTS:
        raise InvalidJson(f"The body has more than {PARTS:,} parts.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(_sentence(error)) from None
    except RecursionError:
        raise _too_deep() from None
    if openers > DEPTH:
        _refuse_depth(value)
    return value


def _text(raw: bytes) -> str:
    if not raw.strip(b" \t\r\n"):
        raise InvalidJson("The body is empty: send a JSON object.")
    if raw.startswith(_BOMS):
        raise InvalidJson("The body starts with a byte order mark: send UTF-8 without one.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} cannot be read.") from None


def _sentence(error: json.JSONDecodeError) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    if error.msg == "Extra data":
        return f"Something follows the JSON value at {where}: send one value and nothing after it."
    return f"The body is not JSON: {error.msg.rstrip(' at')} at {where}."


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidJson(f"The key {_quoted(twice)} stands twice in one object: which one counts?")
    return found


def _integer(text: str) -> int:
    _refuse_length(text)
    return int(text)


def _float(text: str) -> float:
    _refuse_length(text)
    value = float(text)
    if math.isinf(value):
        raise InvalidJson(f"The number {text[:40]} is too large to be read.")
    return value


def _refuse_length(text: str) -> None:
    if len(text) > DIGITS:
        raise InvalidJson(
            f"The number {text[:20]}… has {len(text)} characters; {DIGITS} are the most that is read."
        )


def _constant(text: str) -> NoReturn:
    raise InvalidJson(f"{text} is not JSON: numbers are finite.")


def _refuse_depth(value: Any) -> None:
    """Level by level instead of by recursion: the nesting is the client's choice."""
    level: list[Any] = [value]
    for _ in range(DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _NESTING
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> InvalidJson:
    return InvalidJson(f"The body is nested deeper than {DEPTH} levels.")


def _quoted(name: str) -> str:
    return json.dumps(name if len(name) <= 100 else name[:100] + "…")  # noqa: PLR2004  for reading, no limit of ours


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
