"""What can go wrong at the one visible call, on every way to publish that the newer four platforms have."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import requests

from tests.adapters.sandbox.clients import Facebook, LinkedIn, Pinterest, YouTube
from tests.adapters.sandbox.process import Sandbox


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to publish: `prepare` returns the visible call."""

    platform: str
    prepare: Callable[[Sandbox], Callable[[], requests.Response]]
    is_repeatable: bool = False
    """The same call again shows nothing twice."""


def _page(sandbox: Sandbox) -> Facebook:
    return Facebook(sandbox=sandbox, account=sandbox.account("facebook"))


def _film(sandbox: Sandbox) -> bytes:
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
    video = page.reel(_film(sandbox))
    return lambda: page.finish(video)


def _video(sandbox: Sandbox) -> Callable[[], requests.Response]:
    page, data = _page(sandbox), _film(sandbox)
    made = page.call_page("POST", "videos", {"upload_phase": "start", "file_size": len(data)}).json()
    url = f"{sandbox.base}/facebook/v25.0/{page.account.remote_id}/videos"
    form = {"upload_phase": "transfer", "upload_session_id": made["upload_session_id"], "start_offset": "0"}
    form["access_token"] = page.account.access_token
    assert requests.post(url, data=form, files={"video_file_chunk": ("c", data)}, timeout=30).ok
    finish = {"upload_phase": "finish", "upload_session_id": made["upload_session_id"]}
    return lambda: page.call_page("POST", "videos", finish)


def _youtube(sandbox: Sandbox) -> Callable[[], requests.Response]:
    channel, data = YouTube(sandbox=sandbox, account=sandbox.account("youtube")), _film(sandbox)
    session = channel.session(len(data))
    return lambda: channel.put(session, data, 0, len(data))


def _pin(sandbox: Sandbox) -> Callable[[], requests.Response]:
    account = sandbox.account("pinterest", options={"default_board": True})
    pinner = Pinterest(sandbox=sandbox, account=account)
    return pinner.pin


def _linkedin(sandbox: Sandbox) -> Callable[[], requests.Response]:
    person = LinkedIn(sandbox=sandbox, account=sandbox.account("linkedin"))
    image = person.image()
    return lambda: person.post("once", {"media": {"id": image}})


WAYS = {
    "facebook-flip": Way(platform="facebook", prepare=_flip, is_repeatable=True),
    "facebook-direct": Way(platform="facebook", prepare=_direct),
    "facebook-photo": Way(platform="facebook", prepare=_photo),
    "facebook-reel": Way(platform="facebook", prepare=_reel, is_repeatable=True),
    "facebook-video": Way(platform="facebook", prepare=_video, is_repeatable=True),
    "youtube": Way(platform="youtube", prepare=_youtube, is_repeatable=True),
    "pinterest": Way(platform="pinterest", prepare=_pin),
    "linkedin": Way(platform="linkedin", prepare=_linkedin),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


@every_way
@pytest.mark.parametrize("fault", ["429", "5xx", "token-expired", "token-revoked"])
def test_a_no_before_the_effect_leaves_nothing_behind(quick: Sandbox, way: Way, fault: str) -> None:
    publish = way.prepare(quick)
    quick.fault(way.platform, "finalize", fault, retry_after=7)
    answer = publish()
    assert answer.status_code >= 400
    assert answer.headers.get("Retry-After") == ("7" if fault == "429" else None)
    assert quick.ledger() == []
    assert publish().ok
    assert len(quick.ledger()) == 1


@every_way
def test_a_drop_before_the_effect_leaves_nothing_behind(quick: Sandbox, way: Way) -> None:
    publish = way.prepare(quick)
    quick.fault(way.platform, "finalize", "drop")
    with pytest.raises(requests.ConnectionError):
        publish()
    assert quick.ledger() == []


@every_way
@pytest.mark.parametrize("fault", ["effect-then-5xx", "effect-then-drop", "effect-then-garbage"])
def test_an_effect_is_live_whatever_became_of_the_answer(quick: Sandbox, way: Way, fault: str) -> None:
    publish = way.prepare(quick)
    quick.fault(way.platform, "finalize", fault)
    if fault == "effect-then-drop":
        with pytest.raises(requests.ConnectionError):
            publish()
    elif fault == "effect-then-5xx":
        assert publish().status_code in (500, 503)
    else:
        assert publish().content.startswith(b"<html>\x00")
    assert len(quick.ledger()) == 1
    if way.is_repeatable:
        assert publish().ok
        assert len(quick.ledger()) == 1


@every_way
def test_a_fault_of_another_account_does_not_strike(quick: Sandbox, way: Way) -> None:
    publish = way.prepare(quick)
    other = quick.account(way.platform, "bob").remote_id
    quick.fault(way.platform, "any", "5xx", times=None, account=other)
    assert publish().ok


@every_way
def test_a_fault_of_this_account_strikes(quick: Sandbox, way: Way) -> None:
    publish = way.prepare(quick)
    mine = quick.account(way.platform).remote_id
    quick.fault(way.platform, "finalize", "5xx", account=mine)
    assert publish().status_code in (500, 503)


@every_way
def test_latency_holds_the_answer_back_and_nothing_else(quick: Sandbox, way: Way) -> None:
    publish = way.prepare(quick)
    quick.fault(way.platform, "finalize", "latency", delay_ms=200)
    answer = publish()
    assert (answer.ok, answer.elapsed.total_seconds() >= 0.2) == (True, True)
