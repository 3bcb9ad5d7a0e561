"""What a standing hold covers. `store/deliveries/test_holds.py` shows which hold of several a reader sees."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from pipeline.domain.hold import DerivedHold, Hold, list_scopes

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_a_standing_hold_covers_its_scope_alone() -> None:
    workspace, account, delivery = uuid4(), uuid4(), uuid4()
    scopes = list_scopes("tiktok", workspace, account, delivery)

    def covers(scope: str, target: str) -> bool:
        hold = DerivedHold(hold=Hold.PAUSED, scope=scope, target=target, why="w", since=NOW, next_at=None)
        return hold.covers(scopes)

    assert covers("all", "")
    assert covers("platform", "tiktok")
    assert covers("workspace", str(workspace))
    assert covers("account", str(account))
    assert covers("delivery", str(delivery))
    assert not covers("platform", "youtube")
    assert not covers("workspace", str(account))
