"""Instagram: a draft becomes containers (invisible), then one ``media_publish``, then a read of its link.

PlatformSettings.hosts: ``graph`` (https://graph.instagram.com), ``facebook_graph`` (https://graph.facebook.com),
``rupload`` (https://rupload.facebook.com), ``www`` (consent, https://www.instagram.com), ``api``
(https://api.instagram.com), and ``facebook_www`` (https://www.facebook.com) where accounts are connected through
Facebook Login. options: ``connection`` (``instagram_login``, the default, or ``facebook_login``: which one a new
account is connected through), ``byte_upload`` (true: reels of facebook_login accounts go up as bytes). Never tried
against live Instagram: README.md.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from adapters.contract import (
    Account,
    CannotTell,
    Capabilities,
    Checkpoint,
    Draft,
    Finalized,
    Pending,
    Platform,
    PlatformSettings,
    Prepared,
    Problem,
    Published,
    Ready,
    Seen,
)
from adapters.errors import AdapterError, RateLimited, Rejected, Unavailable
from adapters.graph_api import INTERRUPTED
from adapters.http import Client
from adapters.instagram import limits
from adapters.instagram import problems as rules
from adapters.instagram.checkpoint import Progress, Step, next_step, waited_for
from adapters.instagram.client import Containers
from adapters.instagram.lookup import backoff, judged, judged_after_arm, published_post, renewed
from adapters.instagram.oauth import Login
from adapters.instagram.wire import Created
from adapters.oauth_mixin import Connecting


class Instagram(Connecting):
    """See the module; the contract of each method is in ``adapters.contract``."""

    platform: ClassVar[Platform] = Platform.INSTAGRAM
    capabilities: ClassVar[Capabilities] = limits.CAPABILITIES

    def __init__(self, client: Client, settings: PlatformSettings) -> None:
        self._client = client
        self._settings = settings
        self._login = Login(client, settings)

    def problems(self, draft: Draft, account: Account) -> Sequence[Problem]:  # noqa: ARG002 one set of rules
        """Every limit that the facts at hand show to be broken."""
        return rules.problems(draft)

    # --- publishing --------------------------------------------------------------------------------------------------

    def prepare(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Prepared:
        """One request: the quota, then a container after the other, then reads until the last one is FINISHED."""
        at, remote = Progress.model_validate(checkpoint), self._containers(account)
        match next_step(draft, at):
            case Step.QUOTA:
                return _after_quota(remote, at)
            case Step.CHILD:
                child = remote.create_child(draft.media[len(at.children)])
                return _on(at.then(children=(*at.children, child.id)))
            case Step.CONTAINER:
                return _after_create(draft, at, remote.create(draft, at.children))
            case Step.UPLOAD:
                return self._upload(remote, draft, at)
            case Step.POLL:
                return renewed(at, judged(draft, at, remote.status(waited_for(at))))

    def finalize(self, draft: Draft, account: Account, checkpoint: Checkpoint) -> Finalized:  # noqa: ARG002
        """``media_publish``, and nothing after it: the link is read by the ``look`` that the answer asks for."""
        at = Progress.model_validate(checkpoint)
        if at.media_id is not None:  # already live: there is nothing left to send
            return _on(at)
        if at.container is None:
            raise Unavailable("Nothing is prepared for Instagram", code="not_prepared")
        return _on(at.then(media_id=self._containers(account).publish(at.container)))

    def look(
        self,
        draft: Draft,
        account: Account,
        checkpoint: Checkpoint,
        armed_at: datetime | None,
        taken: Container[str],
    ) -> Seen:
        """Where the publish stands. Not armed: Ready means that ``prepare`` has something to do again."""
        at, remote = Progress.model_validate(checkpoint), self._containers(account)
        if at.media_id is not None:
            return _with_link(remote, at.media_id)
        if armed_at is None and next_step(draft, at) is not Step.POLL:
            return Ready(checkpoint=at.checkpoint())
        if armed_at is not None and at.container is None:
            return CannotTell(reason="No container is known that could have been published")
        status = remote.status(waited_for(at))
        if status is not None and status.status_code == "PUBLISHED" and at.container is not None:
            return published_post(draft, at, remote, armed_at, taken)
        return judged(draft, at, status) if armed_at is None else judged_after_arm(at, status)

    def _upload(self, remote: Containers, draft: Draft, at: Progress) -> Prepared:
        try:
            remote.send_bytes(draft.media[0], at.upload_uri or "")
        except Unavailable as error:
            if error.code != INTERRUPTED:
                raise
            return renewed(at, error)  # a new container is simpler and surer than a half-filled one
        except Rejected as error:
            # no status: it is the media's source that speaks, not Instagram
            if at.restarts or error.http_status is None:
                raise
            # perhaps this container has all bytes, and only our note of it was lost: once more with a new one
            passing = Unavailable(error.message, code=INTERRUPTED, platform_code=error.platform_code)
            return renewed(at, passing)
        return Pending(checkpoint=at.then(upload_uri=None).checkpoint(), wait=limits.FIRST_POLL_VIDEO)

    def _containers(self, account: Account) -> Containers:
        return Containers(self._client, self._settings, account)


def _on(at: Progress) -> Pending:
    return Pending(checkpoint=at.checkpoint())


def _after_quota(remote: Containers, at: Progress) -> Prepared:
    reply = remote.quota()
    if any(quota.exhausted for quota in reply.data.data):
        raise RateLimited(
            "Instagram: the daily limit of published posts is reached",
            code="quota_exhausted",
            retry_after=limits.QUOTA_RECHECK,
        )
    if reply.usage.wait is not None:
        raise RateLimited("Instagram: the call allowance is nearly spent", retry_after=reply.usage.wait)
    return _on(at.then(quota_read=True))


def _after_create(draft: Draft, at: Progress, made: Created) -> Pending:
    now = at.then(container=made.id, upload_uri=made.uri, polls=0)
    wait = timedelta(0) if made.uri else backoff(draft, 0)
    return Pending(checkpoint=now.checkpoint(), wait=wait)


def _with_link(remote: Containers, media_id: str) -> Published:
    try:
        return Published(remote_id=media_id, url=remote.media(media_id).permalink)
    except AdapterError as error:  # a failed read never unpublishes: the link is filled in later
        return Published(remote_id=media_id, notes={"url_missing": error.code})
