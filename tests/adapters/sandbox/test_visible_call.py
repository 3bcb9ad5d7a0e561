"""Faults at the one visible call, for each way to publish.

TikTok Business refuses with HTTP 200: ``test_faults`` has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Facebook, Pinterest, TikTok, connect
from tests.adapters.sandbox.process import Sandbox


@dataclass(frozen=True, kw_only=True)
class PublishCase:
    """A way to publish: `prepare` returns the visible call."""

    platform: str
    prepare: Callable[[Sandbox], Callable[[], requests.Response]]
    is_repeatable: bool = False
    """A repeated call publishes nothing again."""
    has_quota: bool = True


def _page(sandbox: Sandbox) -> Facebook:
    return Facebook(sandbox=sandbox, account=sandbox.account("facebook"))


def _read_video(sandbox: Sandbox) -> bytes:
    return (sandbox.folder / "media" / "sample.mp4").read_bytes()


def _flip(sandbox: Sandbox) -> Callable[[], requests.Response]:
    page = _page(sandbox)
    post = page.create_unpublished("flip", page.photo())
    return lambda: page.publish(post)


def _direct(sandbox: Sandbox) -> Callable[[], requests.Response]:
    page = _page(sandbox)
    return lambda: page.feed("direct")


def _photo(sandbox: Sandbox) -> Callable[[], requests.Response]:
    page = _page(sandbox)
    body = {"url": sandbox.media("sample-1.jpg"), "message": "photo"}
    return lambda: page.call_page("POST", "photos", body)


def _reel(sandbox: Sandbox) -> Callable[[], requests.Response]:
    page = _page(sandbox)
    video = page.reel(_read_video(sandbox))
    return lambda: page.finish(video)


def _video(sandbox: Sandbox) -> Callable[[], requests.Response]:
    page, data = _page(sandbox), _read_video(sandbox)
    made = page.call_page("POST", "videos", {"upload_phase": "start", "file_size": len(data)}).json()
    url = f"{sandbox.base}/facebook/v25.0/{page.account.remote_id}/videos"
    form = {"upload_phase": "transfer", "upload_session_id": made["upload_session_id"], "start_offset": "0"}
    form["access_token"] = page.account.access_token
    assert requests.post(url, data=form, files={"video_file_chunk": ("c", data)}, timeout=30).ok
    finish = {"upload_phase": "finish", "upload_session_id": made["upload_session_id"]}
    return lambda: page.call_page("POST", "videos", finish)


def _youtube(sandbox: Sandbox) -> Callable[[], requests.Response]:
    channel, data = connect(sandbox, "youtube"), _read_video(sandbox)
    session = channel.session(len(data))
    return lambda: channel.put(session, data, 0, len(data))


def _pin(sandbox: Sandbox) -> Callable[[], requests.Response]:
    pinner: Pinterest = connect(sandbox, "pinterest")
    return pinner.pin


def _linkedin(sandbox: Sandbox) -> Callable[[], requests.Response]:
    person = connect(sandbox, "linkedin")
    image = person.image()
    return lambda: person.post("once", {"media": {"id": image}})


def _tiktok_photos(sandbox: Sandbox) -> Callable[[], requests.Response]:
    poster: TikTok = connect(sandbox, "tiktok")
    return lambda: poster.post("post/publish/content/init/", poster.photo_body())


def _tiktok_pull(sandbox: Sandbox) -> Callable[[], requests.Response]:
    poster: TikTok = connect(sandbox, "tiktok")
    source = {"source": "PULL_FROM_URL", "video_url": sandbox.media("sample.mp4")}
    return lambda: poster.post("post/publish/video/init/", poster.video_body(source))


def _tiktok_last_chunk(sandbox: Sandbox) -> Callable[[], requests.Response]:
    poster, data = connect(sandbox, "tiktok"), _read_video(sandbox)
    url = poster.upload_init(len(data), len(data), 1)["upload_url"]
    headers = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
    return lambda: requests.put(url, data=data, headers=headers, timeout=30)


def _instagram(sandbox: Sandbox) -> Callable[[], requests.Response]:
    instagram = connect(sandbox, "instagram")
    container = instagram.image()
    return lambda: instagram.publish(container)


CASES = {
    "tiktok-photos": PublishCase(platform="tiktok", prepare=_tiktok_photos),
    "tiktok-pull": PublishCase(platform="tiktok", prepare=_tiktok_pull),
    "tiktok-last-chunk": PublishCase(platform="tiktok", prepare=_tiktok_last_chunk, has_quota=False),
    "instagram": PublishCase(platform="instagram", prepare=_instagram),
    "facebook-flip": PublishCase(platform="facebook", prepare=_flip, is_repeatable=True),
    "facebook-direct": PublishCase(platform="facebook", prepare=_direct),
    "facebook-photo": PublishCase(platform="facebook", prepare=_photo),
    "facebook-reel": PublishCase(platform="facebook", prepare=_reel, is_repeatable=True),
    "facebook-video": PublishCase(platform="facebook", prepare=_video, is_repeatable=True),
    "youtube": PublishCase(platform="youtube", prepare=_youtube, is_repeatable=True),
    "pinterest": PublishCase(platform="pinterest", prepare=_pin),
    "linkedin": PublishCase(platform="linkedin", prepare=_linkedin),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


WORDS: dict[str, dict[str, list[Any]]] = {
    "tiktok": {
        "429": [429, "rate_limit_exceeded"],
        "5xx": [500, "internal_error"],
        "token-expired": [401, "access_token_invalid"],
        "token-revoked": [401, "access_token_invalid"],
        "quota-exhausted": [403, "spam_risk_too_many_posts"],
    },
    "facebook": {
        "429": [429, 4, None],
        "5xx": [500, 2, None],
        "token-expired": [400, 190, 463],
        "token-revoked": [400, 190, 458],
        "quota-exhausted": [400, 32, None],
        "spam-block": [400, 368, 1390008],
    },
    "instagram": {
        "429": [429, 4, None],
        "5xx": [500, 2, None],
        "token-expired": [400, 190, 463],
        "token-revoked": [400, 190, 458],
        "quota-exhausted": [400, 9, 2207042],
    },
    "youtube": {
        "429": [429, "uploadRateLimitExceeded"],
        "5xx": [503, "backendError"],
        "token-expired": [401, "authError"],
        "token-revoked": [401, "authError"],
    },
    "pinterest": {
        "429": [429, 8, None],
        "5xx": [500, 12, None],
        "token-expired": [401, 2, None],
        "token-revoked": [401, 2, None],
        "quota-exhausted": [429, 8, None],
        "spam-block": [429, 8, "Your account has been blocked from this action because of spam."],
    },
    "linkedin": {
        "429": [429, "TOO_MANY_REQUESTS"],
        "5xx": [500, "INTERNAL_SERVER_ERROR"],
        "token-expired": [401, "EXPIRED_ACCESS_TOKEN"],
        "token-revoked": [401, "REVOKED_ACCESS_TOKEN"],
        "quota-exhausted": [429, "TOO_MANY_REQUESTS"],
    },
}
"""Status and the vendor's own words for a fault before the effect."""


