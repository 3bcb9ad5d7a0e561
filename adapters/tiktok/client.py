"""The requests of both products: the Content Posting API v2 (creator) and API for Business v1.3 (business)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from adapters import transport
from adapters.contract import Draft
from adapters.error_table import Phase
from adapters.http import HttpClient, Model, Response
from adapters.tiktok import wire
from adapters.tiktok.checkpoint import Upload
from adapters.tiktok.errors import (
    SERVICE,
    build_unclear_error,
    translate_business_error,
    translate_creator_error,
)
from adapters.transport import BearerClient, Request, open_body


def send(http: HttpClient, request: Request, phase: Phase) -> Response:
    """Return the response, whatever its status; raise as ``adapters.transport.send``."""
    return transport.send(http, SERVICE, request, phase)


def parse_creator_response(response: Response, phase: Phase, model: type[Model]) -> Model:
    """Return the ``data`` of a v2 success. It is one if ``error.code`` is ``ok``: TikTok says to ignore the status."""
    envelope = response.parse(wire.Envelope)
    if envelope is None:
        raise translate_creator_error(response, phase, None)
    if envelope.error.code != "ok":
        raise translate_creator_error(response, phase, envelope.error.code, envelope.error.message or "")
    return _parse_data(model, envelope.data, response.status, phase)


def parse_business_response(response: Response, phase: Phase, model: type[Model]) -> Model:
    """Return the ``data`` of a Business success. It is one if ``code`` is 0."""
    envelope = response.parse(wire.BusinessEnvelope)
    if envelope is None:
        raise translate_business_error(response, phase, None)
    if envelope.code != 0:
        raise translate_business_error(response, phase, envelope.code, envelope.message or "")
    return _parse_data(model, envelope.data, response.status, phase)


def _parse_data(model: type[Model], data: Any, status: int, phase: Phase) -> Model:
    if status >= 400:  # noqa: PLR2004 - "ok" with a failing status proves nothing
        raise build_unclear_error(phase, platform_code=f"http_{status}", status=status)
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError:
        raise build_unclear_error(phase, platform_code="unreadable_answer", status=status) from None


PAGE = 20
"""Posts per page of a list."""
CHUNK_TIME = timedelta(seconds=60)
_CREATOR_FIELDS = "id,title,create_time,share_url,video_description,duration"
_BUSINESS_FIELDS = ("item_id", "create_time", "caption", "share_url", "media_type")


class CreatorClient(BearerClient):
    """The Content Posting API with one access token."""

    service = SERVICE

    def query_creator_info(self) -> wire.PostingSettings:
        """Read what the account allows."""
        return self._post("/v2/post/publish/creator_info/query/", {}, wire.PostingSettings, Phase.PREPARE)

    def start_upload(self, body: Mapping[str, Any], *, to_inbox: bool = False) -> wire.UploadStarted:
        """Request a publish id and an upload URL. May be repeated: without bytes nothing is ever published."""
        path = f"/v2/post/publish/{'inbox/' if to_inbox else ''}video/init/"
        return self._post(path, body, wire.UploadStarted, Phase.PREPARE)

    def send_chunk(
        self, draft: Draft, upload: Upload, phase: Phase, limit: timedelta = CHUNK_TIME
    ) -> Response:
        """Send the next chunk; its source is opened first.

        Raise what the source raises: Unavailable if it does not respond, Rejected if the file has changed.
        """
        media = draft.media[0]
        first, end = upload.get_next_range()
        request = Request(
            method="PUT",
            url=upload.upload_url,
            headers={
                "Content-Type": media.facts.content_type if media.facts else "video/mp4",
                "Content-Range": f"bytes {first}-{end - 1}/{upload.plan.size}",
            },
            body=open_body(media, first, end - first),
            limit=limit,
        )
        return send(self._http, request, phase)

    def publish_photos(self, body: Mapping[str, Any]) -> wire.PublishStarted:
        """Publish photos or a draft: the visible call."""
        return self._post("/v2/post/publish/content/init/", body, wire.PublishStarted, Phase.FINALIZE)

    def fetch_status(self, publish_id: str, phase: Phase) -> wire.PublishStatus:
        """Read the state of a publish."""
        body = {"publish_id": publish_id}
        return self._post("/v2/post/publish/status/fetch/", body, wire.PublishStatus, phase)

    def list_videos(self, cursor: int | None) -> wire.VideoPage[wire.ListedVideo]:
        """Read a page of the account's public posts, newest first."""
        body = {"max_count": PAGE} if cursor is None else {"cursor": cursor, "max_count": PAGE}
        return self._post(
            f"/v2/video/list/?fields={_CREATOR_FIELDS}", body, wire.VideoPage[wire.ListedVideo], Phase.LOOK
        )

    def get_user_info(self) -> wire.UserInfo:
        """Read whose token it is."""
        return self._call(
            "GET", "/v2/user/info/?fields=open_id,display_name", None, wire.UserInfo, Phase.PREPARE
        )

    def _post(self, path: str, body: Mapping[str, Any], model: type[Model], phase: Phase) -> Model:
        return self._call("POST", path, body or None, model, phase)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, model: type[Model], phase: Phase
    ) -> Model:
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        response = self._send(method, f"{self._api}{path}", phase, headers, json=body)
        return parse_creator_response(response, phase, model)


