"""Parse JSON strictly: refuse duplicate keys and whatever else another parser might read differently."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH = 32
"""Maximum nesting of arrays and objects."""
DIGITS = 400
"""Maximum length of a number, in characters. CPython itself refuses integers over 4,300 digits."""
PARTS = 50_000
"""Maximum number of brackets, braces and commas: a megabyte of `[],[],…` blocks the event loop for 0.2 s (measured)."""

_NESTING = (dict, list)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class InvalidJson(Exception):
    """The bytes are not JSON as RFC 8259 defines it, or exceed a limit. ``str()`` is a sentence that says where."""


def parse(raw: bytes, parts: int = PARTS) -> Any:
    """Return the value the bytes encode. Raises InvalidJson and no other exception, whatever the bytes are.

    *parts*: the most brackets, braces and commas.
    """
    text = _text(raw)
    openers = text.count("[") + text.count("{")
    if openers + text.count(",") > parts:
        raise InvalidJson(f"The body has more than {parts:,} parts.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(_describe(error)) from None
    except RecursionError:
        raise _too_deep() from None
    if openers > DEPTH:
        _check_depth(value)
    return value


def _text(raw: bytes) -> str:
    if not raw.strip(b" \t\r\n"):
        raise InvalidJson("The body is empty. Send a JSON object.")
    if raw.startswith(_BOMS):
        raise InvalidJson("The body starts with a byte order mark. Send UTF-8 without one.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} cannot be decoded.") from None


def _describe(error: json.JSONDecodeError) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    if error.msg == "Extra data":
        return f"Something follows the JSON value at {where}. Send one value and nothing after it."
    return f"The body is not JSON: {error.msg.rstrip(' at')} at {where}."


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        duplicate = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidJson(f"The key {_quote(duplicate)} appears twice in one object.")
    return members


def _parse_integer(text: str) -> int:
    _check_length(text)
    return int(text)


def _parse_float(text: str) -> float:
    _check_length(text)
    value = float(text)
    if math.isinf(value):
        raise InvalidJson(f"The number {text[:40]} is too large.")
    return value


def _check_length(text: str) -> None:
    if len(text) > DIGITS:
        raise InvalidJson(f"The number {text[:20]}… has {len(text)} characters; the maximum is {DIGITS}.")


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidJson(f"{text} is not JSON: numbers must be finite.")


def _check_depth(value: Any) -> None:
    """Raise InvalidJson beyond DEPTH. It goes level by level, because a client's nesting could exhaust the stack."""
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


def _quote(name: str) -> str:
    return json.dumps(name if len(name) <= 100 else name[:100] + "…")  # noqa: PLR2004  length of a quotation


_DECODER = json.JSONDecoder(
    object_pairs_hook=_build_object,
    parse_int=_parse_integer,
    parse_float=_parse_float,
    parse_constant=_refuse_constant,
)
