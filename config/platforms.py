"""Settings of each platform: its hosts, and our app there.

Base URLs are settings, so that the sandbox can replace the real hosts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from config.groups import Group


class App(Group):
    """Our app at a platform, from its developer portal."""

    app_id: str = Field(default="", description="Client id (TikTok: client key) of our app.")
    app_secret: SecretStr = Field(default=SecretStr(""), description="Client secret of our app.")


class TikTok(App):
    """developers.tiktok.com (creator accounts) and business-api.tiktok.com (business accounts)."""

    api: str = Field(default="https://open.tiktokapis.com", description="Content Posting API.")
    business: str = Field(
        default="https://business-api.tiktok.com/open_api/v1.3", description="TikTok API for Business."
    )
    www: str = Field(default="https://www.tiktok.com", description="Consent page and oEmbed.")
    business_app_id: str = Field(default="", description="Client id of our app at TikTok API for Business.")
    business_app_secret: SecretStr = Field(
        default=SecretStr(""), description="Client secret of our app at TikTok API for Business."
    )
    audited: bool = Field(
        default=True,
        description="false until TikTok has audited our app for Direct Post: then only SELF_ONLY posts of private "
        "accounts are accepted.",
    )
    unproven_music: Literal["refuse", "try"] = Field(
        default="refuse", description="What to do with a track that is in no commercial music chart."
    )


class Instagram(App):
    """developers.facebook.com, Instagram API with Instagram or Facebook Login."""

    graph: str = Field(default="https://graph.instagram.com", description="Graph host for Instagram Login.")
    facebook_graph: str = Field(
        default="https://graph.facebook.com", description="Graph host for Facebook Login."
    )
    rupload: str = Field(default="https://rupload.facebook.com", description="Host for uploads.")
    api: str = Field(default="https://api.instagram.com", description="Token host of Instagram Login.")
    www: str = Field(default="https://www.instagram.com", description="Consent page.")
    facebook_www: str = Field(
        default="https://www.facebook.com", description="Consent page of Facebook Login."
    )
    version: str = Field(default="v27.0", description="Graph API version.")
    byte_upload: bool = Field(
        default=False, description="Send reels as bytes (Facebook Login) instead of by URL."
    )


class Facebook(App):
    """developers.facebook.com, Pages."""

    graph: str = Field(default="https://graph.facebook.com", description="Graph host.")
    graph_video: str = Field(default="https://graph-video.facebook.com", description="Graph host for video.")
    rupload: str = Field(default="https://rupload.facebook.com", description="Host for uploads.")
    www: str = Field(default="https://www.facebook.com", description="Consent page.")
    version: str = Field(default="v27.0", description="Graph API version.")
    feed_mode: Literal["two_phase", "direct"] = Field(
        default="two_phase",
        description="two_phase = create feed posts unpublished, then publish; direct = one call.",
    )


class YouTube(App):
    """console.cloud.google.com, YouTube Data API v3."""

    api: str = Field(default="https://www.googleapis.com", description="Data API and uploads.")
    oauth: str = Field(default="https://oauth2.googleapis.com", description="Token host.")
    accounts: str = Field(default="https://accounts.google.com", description="Consent page.")
    privacy: Literal["public", "unlisted", "private"] = Field(
        default="public", description="Privacy of new videos."
    )
    category: str = Field(default="22", description="Category id of new videos.")
    playlists: bool = Field(
        default=False,
        description="Ask users who connect a channel for youtube.force-ssl too: playlists and first comments need "
        "it. Google has to have approved it for the app.",
    )


class Pinterest(App):
    """developers.pinterest.com, API v5."""

    api: str = Field(default="https://api.pinterest.com/v5", description="API v5.")
    www: str = Field(default="https://www.pinterest.com", description="Consent page.")


class LinkedIn(App):
    """developer.linkedin.com, Community Management and Share on LinkedIn."""

    api: str = Field(default="https://api.linkedin.com", description="REST API.")
    www: str = Field(default="https://www.linkedin.com", description="Consent page and tokens.")
    version: str = Field(default="202609", description="LinkedIn-Version header (YYYYMM).")
    ask_for: Literal["either", "person", "organization"] = Field(
        default="either",
        description="Default of connect: person (an app with Sign In and Share on LinkedIn), organization, or either, "
        "where the user chooses (an app with the Community Management API).",
    )
