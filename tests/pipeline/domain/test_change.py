"""What an audit row keeps of a change: what is different, and no more of it than a bounded size."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from pipeline.domain.audit import (
    KEPT_TEXT,
    MAX_BYTES,
    MAX_ITEMS,
    MAX_TEXT,
    bound_side,
    hide_queries,
    keep_changed,
)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({}, {}, ({}, {})),
        ({"a": 1}, {"a": 1}, ({}, {})),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ({"b": 2}, {"b": 3})),
        ({"a": None}, {"a": 1}, ({"a": None}, {"a": 1})),
        ({"a": 1}, {}, ({"a": 1}, {})),
        ({}, {"b": 2, "a": 1}, ({}, {"a": 1, "b": 2})),
        ({"d": {"x": 1, "y": 2}}, {"d": {"x": 1, "y": 3}}, ({"d": {"y": 2}}, {"d": {"y": 3}})),
        ({"d": {"x": 1}}, {"d": None}, ({"d": {"x": 1}}, {"d": None})),
        ({"d": [1, 2]}, {"d": [1, 3]}, ({"d": [1, 2]}, {"d": [1, 3]})),
    ],
)
def test_only_what_changed_is_kept(before: Any, after: Any, kept: Any) -> None:
    assert keep_changed(before, after) == kept


def test_a_field_that_appears_as_nothing_is_kept_on_its_side_alone() -> None:
    assert keep_changed({}, {"a": 0}) == ({}, {"a": 0})
    assert keep_changed({}, {"a": None}) == ({}, {})


def test_a_long_text_is_kept_as_its_beginning_length_and_hash() -> None:
    whole, long = "ä" * MAX_TEXT, "ä" * (MAX_TEXT + 1)
    assert bound_side({"caption": whole}) == {"caption": whole}
    assert bound_side({"caption": long, "n": 3}) == {
        "caption": {
            "begins": "ä" * KEPT_TEXT,
            "characters": MAX_TEXT + 1,
            "sha256": hashlib.sha256(long.encode()).hexdigest(),
        },
        "n": 3,
    }


def test_what_is_inside_is_bounded_too() -> None:
    long = "x" * (MAX_TEXT + 1)
    found = bound_side(
        {"media": {"urls": [long]}, "ids": list(range(MAX_ITEMS)), "more": [0] * (MAX_ITEMS + 2)}
    )
    assert found["media"]["urls"][0]["characters"] == len(long)
    assert found["ids"] == list(range(MAX_ITEMS))
    assert found["more"] == [0] * MAX_ITEMS + ["and 2 more"]


def test_the_largest_side_that_is_kept_has_exactly_the_most_bytes() -> None:
    names = [f"{n:03}" for n in range(62)]
    side = dict.fromkeys(names, "z" * 250)
    left = MAX_BYTES - len(json.dumps(side).encode())
    side["last"] = "z" * (left - len(', "last": ""'))
    assert len(json.dumps(side).encode()) == MAX_BYTES
    assert len(side["last"]) < MAX_TEXT
    assert bound_side(side) == side
    larger = {**side, "last": side["last"] + "z"}
    text = json.dumps(larger, sort_keys=True).encode()
    assert bound_side(larger) == {"bytes": MAX_BYTES + 1, "sha256": hashlib.sha256(text).hexdigest()}


def test_a_lone_surrogate_breaks_nothing() -> None:
    assert bound_side({"a": "\ud800"}) == {"a": "\ud800"}
    assert bound_side({"a": "\ud800" * 400})["a"]["characters"] == 400


def test_the_query_of_a_url_is_a_hash_that_tells_queries_apart() -> None:
    def sign(query: str) -> str:
        return f"https://cdn.example/a.mp4?sha256:{hashlib.sha256(query.encode()).hexdigest()[:12]}"

    found = hide_queries(
        {
            "url": "https://cdn.example/a.mp4?X-Signature=secret",
            "urls": ["http://x.example/b", "https://cdn.example/a.mp4?X-Signature=other"],
            "text": "Is it https://x.example/?a=b",
            "n": 3,
            "none": None,
        }
    )
    assert found == {
        "url": sign("X-Signature=secret"),
        "urls": ["http://x.example/b", sign("X-Signature=other")],
        "text": "Is it https://x.example/?a=b",
        "n": 3,
        "none": None,
    }
    assert hide_queries(("http://x.example/?a",))[0].startswith("http://x.example/?sha256:")
    assert hide_queries("http://x.example/?\ud800").startswith("http://x.example/?sha256:")
