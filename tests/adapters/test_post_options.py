"""What a request asks for beside caption and media, as each platform's call takes it; and what it cannot use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import Account, Draft, Media, MediaFacts, PlatformSettings, Problem
from adapters.facebook import payload as facebook
from adapters.http import HttpClient
from adapters.instagram import payload as instagram
from adapters.linkedin import payload as linkedin
from adapters.pinterest import payload as pinterest
from adapters.registry import ADAPTERS
from adapters.tiktok import payload as tiktok
from adapters.tiktok.checkpoint import AllowedSettings, UploadPlan
from adapters.youtube import payload as youtube
from tests.adapters.facebook import drafts as fb
from tests.adapters.instagram import drafts as ig
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pin
from tests.adapters.tiktok import drafts as tt
from tests.adapters.youtube import drafts as yt
from tests.post_options import SECTIONS

YOUTUBE, INSTAGRAM = SECTIONS["youtube"], SECTIONS["instagram"]

ALLOWED = AllowedSettings(
    asked_at=0, privacy=(), comment_disabled=False, duet_disabled=False, stitch_disabled=False, longest=None
)


def ask(draft: Draft, **options: Any) -> Draft:
    return replace(draft, options=options)


def find(draft: Draft, account: Account) -> Sequence[Problem]:
    settings = PlatformSettings(hosts={"api": "", "graph": ""})
    return ADAPTERS[account.platform](HttpClient(), settings).problems(draft, account)


def list_found(draft: Draft, account: Account) -> list[tuple[str, str, str]]:
    return [(p.severity, p.code, p.field) for p in find(draft, account)]


def test_youtube_takes_what_the_section_says_before_the_caption_and_the_operators_defaults() -> None:
    operator = {"privacy": "private", "category": "22"}
    body = youtube.build_video(ask(yt.video(), **YOUTUBE), operator)
    assert body["snippet"] == {
        "title": "A mug",
        "description": yt.CAPTION,
        "tags": ["home decor", "mug"],
        "categoryId": "26",
    }
    assert body["status"] == {"privacyStatus": "unlisted", "selfDeclaredMadeForKids": False}
    assert list_found(ask(yt.video(), **YOUTUBE), yt.account()) == []
    plain = youtube.build_video(yt.video(), operator)
    assert (plain["snippet"]["title"], plain["snippet"]["tags"]) == (yt.CAPTION, ["cat"])
    assert plain["status"] == {"privacyStatus": "private"}
    assert youtube.build_video(ask(yt.video(), tags=[]), {})["snippet"]["tags"] == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"title": "\N{GRINNING FACE}" * 51}, ("refuse", "validation_failed", "youtube.title")),
        ({"tags": ["a b"] * 84}, ("refuse", "validation_failed", "youtube.tags")),
        ({"title": "<b>"}, ("warn", "TEXT_CHANGED", "youtube.title")),
        ({"tags": ["<b>"]}, ("warn", "TEXT_CHANGED", "youtube.tags")),
    ],
)
def test_youtubes_limits_of_title_and_tags(options: Mapping[str, Any], found: tuple[str, str, str]) -> None:
    assert list_found(ask(yt.video(), **options), yt.account()) == [found]


def test_a_caption_without_text_may_have_a_title() -> None:
    assert list_found(ask(yt.video(caption=" \n "), title="A mug"), yt.account()) == []


def test_instagrams_options_stand_on_the_container_that_is_published() -> None:
    reel = instagram.build_container(ask(ig.reel(), **INSTAGRAM), (), byte_upload=False)
    sent = {name: value for name, value in INSTAGRAM.items() if name != "placement"}
    assert {name: reel[name] for name in sent} == sent
    assert "placement" not in reel
    carousel = instagram.build_container(ask(ig.carousel(), **INSTAGRAM), ("1", "2"), byte_upload=False)
    assert carousel["collaborators"] == ["ann"]
    assert carousel["location_id"] == "112"
    assert "share_to_feed" not in carousel
    assert instagram.build_child(ig.image()).keys() == {"is_carousel_item", "image_url"}
    unused = ("warn", "SETTING_HAS_NO_EFFECT", "instagram.share_to_feed")
    assert list_found(ask(ig.carousel(), **INSTAGRAM), ig.account()) == [unused]
    assert list_found(ask(ig.reel(), **INSTAGRAM), ig.account()) == []


def test_a_facebook_video_has_a_title_and_a_photo_post_has_none() -> None:
    assert facebook.build_reel_finish(ask(fb.reel(), title="A mug"), "1")["title"] == "A mug"
    assert facebook.build_video_finish(ask(fb.landscape(), title="A mug"), "1")["title"] == "A mug"
    assert "title" not in facebook.build_video_finish(fb.landscape(), "1")
    unused = ("warn", "SETTING_HAS_NO_EFFECT", "facebook.title")
    assert list_found(ask(fb.photos(), title="A mug"), fb.account()) == [unused]
    assert list_found(ask(fb.reel(), title="A mug"), fb.account()) == []


def test_linkedin_takes_visibility_and_a_title_of_one_medium() -> None:
    draft = ask(li.build_draft(), visibility="LOGGED_IN", title="A mug")
    body = linkedin.build_post(draft, li.ORG, ("urn:li:image:1",))
    assert body["visibility"] == "LOGGED_IN"
    assert body["content"]["media"] == {"id": "urn:li:image:1", "title": "A mug"}
    assert list_found(draft, li.account()) == []
    plain = linkedin.build_post(li.build_draft(), li.ORG, ("urn:li:image:1",))
    assert (plain["visibility"], plain["content"]) == ("PUBLIC", {"media": {"id": "urn:li:image:1"}})


def test_an_organization_has_no_connections_and_several_images_no_title() -> None:
    draft = ask(li.build_draft(li.image(), li.image()), visibility="CONNECTIONS", title="A mug")
    unused = ("warn", "SETTING_HAS_NO_EFFECT", "linkedin.title")
    refused = ("refuse", "validation_failed", "linkedin.visibility")
    assert list_found(draft, li.account()) == [refused, unused]
    assert list_found(draft, li.account("person")) == [unused]


def test_ai_generated_is_the_label_of_each_platform_that_has_one() -> None:
    plan = UploadPlan(size=1, chunk_size=1, chunks=1)
    labelled: dict[bool, list[Any]] = {}
    for flag in (True, False):
        reel, carousel, video = (
            replace(draft, ai_generated=flag) for draft in (ig.reel(), ig.carousel(), tt.video())
        )
        labelled[flag] = [
            tiktok.build_video_init(video, ALLOWED, plan)["post_info"].get("is_aigc"),
            tiktok.build_business_video(video, "b", ALLOWED, None)["post_info"].get("is_ai_generated"),
            instagram.build_container(reel, (), byte_upload=False).get("is_ai_generated"),
            instagram.build_container(carousel, ("1", "2"), byte_upload=False).get("is_ai_generated"),
            youtube.build_video(replace(yt.video(), ai_generated=flag), {})["status"].get(
                "containsSyntheticMedia"
            ),
        ]
    assert labelled == {True: [True] * 5, False: [False, False, None, None, None]}


@pytest.mark.parametrize(
    ("draft", "account"),
    [
        (fb.photos(), fb.account()),
        (li.build_draft(), li.account()),
        (pin.post(), pin.account()),
        (tt.photos(), tt.account()),
        (tt.photos(), tt.account("business")),
    ],
)
def test_an_account_without_a_label_warns(draft: Draft, account: Account) -> None:
    assert list_found(draft, account) == []
    found = list_found(replace(draft, ai_generated=True), account)
    assert found == [("warn", "AI_LABEL_NOT_SUPPORTED", "ai_generated")]


@pytest.mark.parametrize(
    ("draft", "account"),
    [
        (fb.reel(), fb.account()),
        (fb.landscape(), fb.account()),
        (ig.reel(), ig.account()),
        (yt.video(), yt.account()),
        (tt.video(), tt.account()),
        (tt.video(), tt.account("business")),
    ],
)
def test_an_account_with_a_label_does_not(draft: Draft, account: Account) -> None:
    assert list_found(replace(draft, ai_generated=True), account) == []


def describe(draft: Draft, *texts: str | None) -> Draft:
    media = [replace(one, alt_text=text) for one, text in zip(draft.media, texts, strict=True)]
    return replace(draft, media=tuple(media))


def test_an_alternative_text_stands_on_its_image() -> None:
    described = describe(ig.carousel(), "A mug", None)
    assert [instagram.build_child(media).get("alt_text") for media in described.media] == ["A mug", None]
    single = instagram.build_container(describe(ig.photo_post(), "A mug"), (), byte_upload=False)
    assert single["alt_text"] == "A mug"
    photos = [facebook.build_photo(media) for media in describe(fb.photos(), None, "A mug").media]
    assert [photo.get("alt_text_custom") for photo in photos] == [None, "A mug"]
    images = describe(li.build_draft(li.image(), li.image()), "A mug", None)
    content = linkedin.build_post(images, li.ORG, ("urn:li:image:1", "urn:li:image:2"))["content"]
    assert content["multiImage"]["images"] == [
        {"id": "urn:li:image:1", "altText": "A mug"},
        {"id": "urn:li:image:2"},
    ]
    film = linkedin.build_post(describe(li.build_draft(li.video()), "A mug"), li.ORG, ("urn:li:video:1",))
    assert film["content"]["media"] == {"id": "urn:li:video:1", "altText": "A mug"}
    assert pinterest.build_pin(describe(pin.post(), "A mug"), "1", None)["alt_text"] == "A mug"
    assert "alt_text" not in pinterest.build_pin(pin.post(), "1", None)


@pytest.mark.parametrize(
    ("draft", "account"),
    [
        (ig.reel(), ig.account()),
        (fb.reel(), fb.account()),
        (yt.video(), yt.account()),
        (tt.video(), tt.account()),
        (replace(tt.photos(), media=tt.photos().media[:1]), tt.account("business")),
    ],
)
def test_an_account_without_alternative_texts_warns(draft: Draft, account: Account) -> None:
    found = list_found(describe(draft, "A mug"), account)
    assert found == [("warn", "ALT_TEXT_NOT_SUPPORTED", "media.alt_texts")]


def test_a_carousel_pin_has_the_text_of_its_first_card_only() -> None:
    draft = describe(pin.post(pin.image(1), pin.image(2)), "A mug", "Another")
    assert list_found(draft, pin.account()) == [("warn", "ALT_TEXT_NOT_SUPPORTED", "media.alt_texts")]
    assert pinterest.build_pin(draft, "1", None)["alt_text"] == "A mug"


PICTURE = Media(
    url="https://cdn.example.com/cover.jpg",
    kind="image",
    facts=MediaFacts(content_type="image/jpeg", bytes=1000, width=1080, height=1920),
)


def cover(draft: Draft, with_: float | Media) -> Draft:
    return replace(draft, cover=with_)


def test_a_cover_is_a_moment_or_an_image_as_each_platform_takes_it() -> None:
    plan = UploadPlan(size=1, chunk_size=1, chunks=1)

    def build(with_: float | Media) -> list[Any]:
        film, reel = cover(tt.video(), with_), cover(ig.reel(), with_)
        business = tiktok.build_business_video(film, "b", ALLOWED, None)
        instagrams = instagram.build_container(reel, (), byte_upload=False)
        pinned = pinterest.build_pin(cover(pin.post(pin.video()), with_), "1", "2")["media_source"]
        return [
            tiktok.build_video_init(film, ALLOWED, plan)["post_info"].get("video_cover_timestamp_ms"),
            business.get("custom_thumbnail_url"),
            business["post_info"].get("thumbnail_offset"),
            instagrams.get("cover_url"),
            instagrams.get("thumb_offset"),
            pinned.get("cover_image_url"),
            pinned.get("cover_image_key_frame_time"),
        ]

    assert build(2.5) == [2500, None, 2500, None, 2500, None, 2]
    assert build(0) == [0, None, 0, None, 0, None, 0]
    assert build(PICTURE) == [None, PICTURE.url, None, PICTURE.url, None, PICTURE.url, None]


FILMS = {
    "instagram": (ig.reel(), ig.account()),
    "pinterest": (pin.post(pin.video()), pin.account()),
    "creator": (tt.video(), tt.account()),
    "business": (tt.video(), tt.account("business")),
    "youtube": (yt.video(), yt.account()),
    "reel": (fb.reel(), fb.account()),
    "facebook": (fb.landscape(), fb.account()),
    "linkedin": (li.build_draft(li.video()), li.account()),
}
UNUSED, REFUSED = (
    ("warn", "COVER_NOT_SUPPORTED", "media.cover"),
    ("refuse", "validation_failed", "media.cover"),
)


def find_with_cover(name: str, with_: float | Media) -> list[tuple[str, str, str]]:
    draft, account = FILMS[name]
    assert list_found(draft, account) == []
    return list_found(cover(draft, with_), account)


@pytest.mark.parametrize("name", FILMS)
def test_an_account_that_cannot_use_a_cover_warns(name: str) -> None:
    rounded = [("warn", "COVER_ROUNDED", "media.cover")] if name == "pinterest" else []
    takes_none = name in ("youtube", "reel", "facebook", "linkedin")
    assert find_with_cover(name, 2.5) == ([UNUSED] if takes_none else rounded)
    assert find_with_cover(name, 2.0) == ([UNUSED] if takes_none else [])
    assert find_with_cover(name, PICTURE) == ([UNUSED] if name in ("creator", "reel") else [])


@pytest.mark.parametrize("name", ["instagram", "pinterest", "creator", "business"])
def test_a_moment_after_the_end_is_refused(name: str) -> None:
    assert find_with_cover(name, 90.0) == [REFUSED]


@pytest.mark.parametrize("name", ["instagram", "pinterest", "business", "youtube", "facebook", "linkedin"])
def test_an_image_that_is_no_cover_is_refused(name: str) -> None:
    assert PICTURE.facts is not None
    for change in ({"content_type": "image/gif"}, {"bytes": 60_000_000}):
        assert find_with_cover(name, replace(PICTURE, facts=replace(PICTURE.facts, **change))) == [REFUSED]
    assert find_with_cover(name, replace(PICTURE, facts=None)) == []
