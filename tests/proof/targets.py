"""Targets of the proof: each platform, each product with its own protocol, each kind of post."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

PICTURES = ("slideshow", "photo")
KINDS = ("video", *PICTURES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One product of a platform."""

    platform: str
    """The sandbox's name of it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of its accounts in the sandbox."""
    kinds: tuple[str, ...] = KINDS


PRODUCTS: Mapping[str, Product] = {
    "tiktok": Product(platform="tiktok"),
    "tiktok business": Product(platform="tiktok_business"),
    "instagram": Product(platform="instagram"),
    "facebook": Product(platform="facebook"),
    "youtube": Product(platform="youtube", kinds=("video",)),
    "pinterest": Product(platform="pinterest", options={"default_board": True}),
    "linkedin member": Product(platform="linkedin"),
    "linkedin organization": Product(platform="linkedin", options={"kind": "organization", "partner": True}),
}
TARGETS: Mapping[str, Product] = {
    f"{name}: {kind}": product for name, product in PRODUCTS.items() for kind in product.kinds
}


def select_targets(*products: str, kinds: Collection[str] = KINDS) -> frozenset[str]:
    """Return the targets of these products, of all kinds or of *kinds*."""
    return frozenset(
        target for target in TARGETS if target.partition(":")[0] in products and get_kind(target) in kinds
    )


def get_kind(target: str) -> str:
    """Return the kind of post of a target."""
    return target.partition(": ")[2]