def read_words(answer: requests.Response) -> list[Any]:
    """Return the status, and the code and subcode of the vendor's envelope."""
    body = answer.json()
    found = body.get("error", body)
    if "errors" in found:
        return [answer.status_code, found["errors"][0]["reason"]]
    words = [answer.status_code, found["code"]]
    if "fbtrace_id" in found:
        return [*words, found.get("error_subcode")]
    return words if "status" in body or "data" in body else [*words, body.get("message_detail")]


@every_case
def test_a_no_before_the_effect_is_told_in_the_vendors_words_and_leaves_nothing_behind(
    quick: Sandbox, case: PublishCase
) -> None:
    publish = case.prepare(quick)
    for fault, words in WORDS[case.platform].items():
        if fault == "quota-exhausted" and not case.has_quota:
            continue
        quick.fault(case.platform, "finalize", fault, retry_after=7)
        answer = publish()
        assert answer.status_code >= 400
        assert (
            not answer.content or read_words(answer) == words
        )  # the answers of TikTok's upload host are empty
        assert (answer.headers.get("Retry-After") == "7") == (fault == "429")
        assert quick.ledger() == []
    assert publish().ok
    assert len(quick.ledger()) == 1


@every_case
def test_a_drop_before_the_effect_leaves_nothing_behind(quick: Sandbox, case: PublishCase) -> None:
    publish = case.prepare(quick)
    quick.fault(case.platform, "finalize", "drop")
    with pytest.raises(requests.ConnectionError, match="Connection aborted"):
        publish()
    assert quick.ledger() == []


@every_case
def test_an_effect_is_live_though_its_answer_is_lost(quick: Sandbox, case: PublishCase) -> None:
    publish = case.prepare(quick)
    quick.fault(case.platform, "finalize", "effect-then-drop")
    with pytest.raises(requests.ConnectionError):
        publish()
    assert len(quick.ledger()) == 1
    if case.is_repeatable:
        assert publish().ok
        assert len(quick.ledger()) == 1
