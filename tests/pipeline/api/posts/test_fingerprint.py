"""Fingerprints: equal requests have equal ones, however they are spelled, in this version and in later ones."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import permutations
from typing import Any, ClassVar, Literal

import pytest

from adapters.contract import Platform
from adapters.post_options import PostOptions
from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import FORM, PostBody, PostFields, add_options, read_post
from pipeline.wiring import list_post_options

ONE, TWO = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812", "1f4f54d4-8cce-4fb7-8c7b-befbcb8af812"
WHOLE: dict[str, Any] = {
    "caption": "Hello",
    "media": {"type": "video", "url": "https://media.example/v.mp4", "duration_sec": 10},
    "accounts": [{"id": ONE}, {"id": TWO}],
    "scheduled_at": "2027-02-01T15:00:00Z",
    "expires_at": "2027-02-02T15:00:00Z",
    "tiktok": {"title": "t"},
}


def read(changes: dict[str, Any], model: type[PostFields] = PostBody) -> bytes:
    body = {name: value for name, value in {**WHOLE, **changes}.items() if value != "absent"}
    return read_post(body, Rules(), model=model).fingerprint


SAME: list[dict[str, Any]] = [
    {"pinterest": None, "music_url": None, "external_id": None, "on_late": None},
    {"on_late": "publish"},
    {"ai_generated": False},
    {"ai_generated": None, "youtube": None},
    {"external_id": "another"},
    {"scheduled_at": "2027-02-01T15:00:00+00:00"},
    {"scheduled_at": "2027-02-01T17:30:00.000+02:30"},
    {"expires_at": "2027-02-02T14:00:00-01:00"},
    {"accounts": [{"id": TWO}, {"id": ONE}]},
    {"accounts": [{"id": ONE.upper()}, {"id": TWO}, {"id": ONE}]},
    {"media": {**WHOLE["media"], "duration_sec": 10.0, "bytes": None}},
    {"tiktok": {"title": "t", "description": None, "post_mode": "DIRECT_POST"}},
    {"tiktok": {"title": "t", "privacy_level": "PUBLIC_TO_EVERYONE", "disable_duet": False}},
]
OTHER: list[dict[str, Any]] = [
    {"caption": "Hello "},
    {"media": {**WHOLE["media"], "url": "https://media.example/w.mp4"}},
    {"media": {**WHOLE["media"], "duration_sec": 11}},
    {"media": {**WHOLE["media"], "alt_texts": ["A mug"]}},
    {"accounts": [{"id": ONE}]},
    {"scheduled_at": "2027-02-01T15:00:01Z"},
    {"scheduled_at": None},
    {"expires_at": None},
    {"expires_at": "2027-02-02T15:00:00.001Z"},
    {"on_late": "hold"},
    {"ai_generated": True},
    {"tiktok": None, "youtube": {"made_for_kids": False}},
    {"music_url": "https://www.tiktok.com/@genviral/video/1234567890"},
    {"tiktok": None},
    {"tiktok": {"title": "T"}},
    {"tiktok": {"title": "t", "disable_duet": True}},
    {"tiktok": None, "pinterest": {"title": "t"}},
]


def test_fit_is_part_of_the_fingerprint_and_null_is_its_default() -> None:
    media = {"type": "slideshow", "urls": ["https://media.example/1.png"]}
    fits = [read({"media": {**media, "fit": fit}}) for fit in (None, "pad", "crop")]
    assert fits[0] == read({"media": media})
    assert len(set(fits)) == 3


@pytest.mark.parametrize("changes", SAME)
def test_another_spelling_is_equal(changes: dict[str, Any]) -> None:
    assert read(changes) == read({})


@pytest.mark.parametrize(
    "empty", [None, {}, {"post_mode": "DIRECT_POST"}, {"user_consent": False, "title": None}]
)
def test_a_section_that_asks_for_nothing_is_absent(empty: Any) -> None:
    assert read({"tiktok": empty}) == read({"tiktok": "absent"})


def test_no_two_of_all_these_requests_are_equal() -> None:
    assert len({read(changes) for changes in [{}, *OTHER]}) == len(OTHER) + 1


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({}, "024538d276ae58445f11810e676eb04dc5aeff37407706a2ff4cb9f5626d4a5de8"),
        (
            {"expires_at": "2027-02-02T15:00:00.001Z"},
            "02fd63e277578131e29b802a9da602b488d4ff0cf67fcf75a79a8372e197049d1f",
        ),
        (
            {
                "tiktok": {"title": "T"},
                "on_late": "hold",
                "music_url": "https://www.tiktok.com/@genviral/video/1234567890",
            },
            "023add8f55e7ba6e3dfb362b588376f59d9265e00df788211eb0d8ce1954bd2735",
        ),
    ],
)
def test_stored_fingerprints_stay_valid(changes: dict[str, Any], stored: str) -> None:
    """They are in databases. A change of the rules takes a new form beside this one, never another value here."""
    assert bytes.fromhex(stored)[:1] == FORM
    assert read(changes).hex() == stored


class _Later(PostOptions):
    platform: ClassVar[Platform] = Platform.TIKTOK
    accounts: ClassVar[Literal["all", "any"]] = "all"
    defaults: ClassVar[dict[str, Any]] = {"visible": True}

    title: str | None = None
    ai_generated: bool | None = None
    visible: bool | None = None


def test_a_field_that_a_later_version_adds_changes_no_stored_fingerprint() -> None:
    later = add_options(PostFields, "Later", {**list_post_options(), Platform.TIKTOK: _Later})
    for changes in ({}, {"tiktok": None}, {"tiktok": {"title": "t", "visible": True, "ai_generated": None}}):
        known = {**changes, "tiktok": {"title": "t"}} if changes.get("tiktok") else changes
        assert read(changes, later) == read(known)
    assert read({"tiktok": {"title": "t", "ai_generated": True}}, later) != read({})


@pytest.mark.parametrize("minutes", [-14 * 60, -61, 0, 330, 14 * 60])
def test_order_and_offset_never_matter(minutes: int) -> None:
    moment = datetime.fromisoformat(WHOLE["scheduled_at"]).astimezone(timezone(timedelta(minutes=minutes)))
    for accounts, names in zip(permutations([ONE, TWO, ONE.upper()]), permutations(WHOLE), strict=False):
        changed = {**WHOLE, "scheduled_at": moment.isoformat(), "accounts": [{"id": one} for one in accounts]}
        assert read_post({name: changed[name] for name in names}, Rules()).fingerprint == read({})


def test_the_default_visibility_of_linkedin_is_no_section() -> None:
    assert read({"tiktok": None, "linkedin": {"visibility": "PUBLIC"}}) == read({"tiktok": None})
