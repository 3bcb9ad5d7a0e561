"""Unsafe text: bytes judged safe hold none, and bytes with unsafe text are never judged safe."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.http.validation import MAX_MEMBERS, find_unsafe_text, has_escapes, is_safe_text, is_short
from pipeline.domain import strict_json

_TEXT = st.text(
    alphabet=st.sampled_from(["a", "\0", "\ud800", "\udfff", "é", "\U0001f600", "\\", "u", "0", ","])
)
_VALUES = st.recursive(
    st.one_of(st.none(), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(body=st.dictionaries(_TEXT, _VALUES, max_size=4), escaped=st.booleans())
def test_harmless_bytes_hold_nothing_hostile(body: dict[str, Any], escaped: bool) -> None:
    raw = json.dumps(body, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    try:
        read = strict_json.parse(raw)
    except strict_json.InvalidJson:  # a lone surrogate that is not escaped is not UTF-8
        return
    if is_safe_text(raw) or (not has_escapes(raw) and is_short(read)):
        assert find_unsafe_text(read) == []


def test_an_ordinary_body_is_harmless_and_a_wide_one_is_not() -> None:
    assert is_safe_text(json.dumps({"caption": "hello", "accounts": [1, 2]}).encode())
    wide = {"accounts": {"in": list(range(MAX_MEMBERS + 1))}}
    assert find_unsafe_text(wide)
    assert not is_safe_text(json.dumps(wide).encode())
    assert not is_short(wide)
