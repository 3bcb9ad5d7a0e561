"""Publish images that platforms take only converted: each gets one that fits, and what fits is sent byte for byte."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
import requests
from PIL import Image

from adapters.contract import Platform
from pipeline.dashboard.preview import preview_post
from pipeline.store.database import rows
from pipeline.store.posts.views import read_post
from tests.crash_table import Crashes, get_points
from tests.flow.ledger import caption
from tests.flow.test_files import upload
from tests.stack import Stack, until

IMAGES = tuple(platform for platform in Platform if platform is not Platform.YOUTUBE)
"""The platforms that take images."""


def draw(form: str, mode: str, size: tuple[int, int]) -> bytes:
    """Return an image file; one with transparency is red in its left half and transparent in its right."""
    image = Image.effect_noise(size, 40).convert("RGB")
    if mode == "RGBA":
        image = Image.new("RGBA", size, (0, 0, 0, 0))
        image.paste((200, 0, 0, 255), (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    image.save(out, form, quality=90)
    return out.getvalue()


def post_image(stack: Stack, kind: str, data: bytes, **media: Any) -> tuple[str, Mapping[str, Any]]:
    """Post an uploaded image to all platforms that take images. Return the caption and the answer's data.

    A post for later opens the check of the image before: a POST waits for it five seconds, which a busy machine may
    need longer for, and then its answer has no warning yet.
    """
    text = caption()
    body = {
        "media": {"type": "slideshow", "urls": [upload(stack, kind, data)], **media},
        "accounts": [{"id": str(stack.accounts[platform])} for platform in IMAGES],
    }
    later = stack.post(caption=caption(), scheduled_at="2040-01-01T00:00:00Z", **body).json()["data"]["id"]
    until(lambda: all(stack.state(later, platform)["state"] == "scheduled" for platform in IMAGES), 100)
    canceled = requests.post(
        f"{stack.api}/api/partner/v1/posts/cancel",
        json={"post_ids": [later]},
        headers={"Authorization": f"Bearer {stack.key}"},
        timeout=30,
    )
    assert canceled.json()["data"]["canceled"] == 1, canceled.text
    answer = stack.post(caption=text, **body)
    assert answer.status_code == 201, answer.text
    posted: Mapping[str, Any] = answer.json()["data"]
    stack.await_status(posted["id"], "posted", 100)
    return text, posted


def list_sent(stack: Stack, text: str) -> dict[str, Mapping[str, Any]]:
    """Return what each platform got of a post's one image, and require that it got it once."""
    live = stack.live(text)
    assert Counter(line["platform"] for line in live) == Counter(IMAGES)
    return {line["platform"]: line["media"][0] for line in live}


def list_converted(posted: Mapping[str, Any]) -> Sequence[str]:
    """Return the platforms that an answer's warnings say get a converted image."""
    told = [w["message"] for w in posted.get("warnings", []) if w["code"] == "MEDIA_CONVERTED"]
    return sorted(message.split()[0] for message in told)


def read_image(media: Mapping[str, Any]) -> Image.Image:
    """Return the image that a platform fetched."""
    answer = requests.get(media["url"], timeout=30)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert hashlib.sha256(answer.content).hexdigest() == media["sha256"]
    return Image.open(io.BytesIO(answer.content))


