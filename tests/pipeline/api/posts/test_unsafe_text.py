"""Bytes that are called harmless hold nothing hostile; what is hostile is never called harmless."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.http import strict_json
from pipeline.api.posts.unsafe_text import WIDEST, harmless, hostile

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
    except strict_json.InvalidJson:  # half a pair as it stands is no UTF-8
        return
    if harmless(raw):
        assert hostile(read) == []


def test_an_ordinary_body_is_harmless_and_a_wide_one_is_not() -> None:
    assert harmless(json.dumps({"caption": "hello", "accounts": [1, 2]}).encode())
    wide = {"accounts": list(range(WIDEST + 1))}
    assert hostile(wide)
    assert not harmless(json.dumps(wide).encode())
