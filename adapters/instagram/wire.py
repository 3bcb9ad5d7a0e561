"""Models of Instagram's JSON, limited to the fields that are read."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasPath, Field, SecretStr, model_validator

from adapters.transport import Wire

Status = Literal["IN_PROGRESS", "FINISHED", "PUBLISHED", "ERROR", "EXPIRED"]


class Created(Wire):
    """A created container or post: ``{"id":"17889455560051444"}``, with ``uri`` where bytes are to follow."""

    id: str
    uri: str | None = None


class ContainerStatus(Wire):
    """A container's status: ``{"status_code":"FINISHED","status":"…"}``; on ERROR ``status`` holds the subcode."""

    status_code: Status
    status: str = ""


class Child(Wire):
    """One picture or video of a carousel."""

    media_type: str | None = None


class Children(Wire):
    """The parts of a carousel, in order."""

    data: tuple[Child, ...] = ()


class MediaNode(Wire):
    """A published post; ``permalink`` is missing for some (e.g. while a copyright check runs).

    ``media_type`` is IMAGE, VIDEO or CAROUSEL_ALBUM, ``media_product_type`` REELS for a reel and STORY for a story.
    """

    id: str
    caption: str = ""
    timestamp: datetime | None = None
    permalink: str | None = None
    media_type: str | None = None
    media_product_type: str | None = None
    children: Children | None = None


class Quota(Wire):
    """The number of posts published in the rolling window; it lags."""

    quota_usage: int = 0
    quota_total: int | None = Field(None, validation_alias=AliasPath("config", "quota_total"))
    """The size of the window."""

    @property
    def is_exhausted(self) -> bool:
        """True if the window holds its maximum of posts."""
        return self.quota_total is not None and self.quota_usage >= self.quota_total


class Quotas(Wire):
    """The publishing quota: ``{"data":[{"quota_usage":2,"config":{"quota_total":50,"quota_duration":86400}}]}``."""

    data: tuple[Quota, ...]


class ShortToken(Wire):
    """The token that a code is exchanged for; it lives one hour."""

    access_token: SecretStr


class ShortTokens(Wire):
    """A short token, inside ``data`` as the vendor's page prints it, or bare; both forms were seen."""

    data: tuple[ShortToken, ...] = ()
    access_token: SecretStr | None = None

    @property
    def token(self) -> SecretStr | None:
        """The token from either form."""
        return self.data[0].access_token if self.data else self.access_token


class Me(Wire):
    """The professional account of a token: publishing takes ``user_id``; ``id`` is app-scoped."""

    user_id: str
    username: str
    name: str = ""
    id: str | None = None


class MeList(Wire):
    """The response of ``/me``: inside ``data`` on the vendor's page, bare from the server as it was seen."""

    data: tuple[Me, ...]

    @model_validator(mode="before")
    @classmethod
    def _wrap_bare(cls, value: Any) -> Any:
        return {"data": [value]} if isinstance(value, dict) and "data" not in value else value
