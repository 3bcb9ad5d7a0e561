"""Links of TikTok posts: which are accepted, and which sound oEmbed returns for them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import ResolvesMusic, Track
from adapters.errors import RateLimited, Rejected, Unavailable
from adapters.tiktok.adapter import TikTok
from adapters.tiktok.music import normalize_post_link, parse_sound
from tests.adapters.scripted_server import DROP, Reply, ScriptedServer
from tests.adapters.tiktok import examples

Make = Callable[..., TikTok]
OEMBED = "/tiktok-www/oembed"
LINK = "https://www.tiktok.com/@scout2015/video/6718335390845095173"


@pytest.mark.parametrize(
    ("link", "canonical"),
    [
        (LINK, LINK),
        ("http://tiktok.com/@scout2015/video/6718335390845095173/?lang=en#x", LINK),
        ("HTTPS://M.TikTok.com/@scout2015/video/6718335390845095173", LINK),
        ("https://www.tiktok.com/@a.b_C/photo/12345678", "https://www.tiktok.com/@a.b_C/photo/12345678"),
        (
            "https://www.tiktok.com/@/video/6718335390845095173",
            "https://www.tiktok.com/@/video/6718335390845095173",
        ),
        (
            "https://www.tiktok.com/@genviral/video/1234567890",
            "https://www.tiktok.com/@genviral/video/1234567890",
        ),
        (
            "https://m.tiktok.com/v/6718335390845095173.html?x=1",
            "https://m.tiktok.com/v/6718335390845095173.html",
        ),
        ("https://www.tiktok.com/t/ZTdAbC123/", "https://www.tiktok.com/t/ZTdAbC123"),
        ("https://vm.tiktok.com/ZMabc/", "https://vm.tiktok.com/ZMabc"),
        ("https://vt.tiktok.com/ZSabc", "https://vt.tiktok.com/ZSabc"),
    ],
)
def test_links_of_posts(tiktok: Make, link: str, canonical: str) -> None:
    assert normalize_post_link(link) == canonical
    assert tiktok().music_link(link) == canonical
    assert normalize_post_link(canonical) == canonical


@pytest.mark.parametrize(
    "link",
    [
        "",
        "tiktok.com/@a/video/6718335390845095173",
        "ftp://www.tiktok.com/@a/video/6718335390845095173",
        "https://www.tiktok.com:443/@a/video/6718335390845095173",
        "https://me@www.tiktok.com/@a/video/6718335390845095173",
        "https://www.tiktok.com.evil.example/@a/video/6718335390845095173",
        "https://evil.example/?https://www.tiktok.com/@a/video/6718335390845095173",
        "https://www.tiktok.com\\@evil.example/@a/video/6718335390845095173",
        "https://www.tiktok.com/@a/video/1234567",
        "https://www.tiktok.com/@a/video/12345678901234567890123456",
        "https://www.tiktok.com/@a/video/٦٧١٨٣٣٥٣٩٠٨٤٥",
        "https://www.tiktok.com/@a b/video/6718335390845095173",
        "https://www.tiktok.com/@a/live/6718335390845095173",
        "https://www.tiktok.com/music/original-sound-6689804660171082501",
        "https://www.tiktok.com/v/6718335390845095173.html",
        "https://vm.tiktok.com/@a/video/6718335390845095173",
        "https://vm.tiktok.com/",
        "https://[::1/@a/video/6718335390845095173",
        "https://www.tiktok.com/@a/video/6718335390845095173\n",
        "https://www.tiktok.com/t/" + "x" * 3000,
    ],
)
def test_everything_else_is_none(link: str) -> None:
    assert normalize_post_link(link) is None


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    for link in (text, f"https://www.tiktok.com/{text}", f"https://{text}/@a/video/12345678"):
        canonical = normalize_post_link(link)
        assert canonical is None or normalize_post_link(canonical) == canonical


def test_the_adapter_resolves_music(tiktok: Make) -> None:
    assert isinstance(tiktok(), ResolvesMusic)


def test_the_vendors_example(server: ScriptedServer, tiktok: Make) -> None:
    server.on("GET", OEMBED, examples.OEMBED)
    assert tiktok().resolve_music(LINK + "?lang=en") == Track(
        post_id="6718335390845095173",
        sound_id="6689804660171082501",
        title="original sound",
        artist="tiff",
        link="https://www.tiktok.com/music/x-6689804660171082501",
    )
    assert server.requests[0].query == {"url": LINK}
    assert "Authorization" not in server.requests[0].headers


def test_a_short_link_is_followed_by_tiktok_itself(server: ScriptedServer, tiktok: Make) -> None:
    server.on("GET", OEMBED, examples.OEMBED)
    assert tiktok().resolve_music("https://vm.tiktok.com/ZMabc/").post_id == "6718335390845095173"
    assert server.requests[0].query == {"url": "https://vm.tiktok.com/ZMabc"}


def test_a_photo_that_is_not_known_is_asked_for_once_as_a_video(server: ScriptedServer, tiktok: Make) -> None:
    server.on("GET", OEMBED, Reply("", status=404), examples.OEMBED)
    photo = LINK.replace("/video/", "/photo/")
    assert tiktok().resolve_music(photo).sound_id == "6689804660171082501"
    assert [seen.query["url"] for seen in server.requests] == [photo, LINK]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_post_that_is_gone(server: ScriptedServer, tiktok: Make, status: int) -> None:
    server.on("GET", OEMBED, Reply("gone", status=status))
    with pytest.raises(Rejected) as refusal:
        tiktok().resolve_music(LINK)
    assert refusal.value.code == "music_unresolvable"
    assert refusal.value.http_status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        examples.OEMBED.replace('"embed_product_id":"6718335390845095173"', '"embed_product_id":"1"'),
        examples.OEMBED.replace('"embed_product_id":"6718335390845095173",', ""),
        examples.OEMBED.replace("/music/", "/tag/"),
    ],
    ids=["another post", "no post", "no sound"],
)
def test_an_answer_that_leads_to_no_sound(server: ScriptedServer, tiktok: Make, body: str) -> None:
    server.on("GET", OEMBED, body)
    with pytest.raises(Rejected) as refusal:
        tiktok().resolve_music(LINK)
    assert refusal.value.code == "music_unresolvable"


def test_what_is_no_link_of_a_post_is_not_asked_about(server: ScriptedServer, tiktok: Make) -> None:
    with pytest.raises(Rejected):
        tiktok().resolve_music("https://evil.example/")
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("", status=429), RateLimited),
        (Reply("", status=500), Unavailable),
        (Reply("", status=403), Unavailable),
        (Reply("", status=302, headers={"Location": "https://evil.example/"}), Unavailable),
        (Reply("<html>"), Unavailable),
        (Reply(json.dumps({"html": "x" * 300_000})), Unavailable),
        (Reply(json.dumps({"html": "x" * 10_000_000})), Unavailable),
        (DROP, Unavailable),
    ],
)
def test_a_resolver_in_trouble_decides_nothing(
    server: ScriptedServer, tiktok: Make, reply: Reply, error: type[Exception]
) -> None:
    server.on("GET", OEMBED, reply)
    with pytest.raises(error):
        tiktok().resolve_music(LINK)


@pytest.mark.parametrize(
    ("path", "sound_id"),
    [
        ("оригинальный-звук-6689804660171082501", "6689804660171082501"),
        ("%D0%BE%D1%80%D0%B8%D0%B3-6689804660171082501", "6689804660171082501"),
        ("24-7-live-2024-6689804660171082501?refer=embed", "6689804660171082501"),
        ("6689804660171082501", "6689804660171082501"),
    ],
)
def test_slugs(path: str, sound_id: str) -> None:
    html = f'<blockquote><a title="♬ A - B - C" href="https://www.tiktok.com/music/{path}">x</a></blockquote>'
    sound = parse_sound(html, "67183353")
    assert sound is not None
    assert (sound.sound_id, sound.title, sound.artist) == (sound_id, "A - B", "C")


def test_the_last_sound_inside_the_blockquote_counts() -> None:
    def anchor(number: int, words: str) -> str:
        return f'<a href="https://www.tiktok.com/music/x-{number}">{words}</a>'

    html = (
        anchor(10000001, "before")
        + "<blockquote>"
        + anchor(10000002, "one")
        + anchor(10000003, "♬ zwei &amp; drei")
        + '<a href="https://www.tiktok.com/@casa">@casa</a>'
        + '<a href="https://evil.example/music/x-10000009">no</a></blockquote>'
        + anchor(10000004, "after")
    )
    sound = parse_sound(html, "67183353")
    assert sound is not None
    assert (sound.sound_id, sound.title, sound.artist) == ("10000003", "zwei & drei", "")


@given(st.text())
def test_no_html_breaks_it(html: str) -> None:
    assert parse_sound(html, "67183353") is None or "/music/" in html
