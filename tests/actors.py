"""Who makes changes in tests."""

from __future__ import annotations

from pipeline.domain.audit import Actor

TESTER = Actor(kind="user", name="a test", address="192.0.2.1")
