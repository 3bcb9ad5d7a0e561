"""The media host: samples, byte ranges, and responses changed by query."""

import io
from pathlib import Path

import pytest
import requests
from PIL import Image

from adapters.sandbox import media
from tests.adapters.sandbox.process import Sandbox


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=30, allow_redirects=False)


def test_the_samples_are_what_they_say(samples: Path) -> None:
    for name in ("sample.mp4", "sample-large.mp4"):
        video = media.read_video(samples / name)
        assert video is not None
        assert (video.format, video.width, video.height, video.fps, video.duration) == (
            "h264",
            540,
            960,
            30.0,
            5.0,
        )
        data = (samples / name).read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
    assert (samples / "sample-large.mp4").stat().st_size == 12_000_000
    images = [media.read_image((samples / f"sample-{number}.jpg").read_bytes()) for number in range(1, 6)]
    assert {(facts.format, facts.width, facts.height) for facts in images if facts} == {("JPEG", 1080, 1350)}
    assert len({facts.sha256 for facts in images if facts}) == 5
    others = [media.read_image((samples / name).read_bytes()) for name in ("wide.jpg", "picture.png")]
    assert [(facts.format, facts.width) for facts in others if facts] == [("JPEG", 2000), ("PNG", 1080)]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, None),
        ("bytes=-50", -50, None),
        ("bytes=10-999999999", 10, None),
    ],
)
def test_a_range_gives_those_bytes(sandbox: Sandbox, asked: str, first: int, last: int | None) -> None:
    data = (sandbox.folder / "media" / "sample-1.jpg").read_bytes()
    expected = data[first:] if last is None else data[first : last + 1]
    answer = get(sandbox.media("sample-1.jpg"), Range=asked)
    start = first if first >= 0 else len(data) + first
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(data)}"


def test_a_range_outside_is_refused_and_an_odd_one_gives_everything(sandbox: Sandbox) -> None:
    url = sandbox.media("sample-1.jpg")
    size = (sandbox.folder / "media" / "sample-1.jpg").stat().st_size
    outside = get(url, Range=f"bytes={size}-")
    assert (outside.status_code, outside.headers["Content-Range"]) == (416, f"bytes */{size}")
    for odd in ("bytes=0-1,5-6", "lines=1-2", "bytes=-"):
        answer = get(url, Range=odd)
        assert (answer.status_code, len(answer.content)) == (200, size)


def test_etag_head_and_if_range(sandbox: Sandbox) -> None:
    url = sandbox.media("sample-1.jpg")
    whole = get(url)
    etag = whole.headers["ETag"]
    head = requests.head(url, timeout=30)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", etag)
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["Content-Type"] == "image/jpeg"
    assert get(url, Range="bytes=0-9", **{"If-Range": etag}).status_code == 206
    assert get(url, Range="bytes=0-9", **{"If-Range": '"other"'}).status_code == 200


def test_misbehaviour_on_request(sandbox: Sandbox) -> None:
    url = sandbox.media("sample-1.jpg")
    assert get(f"{url}?status=503").status_code == 503
    moved = get(f"{url}?redirect=http://example.com/x")
    assert (moved.status_code, moved.headers["Location"]) == (302, "http://example.com/x")
    changed = get(f"{url}?type=text/html&etag=x")
    assert (changed.headers["Content-Type"], changed.headers["ETag"]) == ("text/html", '"x"')
    with requests.get(f"{url}?drip=1", stream=True, timeout=30) as dripping:
        assert len(dripping.raw.read(1)) == 1
        with pytest.raises(requests.ConnectionError, match="timed out"):
            requests.get(f"{url}?drip=1", timeout=0.3)


def test_a_file_can_be_put_and_replaces_what_was_pulled_before(quick: Sandbox) -> None:
    headers = {
        "Authorization": f"Bearer {quick.control('GET', 'faults').request.headers['Authorization'][7:]}"
    }
    picture = io.BytesIO()
    Image.new("RGB", (900, 900), "navy").save(picture, "JPEG")
    url = f"{quick.base}/control/media/mine.jpg"
    answer = requests.put(url, data=picture.getvalue(), headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["url"]) == (201, quick.media("mine.jpg"))
    assert get(quick.media("mine.jpg")).content == picture.getvalue()
    bad = requests.put(f"{quick.base}/control/media/..%2Fx", data=b"x", headers=headers, timeout=30)
    assert bad.status_code == 422
    assert get(quick.media("none.jpg")).status_code == 404
