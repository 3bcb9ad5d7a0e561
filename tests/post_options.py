"""A section of a request for each platform that may share one with others."""

from __future__ import annotations

from typing import Any

SECTIONS: dict[str, dict[str, Any]] = {
    "youtube": {
        "title": "A mug",
        "tags": ["home decor", "mug"],
        "privacy": "unlisted",
        "made_for_kids": False,
        "category": "26",
        "playlist_id": "PLmugs",
        "notify_subscribers": False,
    },
    "instagram": {
        "placement": "feed",
        "collaborators": ["ann"],
        "share_to_feed": False,
        "location_id": "112",
    },
    "facebook": {"placement": "feed", "title": "A mug"},
    "linkedin": {"visibility": "CONNECTIONS", "title": "A mug"},
}
