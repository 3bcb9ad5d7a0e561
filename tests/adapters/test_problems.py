"""Problems of drafts: every limit, at it and above it, on the six platforms; pure, so no request is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import astuple, fields, is_dataclass, replace
from typing import Any, Literal

import pytest

from adapters.contract import Account, Adapter, Draft, Media, Platform, PlatformSettings, Problem
from adapters.facebook import limits as facebook_limits
from adapters.http import HttpClient
from adapters.instagram import limits as instagram_limits
from adapters.limit import ImageRule
from adapters.linkedin import limits as linkedin_limits
from adapters.pinterest import limits as pinterest_limits
from adapters.registry import ADAPTERS
from adapters.tiktok import limits as tiktok_limits
from adapters.youtube import limits as youtube_limits
from adapters.youtube.limits import VIDEO_BYTES
from tests.adapters.facebook import drafts as fb
from tests.adapters.files import facts
from tests.adapters.instagram import drafts as ig
from tests.adapters.linkedin import drafts as li
from tests.adapters.pinterest import drafts as pi
from tests.adapters.tiktok import drafts as tt
from tests.adapters.youtube import drafts as yt

MB = 1024 * 1024
LINK = "https://www.tiktok.com/@scout2015/video/6718335390845095173"
SOUND_PAGE = "https://www.tiktok.com/music/x-7221171716369631233"
NOT_THIS = "auto_add_music would add TikTok's choice, not this track"
NO_FACTS = Media(url="https://cdn.example.com/v.mp4", kind="video")
CREATOR, BUSINESS = tt.account("creator"), tt.account("business")
LEVELS = "PUBLIC_TO_EVERYONE, MUTUAL_FOLLOW_FRIENDS, FOLLOWER_OF_CREATOR, SELF_ONLY"


def find(account: Account, draft: Draft) -> list[Problem]:
    client = HttpClient()
    adapter = ADAPTERS[account.platform](client, PlatformSettings(hosts={}))
    found = list(adapter.problems(draft, account))
    assert client.calls == []
    return found


def rows(account: Account, *cases: Any) -> list[Any]:
    return [(account, *(case if isinstance(case, tuple) else (case,))) for case in cases]


def both(*cases: Any) -> list[Any]:
    return [*rows(CREATOR, *cases), *rows(BUSINESS, *cases)]


def fb_image(**facts: Any) -> Draft:
    return replace(fb.photos(1), media=(fb.image(**facts),))


def fb_reel(**facts: Any) -> Draft:
    return fb.reel(fb.video(**facts))


def ig_image(**facts: Any) -> Draft:
    return replace(ig.photo_post(), media=(ig.image(**facts),))


def ig_reel(**facts: Any) -> Draft:
    return ig.reel(ig.video(**facts))


def ig_story(*media: Media, **options: Any) -> Draft:
    kind: Literal["video", "slideshow"] = "video" if media[0].kind == "video" else "slideshow"
    return Draft(
        delivery_id="d", caption="x" * 2201, kind=kind, media=media, options={"placement": "story", **options}
    )


def fb_story(*media: Media, **options: Any) -> Draft:
    return replace(ig_story(*media, **options), caption="A story")


def tt_images(*made: Media) -> Draft:
    return replace(tt.photos(), media=made)


def tt_video(**options: Any) -> Draft:
    return tt.video(options=options)


def covered(draft: Draft, **known: Any) -> Draft:
    image = facts(**{"content_type": "image/jpeg", "bytes": 1000, **known})
    return replace(draft, cover=Media(url="https://cdn.example.com/c", kind="image", facts=image))


def described(draft: Draft, length: int) -> Draft:
    return replace(draft, media=(replace(draft.media[0], alt_text="x" * length),))


def commented(draft: Draft, text: str = "More below") -> Draft:
    return replace(draft, first_comment=text)


LI_VIDEO, FOUR_TAGS = li.build_draft(li.video()), ["x" * 100] * 4
FINE = [
    *rows(
        fb.account(),
        covered(fb.landscape(), bytes=10 * MB),
        covered(fb.landscape(), content_type="image/png"),
    ),
    *rows(ig.account(), described(ig.photo_post(), 1000), covered(ig.reel(), bytes=8 * MB)),
    *rows(fb.account(), commented(fb.photos(1), "x" * 8000), commented(fb.reel(), "x" * 8000)),
    *rows(ig.account(), commented(ig.photo_post(), "x" * 8000), commented(ig.reel(), "x" * 8000)),
    *rows(li.account(), commented(li.build_draft(), "x" * 1250), commented(li.text(), "🐈" * 625)),
    *rows(yt.account(), commented(yt.video(), "x" * 10_000)),
    *rows(li.account(), described(li.build_draft(), 4086), covered(LI_VIDEO, bytes=9_999_999)),
    *rows(li.account(), li.text(), li.text(link="https://a.example"), li.document(100_000_000, 300)),
    *rows(li.account("person"), li.document(pages=None), replace(li.document(), title="x" * 400)),
    *rows(fb.account(), fb.text(), fb.text(link="https://facebook.com.example/a")),
    *rows(pi.account(), described(pi.post(), 500), pi.post(link="https://a.example/" + "x" * 2030)),
    *rows(pi.account(), pi.post(caption="x" * 800), pi.post(pi.image(bytes=20 * MB))),
    *rows(li.account(), li.build_draft(li.image(width=36_152_319, height=1))),
    *rows(li.account(), li.build_draft(li.video(duration=3.0, bytes=76_800))),
    *rows(BUSINESS, covered(tt.video(), content_type="image/png"), replace(tt.video(), caption="@a " * 30)),
    *rows(BUSINESS, tt.video(duration=3.0)),
    *rows(CREATOR, tt.video(bytes=4096 * MB)),
    *both(tt.video(fps=23.0)),
    *rows(yt.account(), replace(yt.video(), options={"tags": [*FOUR_TAGS, "x" * 96], "title": "x" * 100})),
    *rows(yt.account(), covered(yt.video(), bytes=52_428_800), covered(yt.video(), content_type="image/png")),
    *rows(
        fb.account(),
        fb.photos(1),
        fb.photos(10),
        fb_image(bytes=10 * MB),
        fb_image(content_type="image/gif"),
        fb.reel(),
        fb_reel(bytes=10 * 1024**3, duration=14400.0),
        fb_reel(duration=None, width=None),
        fb.reel(replace(fb.video(), facts=None)),
    ),
    *rows(
        ig.account(),
        ig.photo_post("x" * 2200),
        ig.photo_post(" ".join(["#tag"] * 30)),
        ig.photo_post(" ".join(["@friend.of_mine"] * 20)),
        ig.photo_post("mail a@b.example and #" + "x"),
        ig_image(bytes=8 * MB),
        ig_image(width=1080, height=1350),
        ig_image(width=1080, height=566),
        ig_image(width=None, height=None),
        ig.carousel(2),
        ig.carousel(10),
        ig_reel(duration=3.0),
        ig_reel(duration=900.0),
        ig_reel(bytes=300 * MB),
        ig_reel(fps=23.0),
        ig_reel(width=1900, height=190),
        ig_reel(fps=60.0, width=1920, height=1080, codec="hevc", content_type="video/quicktime"),
        ig_reel(width=None, height=None, duration=None, codec=None, fps=None),
        replace(ig.reel(), media=(NO_FACTS,)),
    ),
    *(
        row
        for connection in ("person", "organization")
        for row in rows(
            li.account(connection),
            li.build_draft(li.image(width=None, height=None)),
            li.build_draft(li.video(duration=None, codec=None, width=None, height=None)),
            li.build_draft(*(li.image(content_type="image/gif") for _ in range(20)), caption="(" * 1500),
            li.build_draft(li.video(duration=1800, bytes=524_288_000)),
        )
    ),
    *rows(
        pi.account(),
        pi.post(pi.video(width=None, height=None, duration=None, codec=None)),
        pi.post(),
        pi.post(*map(pi.image, range(5)), link="https://a.example", tags=["a b"], title="x" * 100),
        pi.post(pi.video(width=1910, height=1000, duration=900, bytes=2048 * MB)),
        pi.post(pi.video(width=500, height=1000, duration=4, content_type="video/quicktime", codec="hevc")),
    ),
    *rows(pi.account(default_board=pi.BOARD), pi.post(board=None)),
    *both(
        tt.video(),
        tt.video(codec="hvc1", duration=600.0, fps=60.0, width=360, height=4096, bytes=1024 * MB),
        tt.video(codec=None, duration=None, fps=None, width=None, height=None),
        replace(tt.video(), caption="x" * 2200, media=(replace(tt.video().media[0], facts=None),)),
        tt.photos(35, caption="x" * 4000, title="x" * 90),
        tt_images(tt.image(1, width=1920, height=1080, content_type="image/webp", bytes=20 * MB)),
        tt_images(tt.image(1, width=None, height=None)),
        tt_images(replace(tt.image(1), url="http://127.0.0.1:8000/1.jpg")),
        tt.photos(is_commercial=True, is_your_brand=True),
        tt.photos(post_mode="MEDIA_UPLOAD"),
        tt.photos(post_mode="MEDIA_UPLOAD", privacy_level="PUBLIC_TO_EVERYONE", disable_comment=False),
    ),
    *rows(
        BUSINESS, *(replace(draft, music_url=LINK, track=tt.track()) for draft in (tt.video(), tt.photos()))
    ),
    *rows(
        yt.account(),
        yt.video(),
        yt.video(caption="x" * 5000),
        yt.video(bytes=VIDEO_BYTES),
        yt.video(content_type="application/octet-stream"),
        yt.video(content_type="video/x-matroska", codec=None, fps=None),
        yt.video(duration=180.0, width=1080, height=1080),
        yt.video(duration=None, width=None, height=None),
        replace(yt.video(), media=(replace(yt.video().media[0], facts=None),)),
    ),
]


@pytest.mark.parametrize(("account", "draft"), FINE)
def test_at_the_limit_is_no_problem(account: Account, draft: Draft) -> None:
    assert find(account, draft) == []


ONE, URL, COVER, ALT = "media.urls[0]", "media.url", "media.cover", "media.alt_texts[0]"
JPEG_PNG = "image/jpeg or image/png"
BROKEN = [
    *rows(
        fb.account(),
        (covered(fb.landscape(), bytes=10 * MB + 1), COVER, 10 * MB, 10 * MB + 1),
        (covered(fb.landscape(), content_type="image/webp"), COVER, JPEG_PNG, "image/webp"),
    ),
    *rows(
        ig.account(),
        (described(ig.photo_post(), 1001), ALT, 1000, 1001),
        (covered(ig.reel(), bytes=8 * MB + 1), COVER, 8 * MB, 8 * MB + 1),
    ),
    *rows(
        li.account(),
        (described(li.build_draft(), 4087), ALT, 4086, 4087),
        (covered(LI_VIDEO, bytes=10_000_000), COVER, 9_999_999, 10_000_000),
        (covered(LI_VIDEO, content_type="image/gif"), COVER, JPEG_PNG, "image/gif"),
    ),
    *rows(pi.account(), (described(pi.post(), 501), ALT, 500, 501)),
    *rows(
        BUSINESS,
        (
            covered(tt.video(), content_type="image/gif"),
            COVER,
            "image/jpeg or image/webp or image/png",
            "image/gif",
        ),
    ),
    *rows(
        yt.account(),
        (covered(yt.video(), bytes=52_428_801), COVER, 52_428_800, 52_428_801),
        (covered(yt.video(), content_type="image/webp"), COVER, JPEG_PNG, "image/webp"),
        (replace(yt.video(), options={"tags": [*FOUR_TAGS, "x" * 97]}), "youtube.tags", 500, 501),
        (replace(yt.video(), options={"title": "x" * 101}), "youtube.title", 100, 101),
    ),
    *rows(
        fb.account(),
        (fb_image(bytes=10 * MB + 1), ONE, 10 * MB, 10 * MB + 1),
        (fb.text(link="https://m.facebook.com/a"), "facebook.link", "another site", "m.facebook.com"),
        (
            fb_image(content_type="image/webp"),
            ONE,
            "image/jpeg or image/png or image/gif or image/bmp or image/tiff",
            "image/webp",
        ),
        (fb_reel(bytes=10 * 1024**3 + 1), URL, 10 * 1024**3, 10 * 1024**3 + 1),
        (fb_reel(duration=14401.0), URL, 14400.0, 14401.0),
        (replace(fb.photos(2), media=(fb.image(), fb.video())), "media.urls[1]", "image", "video"),
        (fb_story(fb.image(), fb.image()), "media", 1, 2),
        (fb_story(fb.image(bytes=10 * MB + 1)), ONE, 10 * MB, 10 * MB + 1),
        (fb_story(fb.video(content_type="video/quicktime")), URL, "video/mp4", "video/quicktime"),
        (fb_story(fb.video(duration=60.1)), URL, "3 to 60", 60.1),
        (fb_story(fb.video(duration=2.9)), URL, "3 to 60", 2.9),
        (fb_story(fb.video(fps=61.0)), URL, "24 to 60", 61.0),
        (fb_story(fb.video(width=1080, height=1080)), URL, "0.5425 to 0.5825", 1.0),
        (fb_story(fb.video(width=530, height=942)), URL, "540 x 960", "530 x 942"),
    ),
    *rows(
        ig.account(),
        (ig.photo_post("x" * 2201), "caption", 2200, 2201),
        (ig.photo_post(" ".join(["#tag"] * 31)), "caption", 30, 31),
        (ig.photo_post(" ".join(["@friend"] * 21)), "caption", 20, 21),
        (ig_image(content_type="image/png"), ONE, "image/jpeg", "image/png"),
        (ig_image(bytes=8 * MB + 1), ONE, 8 * MB, 8 * MB + 1),
        (ig_image(width=1080, height=1480), ONE, "0.75 to 1.91", 0.73),
        (ig_image(width=2000, height=1000), ONE, "0.75 to 1.91", 2.0),
        (ig.carousel(11), "media", 10, 11),
        (ig_reel(content_type="video/webm"), URL, "video/mp4 or video/quicktime", "video/webm"),
        (ig_reel(codec="vp9"), URL, "h264 or hevc", "vp9"),
        (ig_reel(bytes=300 * MB + 1), URL, 300 * MB, 300 * MB + 1),
        (ig_reel(width=1921, height=1080), URL, 1920, 1921),
        (ig_story(ig.image(1), ig.image(2)), "media", 1, 2),
        (
            ig_story(ig.image(), collaborators=["ann"]),
            "instagram.collaborators",
            "none in a story",
            "collaborators",
        ),
        (ig_story(ig.image(), location_id="1"), "instagram.location_id", "none in a story", "location_id"),
        (ig_story(ig.image(bytes=8 * MB + 1)), ONE, 8 * MB, 8 * MB + 1),
        (ig_story(ig.image(content_type="image/png")), ONE, "image/jpeg", "image/png"),
        (ig_story(ig.video(bytes=100 * MB + 1)), URL, 100 * MB, 100 * MB + 1),
        (ig_story(ig.video(duration=2.9)), URL, "3 to 60", 2.9),
        (ig_story(ig.video(duration=60.1)), URL, "3 to 60", 60.1),
        (ig_reel(duration=2.9), URL, "3 to 900", 2.9),
        (ig_reel(duration=901.0), URL, "3 to 900", 901.0),
        (ig_reel(fps=22.9), URL, "23 to 60", 22.9),
        (ig_reel(fps=60.1), URL, "23 to 60", 60.1),
        (ig_reel(width=1900, height=188), URL, "0.01 to 10", 10.106),
    ),
    *rows(
        li.account(),
        (li.build_draft(caption="x" * 3001), "caption", 3000, 3001),
        (li.document(100_000_001), URL, 100_000_000, 100_000_001),
        (li.document(pages=301), URL, 300, 301),
        (li.document(content_type="application/msword"), URL, "application/pdf", "application/msword"),
        (li.build_draft(caption="(" * 1501), "caption", 3000, 3002),
        (li.build_draft(*(li.image() for _ in range(21))), "media", 20, 21),
        (li.build_draft(li.image(), li.video()), "media.urls[1]", "image", "video"),
        (li.build_draft(li.video(), li.video()), "media", 1, 2),
        (
            li.build_draft(li.image(content_type="image/webp")),
            ONE,
            "image/jpeg or image/png or image/gif",
            "image/webp",
        ),
        (li.build_draft(li.image(width=36_152_320, height=1)), ONE, 36_152_319, 36_152_320),
        (li.build_draft(li.video(content_type="video/quicktime")), URL, "video/mp4", "video/quicktime"),
        (li.build_draft(li.video(bytes=76_799)), URL, "76800 to 524288000", 76_799),
        (li.build_draft(li.video(bytes=524_288_001)), URL, "76800 to 524288000", 524_288_001),
        (li.build_draft(li.video(duration=2.9)), URL, "3 to 1800", 2.9),
        (li.build_draft(li.video(duration=1801)), URL, "3 to 1800", 1801),
    ),
    *rows(
        li.account("showcase", remote_id=li.ORG),
        (li.build_draft(), "accounts", "person or organization", "showcase"),
    ),
    *rows(
        li.account("person", remote_id=li.ORG),
        (li.build_draft(), "accounts", "urn:li:person:", li.ORG),
    ),
    *rows(
        li.account("organization", remote_id=li.MEMBER),
        (li.build_draft(), "accounts", "urn:li:organization:", li.MEMBER),
    ),
    *rows(
        li.account("organization", remote_id="5583111"),
        (li.build_draft(), "accounts", "urn:li:organization:", "5583111"),
    ),
    *rows(fb.account(), (commented(fb_story(fb.image())), "first_comment", "none", None)),
    *rows(ig.account(), (commented(ig_story(ig.video())), "first_comment", "none", None)),
    *rows(pi.account(), (commented(pi.post()), "first_comment", "none", None)),
    *both(
        (commented(tt.video()), "first_comment", "none", None),
        (commented(tt.photos()), "first_comment", "none", None),
        (commented(tt_video(deliver_as="inbox")), "first_comment", "none", None),
    ),
    *rows(li.account("person"), (commented(li.text()), "first_comment", "none", None)),
    *rows(
        li.account(),
        (commented(li.build_draft(), "x" * 1251), "first_comment", 1250, 1251),
        (commented(li.text(), "🐈" * 626), "first_comment", 1250, 1252),
    ),
    *rows(yt.account(), (commented(yt.video(), "x" * 10_001), "first_comment", 10_000, 10_001)),
    *rows(
        pi.account(),
        (pi.post(board=None), "pinterest.board_id", "a board", None),
        (pi.post(board="my board"), "pinterest.board_id", "digits", "my board"),
        (pi.post(caption="x" * 801), "caption", 800, 801),
        (pi.post(title="x" * 101), "pinterest.title", 100, 101),
        (pi.post(link="https://a.example/" + "x" * 2031), "pinterest.link", 2048, 2049),
        (pi.post(link="ftp://a.example/"), "pinterest.link", "http or https", "ftp://a.example/"),
        (pi.post(link="http://[a.example/"), "pinterest.link", "http or https", "http://[a.example/"),
        (pi.post(*map(pi.image, range(6))), "media", 5, 6),
        (pi.post(pi.image(), pi.video()), "media.urls[1]", "image", "video"),
        (pi.post(pi.image(content_type="image/webp")), ONE, "image/jpeg or image/png", "image/webp"),
        (pi.post(pi.image(bytes=20 * MB + 1)), ONE, 20 * MB, 20 * MB + 1),
        (
            pi.post(pi.video(content_type="video/webm")),
            URL,
            "video/mp4 or video/quicktime or video/x-m4v",
            "video/webm",
        ),
        (pi.post(pi.video(codec="vp9")), URL, "h264 or hevc", "vp9"),
        (pi.post(pi.video(bytes=2048 * MB + 1)), URL, 2048 * MB, 2048 * MB + 1),
        (pi.post(pi.video(duration=3.9)), URL, "4 to 900", 3.9),
        (pi.post(pi.video(duration=901)), URL, "4 to 900", 901),
        (pi.post(pi.video(width=2000, height=1000)), URL, "0.49 to 1.92", 2.0),
        (pi.post(pi.video(width=480, height=1000)), URL, "0.49 to 1.92", 0.48),
        (pi.post(pi.video(), pi.video()), "media", 1, 2),
    ),
    *both(
        (replace(tt.video(), media=()), "media", 1, 0),
        (replace(tt.photos(), media=()), "media.urls", 35, 0),
        (tt.photos(36), "media.urls", 35, 36),
        (tt_images(tt.video().media[0]), ONE, "image", "video"),
        (replace(tt.video(), media=(tt.image(1),)), URL, "video", "image"),
        (tt_video(post_mode="MEDIA_UPLOAD"), "tiktok.post_mode", "slideshow", "video"),
        (tt.photos(deliver_as="inbox"), "tiktok.deliver_as", "video", "slideshow"),
        (replace(tt.video(), caption="🐈" * 1101), "caption", 2200, 2202),
        (tt_video(description="x" * 2201), "tiktok.description", 2200, 2201),
        (tt.photos(caption="x" * 4001), "caption", 4000, 4001),
        (tt.photos(title="🐈" * 46), "tiktok.title", 90, 92),
        (tt.photos(title="x" * 91), "tiktok.title", 90, 91),
        (
            tt.video(content_type="video/x-msvideo"),
            URL,
            "video/mp4, video/quicktime, video/webm",
            "video/x-msvideo",
        ),
        (tt.video(codec="mpeg4"), URL, "h264, hevc, vp8, vp9", "mpeg4"),
        (tt.video(bytes=0), URL, 1, 0),
        (tt.video(duration=600.5), URL, 600, 600.5),
        (tt.video(fps=60.1), URL, 60, 60.1),
        (tt.video(fps=22.9), URL, 23, 22.9),
        (tt.video(width=359), URL, 360, 359),
        (
            tt_images(tt.image(1), tt.image(2, content_type="image/png")),
            "media.urls[1]",
            "image/jpeg or image/webp",
            "image/png",
        ),
        (tt_images(tt.image(1, bytes=20 * MB + 1)), ONE, 20 * MB, 20 * MB + 1),
        (tt_images(tt.image(1, width=1080, height=1921)), ONE, 1920, 1921),
        (tt_images(tt.image(1, width=1081, height=1900)), ONE, 1080, 1081),
        (
            tt_images(replace(tt.image(1), url="https://93.184.216.34/1.jpg")),
            ONE,
            "a host name",
            "an IP address",
        ),
        (tt.photos(privacy_level="EVERYBODY"), "tiktok.privacy_level", LEVELS, "EVERYBODY"),
        (
            tt.photos(privacy_level="SELF_ONLY", is_branded_content=True),
            "tiktok.privacy_level",
            "not SELF_ONLY",
            "SELF_ONLY",
        ),
        (
            tt.photos(is_commercial=True),
            "tiktok.is_commercial",
            "is_your_brand or is_branded_content",
            "neither",
        ),
    ),
    *rows(
        CREATOR,
        (tt.video(bytes=4096 * MB + 1), URL, 4096 * MB, 4096 * MB + 1),
        (tt.video(height=4097), URL, 4096, 4097),
    ),
    *rows(
        BUSINESS,
        (replace(tt.video(), caption="@a " * 31), "caption", 30, 31),
        (tt.video(bytes=1024 * MB + 1), URL, 1024 * MB, 1024 * MB + 1),
        (tt.video(duration=2.9), URL, 3, 2.9),
        (tt_video(privacy_level="SELF_ONLY"), "tiktok.privacy_level", "PUBLIC_TO_EVERYONE", "SELF_ONLY"),
    ),
    *rows(tt.account("shop"), (tt.video(), "accounts", "creator, business", "shop")),
    *rows(
        yt.account(),
        (yt.slideshow(), "media", "video", "slideshow"),
        (replace(yt.slideshow(), kind="video"), "media", "video", "image"),
        (replace(yt.video(), media=yt.video().media * 2), "media", 1, 2),
        (yt.video(caption=" \n "), "caption", 1, 0),
        (yt.video(caption="x" * 5001), "caption", 5000, 5001),
        (yt.video(caption="ä" * 2501), "caption", 5000, 5002),
        (yt.video(content_type="image/gif"), URL, "video/*", "image/gif"),
        (yt.video(bytes=VIDEO_BYTES + 1), URL, VIDEO_BYTES, VIDEO_BYTES + 1),
        (yt.video(bytes=0), URL, 1, 0),
        (yt.video(duration=12 * 3600.0 + 1), URL, 12 * 3600.0, 12 * 3600.0 + 1),
    ),
]


@pytest.mark.parametrize(("account", "draft", "field", "limit", "found"), BROKEN)
def test_over_a_limit_is_one_refusal_that_names_it(
    account: Account, draft: Draft, field: str, limit: Any, found: Any
) -> None:
    refused = [problem for problem in find(account, draft) if problem.severity == "refuse"]
    matching = [p for p in refused if (p.field, p.limit, p.found) == (field, limit, found)]
    assert len(matching) == 1
    assert refused == matching or account.platform is Platform.TIKTOK
    assert all(problem.code == "validation_failed" and problem.message.endswith(".") for problem in refused)
    if account.platform is not Platform.TIKTOK and found:
        assert str(found) in matching[0].message or f"{found:g}" in matching[0].message


@pytest.mark.parametrize(
    ("account", "draft"),
    [
        *rows(
            CREATOR,
            replace(tt.video(), caption="@a " * 31),
            tt.video(bytes=1024 * MB + 1),
            tt.video(duration=2.9),
        ),
        *rows(CREATOR, tt_video(privacy_level="SELF_ONLY")),
        *rows(BUSINESS, tt.video(height=4097)),
    ],
)
def test_a_limit_of_one_tiktok_product_does_not_bind_the_other(account: Account, draft: Draft) -> None:
    assert [problem for problem in find(account, draft) if problem.severity == "refuse"] == []


WRONG_VIDEO: dict[str, Any] = {
    "content_type": "video/x-msvideo",
    "codec": "mpeg4",
    "duration": 1000.0,
    "fps": 120.0,
    "width": 10,
    "bytes": 5000 * MB,
}
WRONG_OPTIONS = {"privacy_level": "SELF_ONLY", "is_branded_content": True, "post_mode": "DIRECT_POST"}
SEVERAL = [
    (
        ig.account(),
        replace(
            ig.carousel(),
            caption="#a " * 31 + "@b " * 21,
            media=(ig.image(1), ig.image(2, content_type="image/webp", bytes=9 * MB)),
        ),
        {"caption": 2, "media.urls[1]": 2},
    ),
    (
        li.account(),
        li.build_draft(li.video(duration=1, content_type="video/webm"), caption="x" * 4000),
        {"caption": 1, URL: 2},
    ),
    (
        pi.account(),
        pi.post(pi.video(codec="vp9", duration=1), caption="x" * 900, board=None),
        {"pinterest.board_id": 1, "caption": 1, URL: 2},
    ),
    (CREATOR, tt.video(options=WRONG_OPTIONS, **WRONG_VIDEO), {"tiktok.privacy_level": 1, URL: 6}),
    (BUSINESS, tt.video(options=WRONG_OPTIONS, **WRONG_VIDEO), {"tiktok.privacy_level": 2, URL: 6}),
    (
        yt.account(),
        yt.video(
            caption="<" + "x" * 5001,
            content_type="audio/mpeg",
            bytes=VIDEO_BYTES + 1,
            duration=12 * 3600.0 + 1,
        ),
        {"caption": 1, URL: 3},
    ),
]


@pytest.mark.parametrize(("account", "draft", "fields"), SEVERAL)
def test_several_problems_come_together(account: Account, draft: Draft, fields: dict[str, int]) -> None:
    refused = [problem.field for problem in find(account, draft) if problem.severity == "refuse"]
    assert Counter(refused) == fields


TAGS = pi.post(pi.image(1), pi.image(2, width=999), caption="x" * 795, tags=["much", "tiles"])
NONE = (None, None)
STORY_WARNED = {"CAPTION_NOT_SENT": NONE}
WARNED = [
    *rows(
        fb.account(),
        (fb_story(fb.image(width=1080, height=1920)), STORY_WARNED),
        (fb_story(fb.video(duration=60.0)), STORY_WARNED),
        (fb_story(fb.video(duration=3.0), title="T"), {**STORY_WARNED, "SETTING_HAS_NO_EFFECT": NONE}),
        (
            replace(fb_story(fb.image()), ai_generated=True),
            {**STORY_WARNED, "AI_LABEL_NOT_SUPPORTED": NONE},
        ),
    ),
    *both(
        (tt_video(deliver_as="inbox"), {"CAPTION_NOT_SENT": NONE}),
        (tt_video(deliver_as="inbox", title="T"), {"CAPTION_NOT_SENT": NONE, "DRAFT_IGNORES_SETTING": NONE}),
        (
            replace(covered(tt_video(deliver_as="inbox")), ai_generated=True),
            {"CAPTION_NOT_SENT": NONE, "COVER_NOT_SUPPORTED": NONE, "AI_LABEL_NOT_SUPPORTED": NONE},
        ),
    ),
    *rows(
        pi.account(),
        (
            TAGS,
            {"TAGS_LEFT_OUT": (pinterest_limits.DESCRIPTION_CHARACTERS, 2), "CAROUSEL_SIZES_DIFFER": (1, 2)},
        ),
    ),
    *rows(
        li.account(),
        (li.text(title="Jobs"), {"SETTING_HAS_NO_EFFECT": (None, None)}),
        (replace(li.document(), options={"title": "Jobs"}), {"SETTING_HAS_NO_EFFECT": (None, None)}),
    ),
    *rows(fb.account(), (fb.text(title="Jobs"), {"SETTING_HAS_NO_EFFECT": (None, None)})),
    *rows(
        ig.account(),
        (ig_image(width=1080, height=1400), {"RATIO_NOT_DOCUMENTED": ("0.8 to 1.91", 0.771)}),
        (ig_image(width=1080, height=1440), {"RATIO_NOT_DOCUMENTED": ("0.8 to 1.91", 0.75)}),
        (ig_story(ig.image(width=1080, height=1920, bytes=8 * MB)), STORY_WARNED),
        (ig_story(ig.video(duration=3.0, bytes=100 * MB)), STORY_WARNED),
        (
            ig_story(ig.video(duration=60.0), share_to_feed=True),
            {**STORY_WARNED, "SETTING_HAS_NO_EFFECT": NONE},
        ),
        (
            covered(described(ig_story(ig.video()), 3)),
            {**STORY_WARNED, "ALT_TEXT_NOT_SUPPORTED": NONE, "COVER_NOT_SUPPORTED": NONE},
        ),
    ),
    *rows(
        yt.account(long_uploads="eligible"),
        (yt.video(duration=900.0), {"NOT_A_SHORT": (180.0, "1080x1920, 900 s")}),
        (
            yt.video(duration=901.0),
            {"NOT_A_SHORT": (180.0, "1080x1920, 901 s"), "CHANNEL_NOT_VERIFIED": (900.0, 901.0)},
        ),
    ),
    *rows(
        yt.account(),
        (yt.video(duration=180.1), {"NOT_A_SHORT": (180.0, "1080x1920, 180.1 s")}),
        (yt.video(caption="I <3 <you>"), {"TEXT_CHANGED": (0, 3)}),
        (yt.video(caption=" ".join(f"#{letter * 99}" for letter in "abcdef")), {"TAGS_CUT": (500, 6)}),
        (yt.video(duration=12 * 3600.0), {"NOT_A_SHORT": (180.0, "1080x1920, 43200 s")}),
    ),
]


@pytest.mark.parametrize(("account", "draft", "codes"), WARNED)
def test_what_goes_out_differently_is_a_warning(
    account: Account, draft: Draft, codes: dict[str, tuple[Any, Any]]
) -> None:
    found = find(account, draft)
    assert {problem.severity for problem in found} == {"warn"}
    assert {problem.code: (problem.limit, problem.found) for problem in found} == codes


DRAFT_PRIVATE = tt.photos(post_mode="MEDIA_UPLOAD", privacy_level="SELF_ONLY")
DRAFT_MUSIC = tt.photos(post_mode="MEDIA_UPLOAD", auto_add_music=True)


@pytest.mark.parametrize(
    ("draft", "code", "field"),
    [
        (tt_video(title="T"), "TITLE_NOT_USED", "tiktok.title"),
        (tt_video(auto_add_music=True), "SETTING_HAS_NO_EFFECT", "tiktok.auto_add_music"),
        (tt.photos(disable_duet=True), "SETTING_HAS_NO_EFFECT", "tiktok.disable_duet"),
        (tt.photos(disable_stitch=True), "SETTING_HAS_NO_EFFECT", "tiktok.disable_stitch"),
        (DRAFT_PRIVATE, "DRAFT_IGNORES_SETTING", "tiktok.privacy_level"),
        (DRAFT_MUSIC, "DRAFT_IGNORES_SETTING", "tiktok.auto_add_music"),
    ],
)
def test_a_tiktok_setting_without_effect_is_a_warning(draft: Draft, code: str, field: str) -> None:
    (problem,) = find(CREATOR, draft)
    assert (problem.severity, problem.code, problem.field) == ("warn", code, field)


@pytest.mark.parametrize(
    ("account", "draft", "code", "words"),
    [
        (CREATOR, tt.video(), "MUSIC_NOT_SUPPORTED_BY_CONNECTION", "the video goes out with its own sound"),
        (CREATOR, tt.photos(), "MUSIC_NOT_SUPPORTED_BY_CONNECTION", NOT_THIS),
        (CREATOR, tt.photos(post_mode="MEDIA_UPLOAD"), "MUSIC_BY_HAND", SOUND_PAGE),
        (BUSINESS, tt.photos(post_mode="MEDIA_UPLOAD"), "MUSIC_BY_HAND", "Track"),
    ],
)
def test_music_that_will_not_be_attached_is_a_warning(
    account: Account, draft: Draft, code: str, words: str
) -> None:
    (problem,) = find(account, replace(draft, music_url=LINK, track=tt.track()))
    assert (problem.severity, problem.code, problem.field) == ("warn", code, "music_url")
    assert words in problem.message
    (early,) = find(account, replace(draft, music_url=LINK))  # not resolved yet
    assert early.code == code


@pytest.mark.parametrize(
    ("status", "warned"), [("eligible", True), ("disallowed", True), ("allowed", False), (None, False)]
)
def test_a_channel_that_may_not_upload_long_is_warned(status: str | None, *, warned: bool) -> None:
    settings = {} if status is None else {"long_uploads": status}
    codes = [problem.code for problem in find(yt.account(**settings), yt.video(duration=901.0))]
    assert ("CHANNEL_NOT_VERIFIED" in codes) is warned


def test_a_missing_board_names_the_account() -> None:
    (problem,) = find(pi.account(), pi.post(board=None))
    assert "casa" in problem.message


@pytest.mark.parametrize("platform", Platform)
def test_it_is_an_adapter(platform: Platform) -> None:
    assert isinstance(ADAPTERS[platform](HttpClient(), PlatformSettings(hosts={})), Adapter)


# --- every constant of limits.py -------------------------------------------------------------------------------------

LIMITS: dict[Platform, Any] = {
    Platform.FACEBOOK: facebook_limits,
    Platform.INSTAGRAM: instagram_limits,
    Platform.LINKEDIN: linkedin_limits,
    Platform.PINTEREST: pinterest_limits,
    Platform.TIKTOK: tiktok_limits,
    Platform.YOUTUBE: youtube_limits,
}
PACE = """FIRST_POLL FIRST_POLL_IMAGE FIRST_POLL_VIDEO FIRST_POST_READ LONGEST_POLL GONE_READS RESTARTS RESTART_PAUSE
CUTS CUT_PAUSE CLOCK_SKEW PAGE PAGES BOARD_PAGES LISTED LISTINGS QUOTA_RECHECK BUSY LONG_BUSY SHORT_BUSY CHANNEL_DAY
RESET_MOST NOT_READY URL_MARGIN CONTAINER_LIFE CHUNK CHUNK_TIME QUANTUM FRESH STALE PROCESSING MB CHUNK_LEAST CHUNK_MOST
CHUNK_LAST_MOST CHUNKS_MOST CHUNK_SIZES CHUNK_SMALL CHUNK_WANTED UPLOAD_FLOOR UPLOAD_URL_LIFE
FIRST_POLL_DOCUMENT COMMENT_PAUSE"""
"""Constants that limit no post: poll intervals, retries, chunk sizes."""
RECORDS = """CAPABILITIES LIMITS RETIREMENTS POSTS_PER_DAY CONTAINERS_PER_DAY REELS_PER_DAY CODEC_ALIASES RATIO_SLACK
COVER_SECOND REEL_TYPES REEL_CODECS REEL_SECONDS REEL_FPS REEL_PIXELS REEL_RATIO REEL_RATIO_SLACK"""
"""Records, daily limits, and what only chooses a form, as the limits of reels do."""
PARTS = "IMAGE_RATIO REPORTED_RATIO"
"""``IMAGE`` is made from these."""
UNTRIED = {
    "CAROUSEL least",
    "IMAGES least",
    "VIDEO_RATIO least",
    "IMAGE ratio most",
    "VIDEO creator shortest",
}
"""One image is no carousel; these ratios were never found in a file."""


class Everything(tuple[str, ...]):
    """Allowed values that allow every value."""

    __slots__ = ()

    def __contains__(self, _value: object) -> bool:
        return True


def change(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a limit made wider and narrower, one part at a time."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from ((about, {**value, key: new}) for about, new in change(f"{name} {key}", part))
    elif is_dataclass(value) and not isinstance(value, type):
        for part in (one.name for one in fields(value) if one.name not in ("slack", "converted_width")):
            changed = change(f"{name} {part}", getattr(value, part))
            yield from ((about, replace(value, **{part: new})) for about, new in changed)
    elif isinstance(value, (str, tuple)) and all(isinstance(part, str) for part in value):
        yield from ((name, new) for new in (type(value)(), Everything()))
    elif isinstance(value, tuple):
        for index, about in enumerate(("least", "most")):
            changed = change(f"{name} {about}", value[index])
            yield from ((told, (*value[:index], new, *value[index + 1 :])) for told, new in changed)
    elif value is not None and not isinstance(value, bool):
        step = 1 if isinstance(value, int) else max(0.11, value / 500)
        yield from ((name, value + by) for by in (step, -step))


def list_outcomes(platform: Platform) -> list[list[tuple[str, str, str]]]:
    """Return severity, code and field of the problems of every draft above."""
    return [
        sorted((p.severity, p.code, p.field) for p in find(account, draft))
        for account, draft, *_ in (*FINE, *BROKEN, *WARNED)
        if account.platform is platform
    ]


@pytest.mark.parametrize("platform", Platform)
def test_every_limit_is_tried_at_its_value_and_above(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, limits, untried = list_outcomes(platform), LIMITS[platform], set()
    names = {name for name in vars(limits) if name.isupper() and not name.startswith("_")}
    for name in sorted(names - {*PACE.split(), *RECORDS.split(), *PARTS.split()}):
        for about, changed in change(name, getattr(limits, name)):
            with monkeypatch.context() as patch:
                patch.setattr(limits, name, changed)
                if list_outcomes(platform) == known:
                    untried.add(about)
    assert sorted(untried - UNTRIED) == []


@pytest.mark.parametrize("platform", Platform)
def test_every_limit_stands_in_the_table_for_people(platform: Platform) -> None:
    limits, rows = LIMITS[platform], ADAPTERS[platform].capabilities.limits
    shown = {value for row in rows for value in (row.least, row.most, *row.values)}
    names = {name for name in vars(limits) if name.isupper() and not name.startswith("_")}
    for name in names - {*PACE.split(), *RECORDS.split(), *PARTS.split(), "FORBIDDEN", "REFUSED_LINKS"}:
        for value in filter(None, list_leaves(getattr(limits, name))):
            is_below = isinstance(value, int) and value - 1 in shown  # LinkedIn: fewer than so many pixels
            assert value in shown or is_below, f"{name}: {value}"


def list_leaves(constant: Any) -> Iterator[str | float]:
    """Yield the numbers and words of a constant: a value, a tuple, or a record by connection."""
    if isinstance(constant, Mapping):
        for part in constant.values():
            yield from list_leaves(astuple(part))
    elif isinstance(constant, ImageRule):
        rule = constant
        yield from list_leaves((*rule.types, rule.bytes, rule.long_side, rule.short_side, rule.area))
    elif isinstance(constant, tuple):
        for part in constant:
            yield from list_leaves(part)
    elif constant is not None:
        yield constant
