"""Mammoth's limits; a real platform names its sources here."""

from __future__ import annotations

from datetime import timedelta

from adapters.contract import Capabilities, PostForm

CHARACTERS = 500
IMAGES = 4
IMAGE_TYPES = ("image/jpeg", "image/png")
IMAGE_BYTES = 16 * 1024 * 1024
VIDEO_TYPES = ("video/mp4",)
VIDEO_BYTES = 99 * 1024 * 1024

FIRST_POLL = timedelta(seconds=1)
LISTED = 40
"""Statuses that one ``look`` reads."""

CAPABILITIES = Capabilities(
    display_name="Mammoth",
    post_kinds={PostForm.VIDEO: "video", PostForm.IMAGE: "images", PostForm.IMAGES: "images"},
    pulls_media=False,
    prepare_lead=timedelta(minutes=10),
    settle_window=timedelta(seconds=30),
    look_every=(timedelta(seconds=2), timedelta(minutes=1)),
    look_limit=timedelta(minutes=30),
)
