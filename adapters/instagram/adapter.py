"""The Instagram adapter: invisible media containers, then one ``media_publish``, then a read of the link.

PlatformSettings.hosts: ``graph`` (https://graph.instagram.com), ``facebook_graph`` (https://graph.facebook.com),
``rupload`` (https://rupload.facebook.com), ``www`` (consent, https://www.instagram.com), ``api``
(https://api.instagram.com), and ``facebook_www`` (https://www.facebook.com) where accounts are connected through
Facebook Login. options: ``connection`` (``instagram_login``, the default, or ``facebook_login``: the login of a new
account), ``byte_upload`` (true: reels of facebook_login accounts go up as bytes). Never tried against live Instagram:
README.md.

The Instagram section of a post request.

Limits: developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media, v25.0 text of
2026-09-11, read 2026-11-24.

Read-only checks of a connected Instagram account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field

from adapters.base import ArmedPublish, Publish, PublishingAdapter
from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    CheckpointData,
    Draft,
    FinalizeResult,
    LookResult,
    Pending,
    Platform,
    PlatformSettings,
    PrepareResult,
    Ready,
)
from adapters.errors import RateLimited, Rejected, Unavailable
from adapters.graph_api import INTERRUPTED, check_usage, read_link
from adapters.graph_stories import PlacedOptions
from adapters.http import HttpClient
from adapters.instagram import limits, lookup, payload
from adapters.instagram.checkpoint import Checkpoint, Step, choose_next_step, get_awaited_container
from adapters.instagram.client import Client
from adapters.instagram.oauth import OAuth
from adapters.instagram.problems import find_problems
from adapters.instagram.wire import Created
from adapters.limit import ImageRule
from adapters.listing import Listing
from adapters.live_check import ConnectionChecks, Finding, LiveCheck, fail, ok, warn
from adapters.post_options import PostOptions, at_most


def _report_quota(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    reply = Client(http, settings, account).read_quota()
    quota = next(iter(reply.data.data), None)
    total = quota.quota_total if quota else None
    if quota is None or total is None:
        yield warn("quota", "content_publishing_limit gave no numbers")
    else:
        says = f"{quota.quota_usage} of {total} posts in 24 hours used"
        yield fail("quota", says) if quota.is_exhausted else ok("quota", says)
    yield from check_usage(reply.usage)


_QUOTA = LiveCheck(name="quota", run=_report_quota)
_ONLY_LIVE_POST = (
    "what a second `media_publish` of a published container answers",
    "whether `since`/`until` bound the media list, and whether it shows `children{media_type}`",
    "when a place in a spent quota is freed",
    "whether the app may post for people without a role in it (App Review)",
)

LIVE_CHECKS = (
    ConnectionChecks(
        connection="instagram_login",
        required_scopes=("instagram_business_basic", "instagram_business_content_publish"),
        optional_scopes={"instagram_business_manage_comments": "no comments"},
        checks=(_QUOTA,),
        only_live_post=_ONLY_LIVE_POST,
    ),
    ConnectionChecks(
        connection="facebook_login",
        required_scopes=("instagram_basic", "instagram_content_publish"),
        optional_scopes={"instagram_manage_comments": "no comments"},
        checks=(_QUOTA,),
        only_live_post=_ONLY_LIVE_POST,
    ),
)


MAX_COLLABORATORS = 3


class InstagramOptions(PlacedOptions):
    """Options of an Instagram post; when at least one account is Instagram."""

    platform: ClassVar[Platform] = Platform.INSTAGRAM

    defaults: ClassVar[Mapping[str, Any]] = {**PlacedOptions.defaults, "collaborators": []}

    collaborators: (
        Annotated[
            list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._]{1,30}$")]],
            Field(
                max_length=MAX_COLLABORATORS, description="Usernames, without @, of those who are invited."
            ),
            at_most(MAX_COLLABORATORS),
        ]
        | None
    ) = None
    share_to_feed: bool | None = Field(
        None,
        description="Of a reel: whether it also appears in the profile's feed. Default: Instagram's own.",
    )
    location_id: str | None = Field(
        None, pattern=r"^\d{1,32}$", description="Id of the Facebook Page of a place."
    )

    @classmethod
    def find_image_rule(cls, options: Mapping[str, Any]) -> ImageRule | None:
        """Return the limits of a story's image, else None."""
        return limits.STORY_IMAGE if cls.find_kind(options) else None


