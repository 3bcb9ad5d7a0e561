"""What every request handler is handed: the core, the lanes, the keyring, the meter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import redis
from starlette.requests import Request

from pipeline.api.files.limits import Filing, filing
from pipeline.api.http.auth import Keyring
from pipeline.api.http.batcher import Grouping
from pipeline.api.http.rate_limit import Meter
from pipeline.api.http.worker_lane import Lane
from pipeline.api.metrics import Metrics
from pipeline.api.posts.field_types import FLAT_CAPTION, LONGEST_CAPTION, Rules
from pipeline.context import Context
from pipeline.rate_buckets import redis_client
from pipeline.stages.ingest_batch import MOST, Asked, GroupCommit
from pipeline.stages.post_request import Accepted
from pipeline.store.auth.keys import Caller


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One server process. The lanes keep apart: waiting posts, mass work, reads, keys, consents, stopping."""

    context: Context
    posting: Lane
    grouping: Grouping[Asked, Accepted | None]
    bulk: Lane
    reading: Lane
    knowing: Lane
    connecting: Lane
    steering: Lane
    filing: Filing
    keyring: Keyring
    meter: Meter
    metrics: Metrics
    broker: redis.Redis
    rules: Rules

    def lane_of(self, caller: Caller) -> Lane:
        """Where the posts of this key stand in line."""
        return self.bulk if caller.bulk else self.posting

    async def metered(self, caller: Caller, posts: int = 1) -> Mapping[str, str]:
        """Takes posts from the key's bucket; the headers for the answer. Raises Refusal 429 when it holds too few."""
        if not self.meter.per_minute:
            return {}
        return await self.knowing.run(partial(self.meter.take, caller.key_id, posts))

    def close(self) -> None:
        """Lets what runs finish, then gives the connections back."""
        self.grouping.close()
        for lane in (self.posting, self.bulk, self.reading, self.knowing, self.connecting, self.steering):
            lane.close()
        self.filing.lane.close()
        self.broker.close()


def site(context: Context) -> Site:
    """A server's parts around a core; must be called inside the event loop that will use them."""
    knowing = Lane("knowing", threads=4, line=512)
    broker = redis_client(
        context.settings.broker.url.get_secret_value(), context.settings.broker.sentinel_master
    )
    return Site(
        context=context,
        # Most of a post's time is waiting for checks, without a connection; one key may take half the line.
        posting=Lane("posting", threads=64, line=256, per_key=128),
        grouping=Grouping("grouping", GroupCommit(context).take, most=MOST),
        # Narrow, and never waiting: however many a bulk key sends at once, others find threads and connections.
        bulk=Lane("bulk", threads=4, line=64, per_key=16),
        reading=Lane("reading", threads=8, line=256, per_key=64),
        knowing=knowing,
        # People who come back from a consent page wait for the platform's answers, seconds at times.
        connecting=Lane("connecting", threads=8, line=64, per_key=32),
        # Never behind posts that wait for their checks: who wants to stop a post is in a hurry.
        steering=Lane("steering", threads=4, line=128, per_key=32),
        filing=filing(),
        keyring=Keyring(context, knowing),
        meter=Meter(broker, context.settings.api.posts_per_minute),
        metrics=Metrics(context.database, broker, knowing),
        broker=broker,
        rules=Rules(
            caption=FLAT_CAPTION if context.settings.ingest.caption_limit == "flat" else LONGEST_CAPTION,
            media_origins=context.settings.media_origins | {context.settings.files_origin},
        ),
    )


def site_of(request: Request) -> Site:
    """The site this request came to."""
    return cast("Site", request.app.state.site)
