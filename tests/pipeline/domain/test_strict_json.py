"""The strict JSON parser: what it accepts, its message for what it refuses, and that it raises nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.domain.strict_json import DEPTH, DIGITS, InvalidJson, parse

ACCEPTED: list[tuple[bytes, Any]] = [
    (b"{}", {}),
    (b' \r\n\t{"a" : [1, -2.5e3, true, false, null]} ', {"a": [1, -2500.0, True, False, None]}),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    ('"é"'.encode(), "é"),
    (b"0", 0),
    (b"-0", 0),
    (b'"\\u0000"', "\0"),
    (b'{"a":{"b":1},"c":{"b":2}}', {"a": {"b": 1}, "c": {"b": 2}}),
    (b"1" * DIGITS, int("1" * DIGITS)),
    (b"[" * DEPTH + b"]" * DEPTH, None),
    (b'"' + b"[" * 1000 + b'"', "[" * 1000),
    (b"1e-999", 0.0),
]

REFUSED = [
    (b"", "empty"),
    (b"\xef\xbb\xbf{}", "byte order mark"),
    (b"\xfe\xff\x00{\x00}", "byte order mark"),
    (b"{\x00}\x00", "not JSON"),
    (b'{"a":"\xc3"}', "byte 6"),
    (b'"\xed\xa0\x80"', "not UTF-8"),
    (b'{"a":1,"b":2,"a":1}', '"a" appears twice'),
    (b'{"x":{"\\u0061":1,"a":2}}', '"a" appears twice'),
    (b'{"' + b"k" * 500 + b'":1,"' + b"k" * 500 + b'":2}', "kkk"),
    (b'{"\\ud800":1,"\\ud800":2}', "\\ud800"),
    (b"NaN", "NaN"),
    (b"-Infinity", "-Infinity"),
    (b"nan", "not JSON"),
    (b"{}{}", "follows"),
    (b"{}\x00", "follows"),
    (b"[1,]", "not JSON"),
    (b"{'a':1}", "not JSON"),
    (b"01", "follows"),
    (b'"a\nb"', "control character"),
    (b'"\\u12"', "not JSON"),
    (b"// c\n{}", "not JSON"),
    (b"\x0c{}", "not JSON"),
    (b"\xc2\xa0{}", "not JSON"),
    (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), "deeper than 32"),
    (b"[" * 40_000, "deeper than 32"),
    (b'{"a":' * 500 + b"1" + b"}" * 500, "deeper than 32"),
    (b"[" + b"[]," * 30_000 + b"[]]", "more than 50,000 parts"),
    (b"1" * (DIGITS + 1), "401 characters"),
    (b"-" + b"9" * 100_000, "100001 characters"),
    (b"1e400", "too large"),
    (b"0." + b"1" * 1000, "1002 characters"),
]


@pytest.mark.parametrize(("raw", "value"), ACCEPTED)
def test_accepted(raw: bytes, value: Any) -> None:
    found = parse(raw)
    assert value is None or (found == value and type(found) is type(value))


@pytest.mark.parametrize(("raw", "expected"), REFUSED)
def test_refused_with_its_own_sentence(raw: bytes, expected: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        parse(raw)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 250
    str(caught.value).encode()


def _only_its_own_error(raw: bytes) -> None:
    try:
        value = parse(raw)
    except InvalidJson:
        return
    assert json.loads(raw) == value


@given(st.binary(max_size=200))
@example(b"\xed\xa0\x80")
def test_any_bytes(raw: bytes) -> None:
    _only_its_own_error(raw)


@given(st.text(alphabet='{}[]":,\\/ubtrefalsn0123456789.eE+-NInfity \n\0é\ud800', max_size=60))
def test_any_text_made_of_the_bits_of_json(text: str) -> None:
    _only_its_own_error(text.encode("utf-8", "surrogatepass"))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(_VALUES, st.booleans())
def test_what_python_writes_is_read_back(value: Any, plain: bool) -> None:
    raw = json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    try:
        found = parse(raw)
    except InvalidJson:
        assert not plain or _depth(value) > DEPTH or _has_long_number(value)
    else:
        assert found == value


@given(_VALUES, st.data())
def test_one_byte_changed(value: Any, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(value).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _only_its_own_error(bytes(raw))


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _has_long_number(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_long_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and len(str(value)) > DIGITS
