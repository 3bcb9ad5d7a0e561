"""What an operator sets of one platform: base URLs, our app, and the choices of its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformSettings:
    """A platform's base URLs and our app's credentials there; every value comes from the operator's settings."""

    hosts: Mapping[str, str]
    """Base URLs without trailing slash; the module docstring of ``adapter.py`` lists the keys."""
    app_id: str = ""
    app_secret: SecretStr = SecretStr("")
    version: str = ""
    """The vendor's API version where it has one (Graph ``v26.0``, LinkedIn ``202609``)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    visible_call: timedelta = timedelta(seconds=28)
    """Longest time that a visible call may take: a worker that is stopped cuts off longer calls."""
