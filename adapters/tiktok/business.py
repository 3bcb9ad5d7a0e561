"""Publishing for accounts connected through TikTok for Business: the Accounts API v1.3.

TikTok fetches everything itself, and the publish call is the visible step, for drafts too: its ``share_id`` comes with
the answer only. A chosen sound can be attached here, where one of TikTok's commercial charts shows it. Never tried
against TikTok itself: README.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from adapters.contract import (
    Account,
    CannotTell,
    CheckpointData,
    Draft,
    Ended,
    FinalizeResult,
    LookResult,
    Pending,
    PrepareResult,
    Published,
    Ready,
    Track,
)
from adapters.error_table import Phase
from adapters.errors import AdapterError, OutcomeUnknown, PermissionMissing, Rejected, Unavailable
from adapters.http import HttpClient
from adapters.tiktok import music
from adapters.tiktok import payload as posts
from adapters.tiktok.commercial_music import MEMORY, WINDOWS, Chart, charted, clips_of, namesake
from adapters.tiktok.creator_info import Allowed
from adapters.tiktok.errors import BAD_SOUND, of_failure
from adapters.tiktok.limits import CAPABILITIES
from adapters.tiktok.lookup import Found, earliest, fits_business, judged, pause
from adapters.tiktok.transport import business_answer, send
from adapters.tiktok.wire import BusinessPage, BusinessStatus, ChartPage, PostingSettings, Shared, Wire
from adapters.transport import Request

WireT = TypeVar("WireT", bound=Wire)

LIST_FIELDS = json.dumps(
    ["item_id", "create_time", "caption", "share_url", "media_type"], separators=(",", ":")
)
LIST_PAGES = 5
PAGE = 20
DROP_SOUND = "Choose a commercial sound or drop music_url."


@dataclass(frozen=True, kw_only=True, slots=True)
class Business:
    """One slice of work for an account of the Accounts API. ``www`` is where oEmbed is asked."""

    client: HttpClient
    api: str
    www: str
    try_unproven: bool

    # --- prepare -----------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """The next invisible step: the account's settings, then chart by chart where a sound was chosen."""
        if posts.is_draft(draft):
            return Ready(checkpoint=checkpoint)
        now, allowed = time.time(), Allowed.read(checkpoint)
        if allowed is None or not allowed.is_fresh(now):
            allowed = self._ask_allowed(account, now)
            allowed.check(draft, posts.privacy(draft))
            checkpoint = {**checkpoint, "allowed": allowed.kept()}
            undecided = draft.music_url is not None and "music" not in checkpoint
            return Pending(checkpoint=checkpoint) if undecided else Ready(checkpoint=checkpoint)
        if draft.music_url is None or "music" in checkpoint:
            return Ready(checkpoint=checkpoint)
        if draft.track is None:
            raise Unavailable("The sound behind music_url is not known yet.", code="music_unresolved")
        return self._decide_music(draft.track, account, checkpoint)

    def _ask_allowed(self, account: Account, now: float) -> Allowed:
        params = {"business_id": account.remote_id}
        told = self._get(account, Phase.PREPARE, "/business/video/settings/", params, PostingSettings)
        return Allowed.told(told, now)

    def _decide_music(self, track: Track, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Look the sound up in the charts, at most one request a call; the checkpoint knows which were read."""
        country, read = _country(account), list(checkpoint.get("charts", ()))
        if sound_id := charted(track, MEMORY.known(self.api, country)):
            return _attached(checkpoint, sound_id, is_charted=True)
        for window in WINDOWS:
            chart = Chart(host=self.api, country=country, window=window)
            if window in read or MEMORY.chart(chart) is not None:
                continue
            params = {
                "business_id": account.remote_id,
                "genre": "ALL",
                "country_code": country,
                "date_range": window,
            }
            page = self._get(account, Phase.PREPARE, "/discovery/cml/trending_list/", params, ChartPage)
            MEMORY.keep_chart(chart, clips_of(page))
            if sound_id := charted(track, clips_of(page)):
                return _attached(checkpoint, sound_id, is_charted=True)
            return Pending(checkpoint={**checkpoint, "charts": [*read, window]})
        if self.try_unproven and not MEMORY.was_refused(self.api, track.sound_id):
            return _attached(checkpoint, track.sound_id, is_charted=False)
        raise self._unproven(track, country)

    def _unproven(self, track: Track, country: str) -> Rejected:
        other = namesake(track, MEMORY.known(self.api, country))
        hint = ""
        if other is not None and (sound_id := other.trending or other.full):
            hint = f" A commercial sound of the same name and artist: {music.sound_link(sound_id)}"
        return Rejected(
            f"The sound {track.title!r} is in none of TikTok's commercial charts for {country}; "
            "TikTok offers no look-up, so we did not send it.",
            code="music_not_attachable",
            next_action=DROP_SOUND + hint,
        )

    # --- finalize ----------------------------------------------------------------------------------------------------

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:
        """The one visible call: ``video/publish`` or ``photo/publish``."""
        allowed = None if posts.is_draft(draft) else Allowed.read(checkpoint)
        chosen: Mapping[str, Any] | None = None if posts.is_draft(draft) else checkpoint.get("music")
        wants_sound = draft.music_url is not None and not posts.is_draft(draft)
        if (allowed is None and not posts.is_draft(draft)) or (wants_sound and chosen is None):
            raise Unavailable("The account's settings or the sound are not known yet.", code="not_prepared")
        sound_id = chosen["id"] if chosen is not None else None
        if draft.kind == "video" and allowed is not None:
            path, body = (
                "/business/video/publish/",
                posts.business_video(draft, account.remote_id, allowed, sound_id),
            )
        else:
            path, body = (
                "/business/photo/publish/",
                posts.business_photo(draft, account.remote_id, allowed, sound_id),
            )
        request = Request(method="POST", url=f"{self.api}{path}", headers=_headers(account), json=body)
        try:
            shared = business_answer(send(self.client, request, Phase.FINALIZE), Phase.FINALIZE, Shared)
        except OutcomeUnknown as unknown:
            raise self._of_sound(unknown, chosen) from None
        return Pending(
            checkpoint={**checkpoint, "publish_id": shared.share_id}, wait=CAPABILITIES.look_every[0]
        )

    def _of_sound(self, unknown: OutcomeUnknown, chosen: Mapping[str, Any] | None) -> AdapterError:
        """51065 for an uncharted sound is *the* refusal of that sound; for anything else it is a system error."""
        if unknown.platform_code != str(BAD_SOUND) or chosen is None or chosen["charted"]:
            return unknown
        MEMORY.keep_refusal(self.api, chosen["id"])
        return Rejected(
            f"TikTok refused the sound {chosen['id']}; nothing was published.",
            code="music_not_attachable",
            platform_code=unknown.platform_code,
            http_status=unknown.http_status,
            next_action=DROP_SOUND,
        )

    # --- look --------------------------------------------------------------------------------------------------------

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> LookResult:
        """Where the publish stands; reads only."""
        if armed_at is None:
            return _unarmed(draft, checkpoint)
        publish_id = checkpoint.get("publish_id")
        if publish_id is None:
            return self._search(draft, account, armed_at, taken)
        params = {"business_id": account.remote_id, "publish_id": publish_id}
        try:
            status = self._get(account, Phase.LOOK, "/business/publish/status/", params, BusinessStatus)
        except Rejected as refusal:
            return CannotTell(reason=refusal.message)
        if status.status == "PUBLISH_COMPLETE":
            return self._published(draft, account, checkpoint, publish_id, status)
        if status.status == "SEND_TO_USER_INBOX":
            return Published(remote_id=publish_id, delivered_as="inbox_draft")
        if status.status == "FAILED":
            return Ended(error=of_failure(status.reason))
        return Pending(checkpoint=checkpoint, wait=pause(armed_at, time.time()))

    def _published(
        self,
        draft: Draft,
        account: Account,
        checkpoint: CheckpointData,
        publish_id: str,
        status: BusinessStatus,
    ) -> Published:
        """Out. Ids come only for public posts, up to three minutes later; they also let us confirm the sound."""
        if not status.post_ids:
            return Published(remote_id=publish_id)
        post_id = status.post_ids[0]
        link = posts.permalink(draft, account.username, post_id)
        chosen = checkpoint.get("music")
        if chosen is None:
            return Published(remote_id=post_id, url=link)
        is_confirmed = music.confirm(self.client, self.www, link, chosen["id"])
        return Published(remote_id=post_id, url=link, notes={"music_confirmed": is_confirmed})

    def _search(
        self, draft: Draft, account: Account, armed_at: datetime, taken: Container[str]
    ) -> LookResult:
        if not posts.is_public(draft):
            return CannotTell(reason="TikTok lists public posts only, and this one is not")
        caption, since, cursor = posts.description(draft), earliest(armed_at), None
        hits: list[Found] = []
        for _ in range(LIST_PAGES):
            try:
                page = self._page(account, cursor)
            except (PermissionMissing, Rejected):
                return CannotTell(reason="TikTok does not let us read the account's posts (video.list)")
            hits += [
                Found(
                    id=item.item_id,
                    url=item.share_url or posts.permalink(draft, account.username, item.item_id),
                )
                for item in page.videos
                if fits_business(item, caption, is_video=draft.kind == "video", since=since)
            ]
            if not page.has_more or any(item.create_time < since for item in page.videos):
                return judged(hits, taken)
            cursor = page.cursor
        return CannotTell(
            reason=f"the account has posted more than {LIST_PAGES} pages since: not all were read"
        )

    def _page(self, account: Account, cursor: int | None) -> BusinessPage:
        params = {"business_id": account.remote_id, "fields": LIST_FIELDS, "max_count": PAGE}
        if cursor is not None:
            params["cursor"] = cursor
        return self._get(account, Phase.LOOK, "/business/video/list/", params, BusinessPage)

    # --- the wire ----------------------------------------------------------------------------------------------------

    def _get(
        self, account: Account, step: Phase, path: str, params: Mapping[str, Any], model: type[WireT]
    ) -> WireT:
        request = Request(method="GET", url=f"{self.api}{path}", headers=_headers(account), params=params)
        return business_answer(send(self.client, request, step), step, model)


def _headers(account: Account) -> dict[str, str]:
    # No "Bearer": with it TikTok answers 40105, as to a wrong token.
    token = account.credentials.access_token.get_secret_value()
    return {"Access-Token": token, "Content-Type": "application/json"}


def _country(account: Account) -> str:
    return str(account.settings.get("country") or "US")


def _attached(checkpoint: CheckpointData, sound_id: str, *, is_charted: bool) -> Ready:
    return Ready(checkpoint={**checkpoint, "music": {"id": sound_id, "charted": is_charted}})


def _unarmed(draft: Draft, checkpoint: CheckpointData) -> LookResult:
    """Of a publish that was never armed: whether it may be. Nothing of it can be live, so nothing is asked."""
    is_decided = draft.music_url is None or "music" in checkpoint
    if posts.is_draft(draft) or (is_decided and Allowed.read(checkpoint) is not None):
        return Ready(checkpoint=checkpoint)
    return Pending(checkpoint=checkpoint)
