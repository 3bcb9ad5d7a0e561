from __future__ import annotations

from itertools import pairwise

from pipeline.domain.account import Role


def test_each_role_includes_the_smaller_ones() -> None:
    assert [role.value for role in sorted(Role)] == ["viewer", "author", "operator", "admin"]
    assert all(smaller < larger and larger >= smaller for smaller, larger in pairwise(Role))
    assert max(Role.ADMIN, Role.VIEWER) is Role.ADMIN