def require_previewed(stack: Stack, posted: Mapping[str, Any], sent: Mapping[str, Any], data: bytes) -> None:
    """Require that the preview shows each image as the platform got it: its size, its white bars, what is cut off.

    ``data``: the image that was posted, darkest at its top.
    """
    with stack.context.database.begin() as c:
        view = read_post(c, stack.workspace, UUID(posted["id"]))
        assert view is not None
        frames = {one.platform: one.frames for one in preview_post(c, stack.context, view)}
    assert frames.keys() == sent.keys()
    for platform, media in sent.items():
        [frame] = frames[Platform(platform)]
        if media["sha256"] == hashlib.sha256(data).hexdigest():
            assert frame.canvas == frame.scaled == frame.crop == frame.source, platform
            continue
        image = read_image(media).convert("L")
        assert image.size == frame.canvas, platform
        (width, height), (bar, _) = frame.canvas, frame.corner
        edge, inside, top = (
            image.crop(box).resize((1, 1)).tobytes()[0]
            for box in (
                (0, height // 2, 4, height // 2 + 4),
                (bar + 8, height // 2, bar + 12, height // 2 + 4),
                (width // 2, 0, width // 2 + 4, 4),
            )
        )
        assert (edge > 250, inside > 250) == (bar > 0, False), platform
        assert top == pytest.approx(255 * frame.cut[1] / frame.source[1], abs=6), platform


def test_one_png_with_transparency_goes_live_on_every_platform_that_takes_images(stack: Stack) -> None:
    data = draw("PNG", "RGBA", (1080, 1350))
    text, posted = post_image(stack, "image/png", data)
    sent, as_it_is = list_sent(stack, text), hashlib.sha256(data).hexdigest()
    assert list_converted(posted) == ["instagram", "tiktok"]
    for platform in (Platform.PINTEREST, Platform.FACEBOOK, Platform.LINKEDIN):
        assert sent[platform]["sha256"] == as_it_is
    for platform in (Platform.TIKTOK, Platform.INSTAGRAM):
        image = read_image(sent[platform])
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (1080, 1350))
        assert image.getpixel((1000, 600)) == (255, 255, 255)


def test_one_webp_goes_live_on_every_platform_that_takes_images(stack: Stack) -> None:
    data = draw("WEBP", "RGB", (1080, 1080))
    text, posted = post_image(stack, "image/webp", data)
    sent, as_it_is = list_sent(stack, text), hashlib.sha256(data).hexdigest()
    assert list_converted(posted) == ["facebook", "instagram", "linkedin", "pinterest"]
    assert sent[Platform.TIKTOK]["sha256"] == as_it_is
    assert all(sent[p]["sha256"] != as_it_is for p in IMAGES if p is not Platform.TIKTOK)


def test_a_jpeg_of_3_4_is_sent_as_it_is_with_a_warning(stack: Stack) -> None:
    data = draw("JPEG", "RGB", (1080, 1440))
    text, posted = post_image(stack, "image/jpeg", data)
    assert [w["code"] for w in posted["warnings"]] == ["RATIO_NOT_DOCUMENTED"]
    assert {sent["sha256"] for sent in list_sent(stack, text).values()} == {hashlib.sha256(data).hexdigest()}


def test_one_large_jpeg_is_scaled_down_for_the_platform_that_needs_it(stack: Stack) -> None:
    data = draw("JPEG", "RGB", (2160, 2700))
    text, posted = post_image(stack, "image/jpeg", data)
    sent, as_it_is = list_sent(stack, text), hashlib.sha256(data).hexdigest()
    assert list_converted(posted) == ["tiktok"]
    assert all(sent[p]["sha256"] == as_it_is for p in IMAGES if p is not Platform.TIKTOK)
    assert read_image(sent[Platform.TIKTOK]).size == (1080, 1350)


@pytest.mark.parametrize("point", get_points("over_an_image_leaves_one_post_and_one_file"))
def test_a_worker_that_dies_over_an_image_leaves_one_post_and_one_file(
    stack: Stack, point: str, crashes: Crashes
) -> None:
    size = (800, 1000 + len(point))  # of each case its own: an image is made once
    text, url = caption(), upload(stack, "image/png", draw("PNG", "RGBA", size))
    stack.kill("publish")
    stack.start_worker("publish", None, 8, **crashes.arm())
    post = stack.create_post(text, Platform.TIKTOK, media={"type": "slideshow", "urls": [url]})
    until(lambda: stack.parts["publish"].poll() is not None or None, 30)
    stack.start_worker("publish")
    stack.await_status(post, "posted", 90)
    [line] = stack.live(text)
    assert read_image(line["media"][0]).size == size
    with stack.context.database.begin() as c:
        found = rows(
            c,
            """SELECT f.object FROM files f JOIN derived_file_uses u ON u.file_id = f.id WHERE u.post_id = :post""",
            post=UUID(post),
        )
        left = rows(c, "SELECT object FROM file_puts WHERE object = ANY(:all)", all=[r.object for r in found])
    assert (len(found), left) == (1, [])


@pytest.mark.parametrize(("fit", "size"), [("pad", (1280, 1600)), ("crop", (900, 1125))])
def test_an_image_of_a_refused_shape_goes_live_as_its_preview_shows_it(
    stack: Stack, fit: str, size: tuple[int, int]
) -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((900, 1600)).convert("RGB").save(out, "JPEG", quality=95)
    text, posted = post_image(stack, "image/jpeg", out.getvalue(), fit=fit)
    sent = list_sent(stack, text)
    assert list_converted(posted) == ["instagram"]
    assert read_image(sent[Platform.INSTAGRAM]).size == size
    require_previewed(stack, posted, sent, out.getvalue())
