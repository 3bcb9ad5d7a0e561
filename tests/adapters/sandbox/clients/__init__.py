"""HTTP clients of the fake platforms, one per product, each acting for one account."""

from typing import Any

from tests.adapters.sandbox.clients.linkedin import LinkedIn
from tests.adapters.sandbox.clients.meta import Facebook, Instagram, graph_error
from tests.adapters.sandbox.clients.pinterest import Pinterest
from tests.adapters.sandbox.clients.tiktok import Business, TikTok
from tests.adapters.sandbox.clients.youtube import YouTube, google_error
from tests.adapters.sandbox.process import Sandbox

__all__ = [
    "Business",
    "Facebook",
    "Instagram",
    "LinkedIn",
    "Pinterest",
    "TikTok",
    "YouTube",
    "connect",
    "google_error",
    "graph_error",
]

_CLIENTS: dict[str, Any] = {
    "tiktok": TikTok,
    "tiktok_business": Business,
    "instagram": Instagram,
    "facebook": Facebook,
    "youtube": YouTube,
    "pinterest": Pinterest,
    "linkedin": LinkedIn,
}
_OPTIONS = {"pinterest": {"default_board": True}}
"""Options that every account of a platform needs to publish."""


def connect(sandbox: Sandbox, platform: str, username: str = "ann", **options: Any) -> Any:
    """Return a client of `platform` with an account of these options, created if it does not exist."""
    chosen = _OPTIONS.get(platform, {}) | options
    account = sandbox.account(platform, username, **({"options": chosen} if chosen else {}))
    return _CLIENTS[platform](sandbox=sandbox, account=account)
