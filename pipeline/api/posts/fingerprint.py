"""Fingerprints of the body of POST /posts: equal requests have equal ones.

The canonical body is hashed: the parsed request without values that equal their default, null as absent, times in UTC,
ids in lower case, accounts as a set. A field that a later version adds is absent from older requests, so it changes no
stored fingerprint; a change of the rules needs a new form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from adapters.contract import Platform
from adapters.post_options import PostOptions

FORM = b"\x02"
"""The first byte of a fingerprint names its form."""


def hash_canonical(  # noqa: PLR0913  one keyword per field
    models: Mapping[Platform, type[PostOptions]],
    *,
    caption: str,
    media: Mapping[str, Any],
    account_ids: Collection[UUID],
    scheduled_at: datetime | None,
    music_url: str | None,
    options: Mapping[Platform, Mapping[str, Any]],
    ai_generated: bool,
    expires_at: datetime | None,
    on_late: str,
) -> bytes:
    """Return the fingerprint of the parsed fields. ``media`` and ``options`` hold no nulls."""
    body: dict[str, Any] = {
        "caption": caption,
        "media": _sort(media),
        "accounts": sorted([account.hex for account in account_ids]),
    }
    if scheduled_at is not None:
        body["scheduled_at"] = scheduled_at.astimezone(UTC).isoformat()
    if music_url is not None:
        body["music_url"] = music_url
    if expires_at is not None:
        body["expires_at"] = expires_at.astimezone(UTC).isoformat()
    if on_late != "publish":
        body["on_late"] = on_late
    if ai_generated:
        body["ai_generated"] = True
    for platform in sorted(options):
        if said := _drop_defaults(models[platform], options[platform]):
            body[platform] = _sort(said)
    return FORM + hashlib.sha256(to_json(body)).digest()


def _sort(section: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(sorted(section.items()))


def _drop_defaults(model: type[PostOptions], sent: Mapping[str, Any]) -> Mapping[str, Any]:
    defaults = model.defaults
    return {name: value for name, value in sent.items() if name not in defaults or value != defaults[name]}
