"""The API versions that this installation sends, and when the vendors retire them: for doctor, metrics and alarms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from adapters.contract import Platform
from adapters.live_check import Finding, check_version
from pipeline.runtime.context import Context


def check_versions(context: Context, today: date) -> Mapping[Platform, Finding]:
    """Return a finding for each platform whose API has versions: whether the one that is set soon retires."""
    return {
        platform: check_version(context.platform_settings[platform].version, retirements, today)
        for platform, adapter in context.adapters.items()
        if (retirements := adapter.capabilities.retirements)
    }


def list_retirements(context: Context) -> Mapping[tuple[Platform, str], date]:
    """Return when each version that is set retires; a version without a known date counts as retired on day one."""
    return {
        (platform, version): retirements.get(version, date(1970, 1, 1))
        for platform, adapter in context.adapters.items()
        if (retirements := adapter.capabilities.retirements)
        and (version := context.platform_settings[platform].version)
    }
