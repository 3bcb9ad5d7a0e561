"""First comments driven as the pipeline drives them: a live post, and one comment delivery on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from adapters.contract import Adapter, Draft, Platform, Published
from adapters.http import HttpClient
from adapters.registry import COMMENTS
from pipeline.domain.delivery import State
from tests.adapters.conformance.environment import Environment, Record
from tests.adapters.conformance.post_cases import PHOTO, TEXT, VIDEO, PostCase
from tests.adapters.conformance.simulation import DeliverySimulation, ShortDeadlineClient

ORGANIZATION = {"kind": "organization"}


def _case(platform: Platform, kind: str, files: Any, **more: Any) -> PostCase:
    return PostCase(platform=platform, kind=kind, sandbox_platform=platform.value, files=files, **more)


COMMENT_CASES = (
    _case(Platform.INSTAGRAM, "comment on an image", PHOTO),
    _case(
        Platform.INSTAGRAM,
        "comment on an image",
        PHOTO,
        variant="facebook_login",
        connection="facebook_login",
    ),
    _case(Platform.FACEBOOK, "comment on a text", TEXT),
    _case(Platform.FACEBOOK, "comment on a reel", VIDEO),
    _case(Platform.YOUTUBE, "comment on a video", VIDEO),
    _case(Platform.LINKEDIN, "comment on a text", TEXT, account_options=ORGANIZATION),
)
"""Each shape of a post that comments treat differently."""


@dataclass(kw_only=True)
class CommentSimulation(DeliverySimulation):
    """The delivery of a comment; ``post`` is the live post that it is on."""

    post: Published = field(default_factory=lambda: Published(remote_id=""))

    @classmethod
    def on_new_post(cls, environment: Environment, case: PostCase) -> CommentSimulation:
        """Publish a post of the case by its own adapter, and return the delivery of a comment on it."""
        posted = DeliverySimulation.create(environment, case).run()
        assert posted.state is State.PUBLISHED, posted.errors
        assert posted.published is not None
        return cls(
            environment=environment,
            post_case=case,
            account=posted.account,
            draft=_build_draft(posted.published),
            post=posted.published,
        )

    def make_worker(self) -> tuple[Adapter, HttpClient]:
        """Return a new adapter of comments and its new client."""
        limit = self.call_limit or timedelta(seconds=10)
        client = HttpClient(limit=limit) if self.call_limit is None else ShortDeadlineClient(limit=limit)
        return self._build(client), client

    def _build(self, client: HttpClient) -> Adapter:
        settings = self.environment.make_settings(self.post_case)
        return COMMENTS[self.post_case.platform](client, settings)

    def list_comments(self) -> list[Record]:
        """Return the account's lines of comments in the ledger."""
        lines = self.environment.list_live(self.account)
        return [line for line in lines if line["kind"] == "comment"]


def _build_draft(post: Published) -> Draft:
    unique = uuid4()
    return Draft(
        delivery_id=str(unique),
        caption=f"Conformance {unique.hex}: <links> & more\nhttps://example.com/?a=1",
        kind="text",
        media=(),
        comment_on=post.remote_id,
    )
