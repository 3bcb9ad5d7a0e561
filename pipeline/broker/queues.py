"""The queues, and which worker group consumes which. Each group is a bulkhead: a full one does not slow the others."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.contract import Platform

PUBLISH = {platform: f"publish.{platform}" for platform in Platform}
REACHABILITY, REACHABILITY_BULK = "reachability", "reachability.bulk"
DELAY, STATUS, UPKEEP, IMPORTS, WEBHOOKS = "delay", "status", "upkeep", "imports", "webhooks"

WORKER_GROUPS: Mapping[str, tuple[str, ...]] = {
    "publish": (*PUBLISH.values(), STATUS, DELAY),
    "reachability": (REACHABILITY, REACHABILITY_BULK),
    "upkeep": (UPKEEP, IMPORTS, WEBHOOKS),
}
"""The queues of `slipway worker GROUP`. Scale by starting more of any group, or single queues with `--queues`."""

WITHOUT_VAULT = frozenset({"reachability"})
"""Groups whose workers run without a vault key and the secrets of our apps: they read media of others."""

ALL_QUEUES = tuple(queue for queues in WORKER_GROUPS.values() for queue in queues)
