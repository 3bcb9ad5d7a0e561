"""Read-only checks of a connected Mammoth account: its scopes and its owner."""

from __future__ import annotations

from adapters.live_check import ConnectionChecks

LIVE_CHECKS = (ConnectionChecks(connection="user", required_scopes=("read", "write")),)
