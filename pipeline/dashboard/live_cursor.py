"""The position of live events as a page holds it: sealed for its session, because moves count all tenants' work."""

from __future__ import annotations

from uuid import UUID

from pipeline.store.vault import Vault, VaultError


def seal_position(vault: Vault, session: UUID, position: int) -> str:
    """Return the position as a text that only the servers can read, and only for this session."""
    return vault.seal({"position": position}, session).decode()


def open_position(vault: Vault, session: UUID, cursor: str) -> int | None:
    """Return the position in a cursor; None for any other text."""
    try:
        position: int = vault.open(cursor.encode(errors="replace"), session)["position"]
    except VaultError:
        return None
    return position
