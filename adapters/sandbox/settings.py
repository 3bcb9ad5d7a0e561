"""Settings of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Addresses, folder, limits and pace of a sandbox."""

    port: int
    """Port of the platforms and the control API."""
    media_port: int
    """Port of the media host."""
    folder: Path
    """Ledger, journal, media and partial uploads; one sandbox per folder."""
    control_token: str = field(repr=False)
    host: str = "127.0.0.1"
    uploads: str = ""
    """URL prefix of the application's uploaded files, which platforms may fetch besides the media host."""
    quotas: bool = True
    """Enforce rate limits and daily caps."""
    pace: Literal["real", "instant"] = "real"
    """`instant`: processing ends before the request that starts it is answered."""
    processing_s: float = 1.0
    """Processing time of a post at real pace."""
    moderation_s: float = 0.5
    """Time from processing to the public id at real pace."""
