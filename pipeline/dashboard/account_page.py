"""The public page of an account on its platform, where a user looks whether a post is live."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.store.dashboard.accounts import find_identity

_ORGANIZATION = "urn:li:organization:"
PAGES: Mapping[Platform, str] = {
    Platform.TIKTOK: "https://www.tiktok.com/@{username}",
    Platform.INSTAGRAM: "https://www.instagram.com/{username}/",
    Platform.YOUTUBE: "https://www.youtube.com/channel/{remote_id}",
    Platform.PINTEREST: "https://www.pinterest.com/{username}/",
    Platform.LINKEDIN: "https://www.linkedin.com/company/{remote_id}/",
    Platform.FACEBOOK: "https://www.facebook.com/{remote_id}",
}
MEMBER = "https://www.linkedin.com/in/me/recent-activity/all/"
"""LinkedIn members have no page by their id: this is the posts of the member who is logged in there."""


def build_account_page(platform: Platform, username: str, remote_id: str) -> str:
    """Return the URL of the account's page."""
    if platform is Platform.LINKEDIN and not remote_id.startswith(_ORGANIZATION):
        return MEMBER
    names = {"username": username.removeprefix("@"), "remote_id": remote_id.removeprefix(_ORGANIZATION)}
    return PAGES[platform].format(**{name: quote(value, safe="") for name, value in names.items()})


def read_account_page(c: Connection, account: UUID) -> str:
    """Return the URL of the page of a stored account."""
    platform, username, remote_id = find_identity(c, account)
    return build_account_page(Platform(platform), username, remote_id)