class Instagram(OAuth, PublishingAdapter[Checkpoint, Client]):
    """Publishes to Instagram professional accounts; ``adapters.contract`` documents each method."""

    platform: ClassVar[Platform] = Platform.INSTAGRAM
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES
    post_options: ClassVar[type[PostOptions] | None] = InstagramOptions
    live_checks: ClassVar[tuple[ConnectionChecks, ...]] = LIVE_CHECKS
    checkpoint_model = Checkpoint
    find_problems = staticmethod(find_problems)
    find_words = staticmethod(payload.write_words)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> PrepareResult:
        """Send one request: the quota, then each container, then status reads until the last one is FINISHED."""
        state, client = self._open(account, checkpoint)
        match choose_next_step(draft, state):
            case Step.QUOTA:
                return _check_quota(client, state)
            case Step.CHILD:
                child = client.create_child(draft.media[len(state.children)])
                return state.replace(children=(*state.children, child.id)).to_pending()
            case Step.CONTAINER:
                return _await_container(draft, state, client.create_container(draft, state.children))
            case Step.UPLOAD:
                return self._upload(client, draft, state)
            case Step.POLL:
                status = client.read_status(get_awaited_container(state))
                return lookup.restart_if_ended(state, lookup.interpret_unarmed_status(draft, state, status))

    def finalize(self, draft: Draft, account: Account, checkpoint: CheckpointData) -> FinalizeResult:  # noqa: ARG002
        """Call ``media_publish``; the ``look`` that follows reads the link."""
        state, client = self._open(account, checkpoint)
        if state.media_id is not None:  # it is live: there is nothing left to send
            return state.to_pending()
        if state.container is None:
            raise Unavailable("Nothing is prepared for Instagram", code="not_prepared")
        return state.replace(media_id=client.publish(state.container)).to_pending()

    def _look_unarmed(self, publish: Publish[Checkpoint, Client]) -> LookResult:
        draft, state = publish.draft, publish.state
        if choose_next_step(draft, state) is not Step.POLL:
            return state.to_ready()
        status = publish.client.read_status(get_awaited_container(state))
        if lookup.is_published(state, status):
            return lookup.find_published_post(publish, None)
        result = lookup.interpret_unarmed_status(draft, state, status)
        # a child is done: the pauses between looks grow, and would be added up over the children
        return (
            Ready(checkpoint=result.checkpoint) if isinstance(result, Pending) and not result.wait else result
        )

    def _look_armed(self, publish: ArmedPublish[Checkpoint, Client]) -> LookResult:
        client, state = publish.client, publish.state
        if state.media_id is not None:
            return read_link(state.media_id, lambda: client.read_media(str(state.media_id)).permalink)
        if state.container is None:
            return CannotTell(reason="no container is known that could have been published", is_final=True)
        status = client.read_status(state.container)
        if lookup.is_published(state, status):
            return lookup.find_published_post(publish, publish.armed_at)
        return lookup.interpret_armed_status(state, status)

    def list_posts(self, draft: Draft, account: Account, since: datetime) -> Listing:
        """List the account's posts since *since*, compared with the draft."""
        return lookup.list_posts(self._build_client(account), draft, since)

    def _upload(self, client: Client, draft: Draft, state: Checkpoint) -> PrepareResult:
        try:
            client.send_bytes(draft.media[0], state.upload_uri or "")
        except Unavailable as error:
            if error.code != INTERRUPTED:
                raise
            return lookup.restart_if_ended(state, error)  # a new container replaces the half-filled one
        except Rejected as error:
            # without a status the refusal comes from the media's source, not from Instagram
            if state.restarts or error.http_status is None:
                raise
            # a complete upload whose response was lost refuses too: a new container decides
            interrupted = Unavailable(error.message, code=INTERRUPTED, platform_code=error.platform_code)
            return lookup.restart_if_ended(state, interrupted)
        return state.replace(upload_uri=None).to_pending(limits.FIRST_POLL_VIDEO)

    def _build_client(self, account: Account) -> Client:
        return Client(self._http, self._settings, account)


def _check_quota(client: Client, state: Checkpoint) -> PrepareResult:
    reply = client.read_quota()
    if any(quota.is_exhausted for quota in reply.data.data):
        raise RateLimited(
            "Instagram: the daily limit of published posts is reached",
            code="quota_exhausted",
            retry_after=limits.QUOTA_RECHECK,
        )
    if reply.usage.wait is not None:
        raise RateLimited("Instagram: the call allowance is nearly spent", retry_after=reply.usage.wait)
    return state.replace(quota_read=True).to_pending()


def _await_container(draft: Draft, state: Checkpoint, created: Created) -> Pending:
    state = state.replace(container=created.id, upload_uri=created.uri, polls=0)
    wait = timedelta(0) if created.uri else lookup.get_first_pause(draft)
    return state.to_pending(wait)
