"""Instagram's JSON, as far as we read it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import SecretStr, model_validator

from adapters.graph_api import Wire

Status = Literal["IN_PROGRESS", "FINISHED", "PUBLISHED", "ERROR", "EXPIRED"]


class Created(Wire):
    """``{"id":"17889455560051444"}``, with ``uri`` when bytes are to follow."""

    id: str
    uri: str | None = None


class ContainerStatus(Wire):
    """``{"status_code":"FINISHED","status":"Finished: …","id":"…"}``; ``status`` of an ERROR holds the subcode."""

    status_code: Status
    status: str = ""


class MediaNode(Wire):
    """A published post; ``permalink`` is missing for some (e.g. while a copyright check runs)."""

    id: str
    caption: str = ""
    timestamp: datetime | None = None
    permalink: str | None = None


class MediaList(Wire):
    """Newest first."""

    data: tuple[MediaNode, ...] = ()


class QuotaConfig(Wire):
    """``quota_duration`` in seconds."""

    quota_total: int | None = None
    quota_duration: int = 86400


class Quota(Wire):
    """Posts published in the rolling window; it lags."""

    quota_usage: int = 0
    config: QuotaConfig = QuotaConfig()

    @property
    def exhausted(self) -> bool:
        """No post is left in the window."""
        return self.config.quota_total is not None and self.quota_usage >= self.config.quota_total


class Quotas(Wire):
    """``{"data":[{"quota_usage":2,"config":{"quota_total":50,"quota_duration":86400}}]}``."""

    data: tuple[Quota, ...] = ()


class ShortToken(Wire):
    """What a code buys: a token of one hour."""

    access_token: SecretStr


class ShortTokens(Wire):
    """The same as the vendor's page prints it, inside ``data``; both forms were seen."""

    data: tuple[ShortToken, ...] = ()
    access_token: SecretStr | None = None

    @property
    def token(self) -> SecretStr | None:
        """The token, wherever it stands."""
        return self.data[0].access_token if self.data else self.access_token


class Me(Wire):
    """The professional account behind a token: ``user_id`` is the id that publishing takes, ``id`` is app-scoped."""

    user_id: str
    username: str
    name: str = ""


class MeList(Wire):
    """``/me``: the vendor's page prints it inside ``data``, the server was seen to answer it bare."""

    data: tuple[Me, ...]

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, said: Any) -> Any:
        return {"data": [said]} if isinstance(said, dict) and "data" not in said else said
