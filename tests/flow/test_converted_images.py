"""Publish images that platforms take only converted: each gets one that fits, and what fits is sent byte for byte."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
import requests
from PIL import Image

from adapters.contract import Platform
from pipeline.dashboard.preview import preview_post
from pipeline.store.database import rows
from pipeline.store.posts.views import read_post
from tests.crash_table import Crashes
from tests.flow.ledger import caption, upload
from tests.flow.test_failpoints import crash_worker
from tests.stack import Stack

IMAGES = tuple(platform for platform in Platform if platform is not Platform.YOUTUBE)
"""The platforms that take images."""


def draw_transparent(size: tuple[int, int]) -> bytes:
    """Return a PNG that is red in its left half and transparent in its right."""
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def post_image(stack: Stack, kind: str, data: bytes, **media: Any) -> tuple[str, str]:
    """Post an uploaded image to all platforms that take images, live once on each. Return the caption and the id."""
    text = caption()
    urls = [upload(stack, kind, data)]
    post = stack.create_post(text, *IMAGES, media={"type": "slideshow", "urls": urls, **media})
    stack.await_status(post, "posted", 100)
    return text, post


def list_sent(stack: Stack, text: str) -> dict[str, Mapping[str, Any]]:
    """Return what each platform got of a post's one image, and require that it got it once."""
    live = stack.live(text)
    assert Counter(line["platform"] for line in live) == Counter(IMAGES)
    return {line["platform"]: line["media"][0] for line in live}


def read_image(media: Mapping[str, Any]) -> Image.Image:
    """Return the image that a platform fetched."""
    answer = requests.get(media["url"], timeout=30)
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert hashlib.sha256(answer.content).hexdigest() == media["sha256"]
    return Image.open(io.BytesIO(answer.content))


def require_previewed(stack: Stack, post: str, sent: Mapping[str, Any], data: bytes) -> None:
    """Require that the preview shows each image as the platform got it: its size, its white bars, what is cut off.

    ``data``: the image that was posted, darkest at its top.
    """
    with stack.context.database.begin() as c:
        view = read_post(c, stack.workspace, UUID(post))
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
    data = draw_transparent((1080, 1350))
    text, _ = post_image(stack, "image/png", data)
    sent, as_it_is = list_sent(stack, text), hashlib.sha256(data).hexdigest()
    for platform in (Platform.PINTEREST, Platform.FACEBOOK, Platform.LINKEDIN):
        assert sent[platform]["sha256"] == as_it_is
    for platform in (Platform.TIKTOK, Platform.INSTAGRAM):
        image = read_image(sent[platform])
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (1080, 1350))
        assert image.getpixel((1000, 600)) == (255, 255, 255)


def test_a_worker_that_dies_over_an_image_leaves_one_post_and_one_file(
    stack: Stack, crashes: Crashes
) -> None:
    text, size = caption(), (800, 1000)
    url = upload(stack, "image/png", draw_transparent(size))
    media = {"type": "slideshow", "urls": [url]}
    post = crash_worker(stack, "publish", crashes, lambda: stack.create_post(text, "tiktok", media=media))
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
    text, post = post_image(stack, "image/jpeg", out.getvalue(), fit=fit)
    sent = list_sent(stack, text)
    assert read_image(sent[Platform.INSTAGRAM]).size == size
    require_previewed(stack, post, sent, out.getvalue())
