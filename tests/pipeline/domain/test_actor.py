"""How histories that customers read name an actor: no account of a machine, no name of a key."""

from __future__ import annotations

from uuid import UUID

import pytest

from pipeline.domain.audit import OPERATOR_TOKEN, Actor

ID = UUID(int=7)


@pytest.mark.parametrize(
    ("actor", "label"),
    [
        (Actor(kind="user", name="ann", id=ID, address="192.0.2.1"), "ann"),
        (Actor(kind="key", name="slw_live_1", id=ID), f"key {ID}"),
        (OPERATOR_TOKEN, "the operator"),
        (Actor(kind="command line", name="root", address="root@db1"), "the command line"),
        (Actor(kind="system", name="upkeep"), "upkeep"),
    ],
)
def test_label(actor: Actor, label: str) -> None:
    assert actor.label == label
