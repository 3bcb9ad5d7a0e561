"""Each API version that can be sent has a retirement date, and is warned of three months before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from adapters.contract import Platform
from adapters.live_check import RETIRES_SOON, check_version
from adapters.registry import ADAPTERS
from config.settings import Settings
from pipeline.actions.diagnose import check_versions, list_retirements
from pipeline.runtime.context import Context
from pipeline.wiring import build_platform_settings

RETIREMENTS = {"v1": date(2027, 1, 31), "v2": date(2028, 1, 31)}
VERSIONED = [
    platform
    for platform in Platform
    if "version" in Settings.model_fields[platform.value].annotation.model_fields  # type: ignore[union-attr]
]


@pytest.mark.parametrize("platform", VERSIONED)
def test_the_version_that_is_sent_has_a_retirement_date_and_is_the_newest(platform: Platform) -> None:
    known = ADAPTERS[platform].capabilities.retirements
    sent = build_platform_settings(Settings(), platform).version
    assert sent in known, f"give its date in adapters/{platform}/limits.py"
    assert sent == max(known)
    assert list(known.values()) == sorted(known.values())


@pytest.mark.parametrize(
    ("today", "result"),
    [
        (RETIREMENTS["v1"] - RETIRES_SOON - timedelta(days=1), "ok"),
        (RETIREMENTS["v1"] - RETIRES_SOON, "warn"),
        (RETIREMENTS["v1"] - timedelta(days=1), "warn"),
        (RETIREMENTS["v1"], "fail"),
    ],
)
def test_a_version_is_warned_of_three_months_before_it_retires(today: date, result: str) -> None:
    found = check_version("v1", RETIREMENTS, today)
    assert found.result == result
    assert "2027-01-31" in found.says
    assert ("set v2" in found.says) is (result != "ok")
    assert check_version("v9", RETIREMENTS, today).result == "warn", "it has no date"


def test_an_installation_is_checked_as_it_is_set(context: Context) -> None:
    today = date(2026, 11, 27)
    assert {p: f.result for p, f in check_versions(context, today).items()} == dict.fromkeys(VERSIONED, "ok")
    old = {
        platform: replace(settings, version="v21.0") if platform is Platform.FACEBOOK else settings
        for platform, settings in context.platform_settings.items()
    }
    found = check_versions(replace(context, platform_settings=old), today)
    assert found[Platform.FACEBOOK].result == "warn"
    assert "v27.0" in found[Platform.FACEBOOK].says
    dates = list_retirements(replace(context, platform_settings=old))
    assert dates[Platform.FACEBOOK, "v21.0"] == date(2027, 1, 21)
