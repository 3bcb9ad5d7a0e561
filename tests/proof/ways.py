"""Every way a post goes out: each platform, each product of it that has a protocol of its own, each kind of post."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

PICTURES = ("slideshow", "photo")
KINDS = ("video", *PICTURES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One product of a platform."""

    platform: str
    """As the sandbox calls it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the sandbox makes its accounts of."""
    kinds: tuple[str, ...] = KINDS


SITES: Mapping[str, Site] = {
    "tiktok": Site(platform="tiktok"),
    "tiktok business": Site(platform="tiktok_business"),
    "instagram": Site(platform="instagram"),
    "facebook": Site(platform="facebook"),
    "youtube": Site(platform="youtube", kinds=("video",)),
    "pinterest": Site(platform="pinterest", options={"default_board": True}),
    "linkedin member": Site(platform="linkedin"),
    "linkedin organization": Site(platform="linkedin", options={"kind": "organization", "partner": True}),
}
WAYS: Mapping[str, Site] = {f"{name}: {kind}": site for name, site in SITES.items() for kind in site.kinds}


def ways(*sites: str, kinds: Collection[str] = KINDS) -> frozenset[str]:
    """The ways of these sites, of all kinds of post unless some are named."""
    return frozenset(way for way in WAYS if way.partition(":")[0] in sites and kind_of(way) in kinds)


def kind_of(way: str) -> str:
    """What is posted."""
    return way.partition(": ")[2]
