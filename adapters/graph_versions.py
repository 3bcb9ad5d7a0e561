"""Graph API versions and when Meta retires them, for Facebook and Instagram."""

from __future__ import annotations

from datetime import date

RETIREMENTS = {
    "v21.0": date(2027, 1, 21),
    "v22.0": date(2027, 5, 20),
    "v23.0": date(2027, 10, 8),
    "v24.0": date(2028, 2, 18),
    "v25.0": date(2028, 7, 29),
    # "to be determined"; Meta serves a version for two years at least, and v26.0 is of 2026-07-29
    "v26.0": date(2028, 7, 30),
}
"""Version -> day of its retirement. Source: developers.facebook.com/docs/graph-api/changelog, read 2026-11-27."""
