"""Graph API versions and when Meta retires them, for Facebook and Instagram."""

from __future__ import annotations

from datetime import date

RETIREMENTS = {
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
    # "to be determined"; Meta serves a version for two years at least: v26.0 is of 2026-07-29, v27.0 of 2026-11-04
    "v26.0": date(2028, 7, 30),
    "v27.0": date(2028, 11, 5),
}
"""Version -> day of its retirement. Source: developers.facebook.com/docs/graph-api/changelog, read 2026-11-27.

v27.0: developers.facebook.com/blog/post/2026/11/04/introducing-graph-api-v27-and-marketing-api-v27, read 2026-11-29. It
changes nothing of publishing; what it closes (multi-id requests, method override, field aliases) is not used here.
"""