@dataclass(frozen=True, kw_only=True, slots=True)
class BusinessClient:
    """The Accounts API with one access token, sent without ``Bearer``: with it TikTok responds 40105."""

    http: HttpClient
    api: str
    www: str
    """The host of oEmbed."""
    token: str = field(repr=False)
    business_id: str

    def get_settings(self) -> wire.PostingSettings:
        """Read what the account allows."""
        return self._get("/business/video/settings/", {}, wire.PostingSettings, Phase.PREPARE)

    def list_chart(self, country: str, window: str) -> wire.ChartPage:
        """Read a chart of the Commercial Music Library."""
        params = {"genre": "ALL", "country_code": country, "date_range": window}
        return self._get("/discovery/cml/trending_list/", params, wire.ChartPage, Phase.PREPARE)

    def publish(self, kind: str, body: Mapping[str, Any]) -> wire.Shared:
        """Publish a ``video`` or ``photo``: the visible call."""
        path, headers = f"/business/{kind}/publish/", self._build_headers()
        return self._call("POST", path, wire.Shared, Phase.FINALIZE, headers=headers, json=body)

    def fetch_status(self, publish_id: str, phase: Phase) -> wire.PublishStatus:
        """Read the state of a publish."""
        return self._get("/business/publish/status/", {"publish_id": publish_id}, wire.PublishStatus, phase)

    def list_videos(self, cursor: int | None) -> wire.VideoPage[wire.BusinessItem]:
        """Read a page of the account's public posts."""
        params: dict[str, Any] = {"fields": _to_json(_BUSINESS_FIELDS), "max_count": PAGE}
        if cursor is not None:
            params["cursor"] = cursor
        return self._get("/business/video/list/", params, wire.VideoPage[wire.BusinessItem], Phase.LOOK)

    def get_token_info(self, app_id: str) -> wire.TokenInfo:
        """Read whose token it is."""
        body, path = {"app_id": app_id, "access_token": self.token}, "/tt_user/token_info/get/"
        return self._call("POST", path, wire.TokenInfo, Phase.PREPARE, json=body)

    def get_profile(self) -> wire.BusinessProfile:
        """Read the account's names."""
        params = {"fields": _to_json(("username", "display_name"))}
        return self._get("/business/get/", params, wire.BusinessProfile, Phase.PREPARE)

    def _get(self, path: str, params: Mapping[str, Any], model: type[Model], phase: Phase) -> Model:
        asked = {"business_id": self.business_id, **params}
        return self._call("GET", path, model, phase, headers=self._build_headers(), params=asked)

    def _call(self, method: str, path: str, model: type[Model], phase: Phase, **options: Any) -> Model:
        request = Request(method=method, url=f"{self.api}{path}", **options)
        return parse_business_response(send(self.http, request, phase), phase, model)

    def _build_headers(self) -> dict[str, str]:
        return {"Access-Token": self.token, "Content-Type": "application/json"}


def _to_json(names: tuple[str, ...]) -> str:
    return json.dumps(list(names), separators=(",", ":"))
