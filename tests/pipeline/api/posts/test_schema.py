"""The body of POST /posts: one line per rule, with the path and the sentence that a client gets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.posts.field_types import Rules
from pipeline.api.posts.schema import read_post
from pipeline.stages.post_request import PostRequest, Refusal

ID = "0f4f54d4-8cce-4fb7-8c7b-befbcb8af812"
OTHER = "6b0c8c9c-55ac-4fcb-85ec-70b5a8b0d089"
VIDEO = {"type": "video", "url": "https://cdn.example.com/v.mp4"}
SLIDES = {"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg", "https://cdn.example.com/2.jpg"]}
TEXT = {"type": "text"}
PDF = {"type": "document", "url": "https://cdn.example.com/c.pdf", "title": "Catalogue"}
RULES = Rules(media_origins=frozenset({"http://127.0.0.1:9100"}))
GONE = object()


def body(**changes: Any) -> dict[str, Any]:
    whole = {"caption": "Hello", "media": VIDEO, "accounts": [{"id": ID}], **changes}
    return {name: value for name, value in whole.items() if value is not GONE}


def read(**changes: Any) -> PostRequest:
    return read_post(body(**changes), RULES)


def refused(**changes: Any) -> list[dict[str, Any]]:
    with pytest.raises(Refusal) as caught:
        read(**changes)
    assert (caught.value.status, caught.value.code) == (422, "invalid_payload")
    json.dumps(caught.value.issues).encode()
    return [dict(issue) for issue in caught.value.issues]


def url(text: str) -> dict[str, Any]:
    return {"media": {"type": "video", "url": text}}


def slides(*urls: Any, **more: Any) -> dict[str, Any]:
    return {"media": {"type": "slideshow", "urls": list(urls), **more}}


def video(**more: Any) -> dict[str, Any]:
    return {"media": {**VIDEO, **more}}


TIKTOK_TITLE = {"title": "t" * 151}
REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    # the caption
    ({"caption": GONE}, "caption", "missing", "required"),
    ({"caption": 5}, "caption", "string_type", "a string, not a number"),
    ({"caption": ""}, "caption", "blank", "no visible"),
    ({"caption": " \n\t\u3000\u200b\ufeff"}, "caption", "blank", ""),
    ({"caption": "c" * 501}, "caption", "string_too_long", "500 characters at most; it has 501"),
    ({"caption": "a\0b"}, "caption", "string_unicode", "NUL"),
    ({"caption": "\ud83d"}, "caption", "string_unicode", "surrogate"),
    # the media
    ({"media": GONE}, "media", "missing", "required"),
    ({"media": "https://x.y/v.mp4"}, "media", "model_attributes_type", "an object, not a string"),
    ({"media": {}}, "media.type", "missing", "required"),
    ({"media": {"type": "gif"}}, "media.type", "literal_error", "'slideshow'"),
    ({"media": {"type": "text", "url": "https://x.y/v.mp4"}}, "media.url", "extra_forbidden", ""),
    ({"media": {"type": "document", "url": PDF["url"]}}, "media.title", "missing", "required"),
    ({"media": {**PDF, "title": " \u200b"}}, "media.title", "blank", "no visible"),
    ({"media": {**PDF, "alt_texts": ["a"]}}, "media.alt_texts", "extra_forbidden", ""),
    ({"facebook": {"link": "https://x.y"}}, "facebook.link", "exclusive", "text alone"),
    ({"linkedin": {"link": "https://x.y"}, "media": PDF}, "linkedin.link", "exclusive", "text alone"),
    ({"linkedin": {"link": "x.y"}, "media": TEXT}, "linkedin.link", "url_parsing", ""),
    ({"media": {"type": "video"}}, "media.url", "missing", ""),
    ({"media": {**VIDEO, "urls": []}}, "media.urls", "extra_forbidden", "did you mean `url`?"),
    ({"media": {**SLIDES, "url": "x"}}, "media.url", "extra_forbidden", "did you mean `urls`?"),
    ({"media": {**SLIDES, "fit": "stretch"}}, "media.fit", "literal_error", "'pad' or 'crop'"),
    ({"media": {**VIDEO, "fit": "pad"}}, "media.fit", "extra_forbidden", ""),
    (slides(), "media.urls", "too_short", "empty"),
    (slides(*["https://x.y/1.jpg"] * 36), "media.urls", "too_long", "35 at most; there are 36"),
    (slides("https://x.y/1.jpg", 5), "media.urls.1", "string_type", ""),
    (
        slides("https://x.y/1", "https://x.y/2", "https://x.y/3", "http://x.y/4"),
        "media.urls.3",
        "url_parsing",
        "https",
    ),
    (slides("https://x.y/\0"), "media.urls.0", "string_unicode", "NUL"),
    # URLs
    (url("http://x.y/v.mp4"), "media.url", "url_parsing", "https"),
    (url("https://x.y/" + "a" * 2048), "media.url", "string_too_long", "2,048"),
    (url("file:///etc/passwd"), "media.url", "url_parsing", "absolute"),
    (url("https://u:p@x.y/v"), "media.url", "url_parsing", "user name"),
    (url("https://x.y/a b"), "media.url", "url_parsing", "blanks"),
    (url("https://x.y\\@z/"), "media.url", "url_parsing", "backslashes"),
    (url("https://x.y:99999/"), "media.url", "url_parsing", "port"),
    (url("https://[::1/"), "media.url", "url_parsing", "host"),
    (url("http://127.0.0.1:9101/v.mp4"), "media.url", "url_parsing", "https"),
    (url("http://127.0.0.1:9100.evil.com/v"), "media.url", "url_parsing", ""),
    (url("http://127.0.0.1:9100@evil.com/v"), "media.url", "url_parsing", "user name"),
    # known facts of the media
    (video(duration_sec="5"), "media.duration_sec", "float_type", "a number, not a string"),
    (video(duration_sec=True), "media.duration_sec", "float_type", "not a boolean"),
    (video(duration_sec=10**300), "media.duration_sec", "less_than_equal", ""),
    (video(duration_sec=10**399), "media.duration_sec", "float_type", "out of range"),
    (video(bytes=10**399), "media.bytes", "less_than_equal", ""),
    (video(width="1080"), "media.width", "int_type", "a whole number, not a string"),
    (video(duration=5), "media.duration", "extra_forbidden", "`duration_sec`"),
    # the accounts
    ({"accounts": None}, "accounts", "list_type", "an array, not null"),
    ({"accounts": {"id": ID}}, "accounts", "list_type", "an array, not an object"),
    ({"accounts": [{"id": ID}] * 11}, "accounts", "too_long", "10 at most; there are 11"),
    ({"accounts": [ID]}, "accounts.0", "model_type", "an object, not a string"),
    ({"accounts": [{"id": ID}, {"id": "x"}]}, "accounts.1.id", "uuid_parsing", "UUID"),
    ({"accounts": [{"id": "{" + ID + "}"}]}, "accounts.0.id", "uuid_parsing", ""),
    ({"accounts": [{"id": ID.replace("-", "")}]}, "accounts.0.id", "uuid_parsing", ""),
    ({"accounts": [{"id": ID, "Id": ID}]}, "accounts.0.Id", "extra_forbidden", "did you mean `id`?"),
    # times
    ({"scheduled_at": "2027-02-01T15:00:00"}, "scheduled_at", "datetime_parsing", "offset"),
    ({"scheduled_at": "2027-02-01"}, "scheduled_at", "datetime_parsing", "ISO 8601"),
    ({"scheduled_at": 1738422000}, "scheduled_at", "datetime_type", "string"),
    ({"scheduled_at": "2027-02-01T24:30:00Z"}, "scheduled_at", "datetime_parsing", "no such"),
    ({"scheduled_at": "2027-02-01T15:00:00+25:00"}, "scheduled_at", "datetime_parsing", "no such"),
    ({"scheduled_at": "9999-12-31T23:59:59-12:00"}, "scheduled_at", "datetime_parsing", "no such"),
    ({"scheduled_at": "9999-01-01T00:00:00Z"}, "scheduled_at", "datetime_parsing", "year"),
    ({"scheduled_at": "1969-12-31T23:59:59Z"}, "scheduled_at", "datetime_parsing", "year"),
    ({"scheduled_at": "auto after"}, "scheduled_at", "datetime_parsing", ""),
    ({"scheduled_at": "auto 2090-01-01T00:00:00Z"}, "scheduled_at", "datetime_parsing", ""),
    ({"expires_at": "2027-02-01T15:00:00"}, "expires_at", "datetime_parsing", "offset"),
    (
        {"scheduled_at": "2027-02-01T15:00:00Z", "expires_at": "2027-02-01T16:00:00+01:00"},
        "expires_at",
        "exclusive",
        "later",
    ),
    ({"on_late": "never"}, "on_late", "literal_error", "'publish', 'skip' or 'hold'"),
    # music and the client's own id
    ({"music_url": 5}, "music_url", "string_type", ""),
    ({"external_id": ""}, "external_id", "string_too_short", "empty"),
    ({"external_id": "e" * 129}, "external_id", "string_too_long", "128"),
    ({"external_id": "a\0"}, "external_id", "string_unicode", "NUL"),
    # the sections
    ({"tiktok": TIKTOK_TITLE}, "tiktok.title", "string_too_long", "150"),
    ({"tiktok": []}, "tiktok", "model_type", "an object, not an array"),
    (
        {"tiktok": {"post_mode": "DRAFT"}},
        "tiktok.post_mode",
        "literal_error",
        "'DIRECT_POST' or 'MEDIA_UPLOAD'",
    ),
    ({"tiktok": {"post_mode": "MEDIA_UPLOAD"}}, "tiktok.post_mode", "exclusive", "slideshow only"),
    (
        {"tiktok": {"deliver_as": "inbox"}, "media": SLIDES},
        "tiktok.deliver_as",
        "exclusive",
        "Use post_mode MEDIA_UPLOAD",
    ),
    ({"tiktok": {"disable_duet": "true"}}, "tiktok.disable_duet", "bool_type", "true or false, not a string"),
    (
        {"tiktok": {"privacyLevel": "SELF_ONLY"}},
        "tiktok.privacyLevel",
        "extra_forbidden",
        "did you mean `privacy_level`?",
    ),
    ({"tiktok": {}, "pinterest": {}}, "pinterest", "exclusive", "cannot be sent together"),
    ({"pinterest": {"link": "example.com"}}, "pinterest.link", "url_parsing", ""),
    ({"pinterest": {"tags": ["t"] * 31}}, "pinterest.tags", "too_long", "30 at most"),
    ({"pinterest": {"tags": [""]}}, "pinterest.tags.0", "string_too_short", ""),
    ({"media": {**SLIDES, "alt_texts": ["a", "b", "c"]}}, "media.alt_texts", "exclusive", ""),
    ({"media": {**SLIDES, "alt_texts": [""]}}, "media.alt_texts.0", "string_too_short", ""),
    ({"media": {**SLIDES, "cover": 1}}, "media.cover", "extra_forbidden", ""),
    (video(cover="http://x.y/c.jpg"), "media.cover", "url_parsing", ""),
    (video(cover=True), "media.cover", "float_type", ""),
    (video(cover=86_401), "media.cover", "less_than_equal", ""),
    ({"draft": True, "scheduled_at": "2090-01-01T00:00:00Z"}, "draft", "exclusive", ""),
    ({"youtube": {"tags": [""]}}, "youtube.tags.0", "string_too_short", ""),
    ({"youtube": {"made_for_kids": 1}}, "youtube.made_for_kids", "bool_type", ""),
    ({"instagram": {"collaborators": ["@ann"]}}, "instagram.collaborators.0", "string_pattern_mismatch", ""),
    ({"linkedin": {"tittle": "x"}}, "linkedin.tittle", "extra_forbidden", ""),
    # unknown keys, and keys and places that hold what nothing may hold
    ({"scheduledAt": None}, "scheduledAt", "extra_forbidden", "did you mean `scheduled_at`?"),
    ({"": 1}, "", "extra_forbidden", "no such field"),
    ({"x" * 5000: 1}, "x" * 99 + "…", "extra_forbidden", "no such field"),
    ({"bad\0key": 1}, "", "string_unicode", "keys"),
    ({"bad\udc00key": 1}, "", "string_unicode", "keys"),
    ({"unknown": {"deep": ["\0"]}}, "unknown.deep.0", "string_unicode", "NUL"),
    ({"media": {**VIDEO, "more": list(range(101))}}, "media.more", "too_long", "101 members"),
]


@pytest.mark.parametrize(("changes", "path", "kind", "said"), REFUSED)
def test_refused(changes: dict[str, Any], path: str, kind: str, said: str) -> None:
    issues = refused(**changes)
    assert [(issue["path"], issue["type"]) for issue in issues] == [(path, kind)]
    assert said in issues[0]["message"]
    assert issues[0]["message"].endswith((".", "?"))


TAKEN: list[dict[str, Any]] = [
    {},
    {"caption": "\U0001f600" * 500},
    {"caption": "  kept as sent \n"},
    {"media": SLIDES},
    {"media": {**SLIDES, "fit": "pad"}},
    slides(*[f"https://x.y/{n}.jpg" for n in range(35)]),
    url("https://x.y/" + "a" * 2036),
    url("HTTPS://X.Y/v.mp4?sig=a%20b&c=d#t=1"),
    url("https://bücher.example/ü.mp4"),
    url("http://127.0.0.1:9100/video.mp4"),
    video(duration_sec=12.5, bytes=1, width=1080, height=1920),
    {"accounts": []},
    {"accounts": [{"id": ID.upper()}]},
    {"scheduled_at": "2027-02-01t15:00z"},
    {"scheduled_at": "2027-02-01 15:00:00.123456789-0330"},
    {"music_url": "whatever: ingest says"},
    {"tiktok": None, "pinterest": None},
    {"tiktok": None, "pinterest": {"board_id": "1", "tags": ["two words"], "link": "http://x.y"}},
    {"external_id": "e" * 128},
    {"tiktok": {"post_mode": "MEDIA_UPLOAD"}, "media": SLIDES},
    {"tiktok": {"post_mode": None, "title": "", "user_consent": True}},
    {
        "media": {**TEXT},
        "facebook": {"link": "http://x.y/a"},
        "linkedin": {"link": "https://x.y", "title": "t"},
    },
    {"media": {**PDF, "title": "t" * 400}},
    {"media": PDF, "linkedin": {"link": None}},
    {"on_late": "hold", "expires_at": "2027-02-01T15:00:00Z"},
]


@pytest.mark.parametrize("changes", TAKEN)
def test_taken(changes: dict[str, Any]) -> None:
    whole = body(**changes)
    found = read_post(whole, RULES)
    assert found.caption == whole["caption"]


def test_what_a_request_becomes() -> None:
    found = read(
        accounts=[{"id": OTHER}, {"id": ID}, {"id": OTHER.upper()}],
        media={**SLIDES, "width": None},
        scheduled_at="2027-02-01T15:00:00+02:00",
        tiktok={"post_mode": "MEDIA_UPLOAD", "title": None},
        on_late="skip",
        expires_at="2027-02-02T00:00:00Z",
        external_id="mine",
        music_url="https://www.tiktok.com/@a/video/1",
    )
    assert found.account_ids == [UUID(OTHER), UUID(ID)]
    assert found.media == SLIDES
    assert found.scheduled_at == datetime(2027, 2, 1, 13, tzinfo=UTC)
    assert found.options == {"tiktok": {"post_mode": "MEDIA_UPLOAD"}}
    assert (found.on_late, found.external_id) == ("skip", "mine")
    assert found.expires_at == datetime(2027, 2, 2, tzinfo=UTC)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    issues = refused(caption=1, media={"type": "video", "url": 2}, accounts=None, tiktok={"title": 3})
    assert [issue["path"] for issue in issues] == ["caption", "media.url", "accounts", "tiktok.title"]


def test_issues_are_few_even_when_mistakes_are_many() -> None:
    assert len(refused(**{f"k{n}": 1 for n in range(90)})) == 50


def test_values_are_clipped_and_never_a_secret() -> None:
    long = refused(on_late="x" * 1000)[0]["value"]
    assert len(long) == 100
    assert refused(bytes=10**399)[0]["value"].startswith("1000")
    token = "slw_live_0123456789abcdef.Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4"
    for value in (token, f"Bearer {token}", f"see {token}!"):
        assert token.partition(".")[2] not in json.dumps(refused(key=value))
    assert token.partition(".")[2] not in json.dumps(refused(**{token: 1}))
    shown = json.dumps(refused(**url("http://user:hunter2@x.y/v?X-Amz-Signature=abcdef")))
    assert "hunter2" not in shown
    assert "abcdef" not in shown


def test_the_owner_may_lift_the_caption_to_the_platforms_own_caps() -> None:
    lifted = Rules(caption=5000)
    assert read_post(body(caption="c" * 5000), lifted).caption == "c" * 5000
    with pytest.raises(Refusal, match="5,000 characters at most; it has 5,001"):
        read_post(body(caption="c" * 5001), lifted)


def test_the_header_counts_only_when_the_body_has_no_id() -> None:
    assert read_post(body(), RULES, "header").external_id == "header"
    assert read_post(body(external_id=None), RULES, "header").external_id == "header"
    assert read_post(body(external_id="body"), RULES, "header").external_id == "body"
    for bad in ("", "h" * 129):
        with pytest.raises(Refusal, match="Idempotency-Key"):
            read_post(body(), RULES, bad)


@pytest.mark.parametrize("value", [[], "x", None])
def test_a_body_that_is_no_object(value: Any) -> None:
    with pytest.raises(Refusal, match="JSON object"):
        read_post(value, RULES)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=10,
)


@given(
    st.sampled_from([*body(), "tiktok", "pinterest", "scheduled_at", "music_url", "external_id", "on_late"]),
    _JSON,
)
def test_any_value_in_any_field_is_taken_or_refused_as_422(name: str, value: Any) -> None:
    found = outcome(**{name: value})
    assert isinstance(found, PostRequest) or (found.status == 422 and found.issues)
    json.dumps(None if isinstance(found, PostRequest) else found.issues)


def outcome(**changes: Any) -> PostRequest | Refusal:
    try:
        return read(**changes)
    except Refusal as refusal:
        return refusal
