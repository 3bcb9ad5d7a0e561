"""How a sandbox is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Where the sandbox listens, where it keeps its files, and how strict it is."""

    port: int
    """The platforms and the control API."""
    media_port: int
    """Media files and nothing else."""
    folder: Path
    """Ledger, journal, media and half-received uploads; one sandbox per folder."""
    control_token: str = field(repr=False)
    host: str = "127.0.0.1"
    uploads: str = ""
    """What the URLs of files begin with that can be pulled as well as the media host's: the application's own."""
    quotas: bool = True
    """Rate limits and daily caps are enforced."""
    pace: Literal["real", "instant"] = "real"
    """`instant`: what a platform works on is done before the request that started it is answered."""
    processing_s: float = 1.0
    """How long a platform works on a post at real pace."""
    moderation_s: float = 0.5
    """How long after that until a public post has its public id at real pace."""
