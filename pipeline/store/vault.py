"""Secrets at rest: sealed with the newest key, opened with any, each bound to the row it belongs to.

The owner's id stands inside the plaintext, so a sealed value copied onto another row does not open there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class VaultError(Exception):
    """A sealed value could not be opened: wrong key, damaged, or of another row. Never says what was inside."""


class Vault:
    """Seals and opens JSON values with MultiFernet (cryptography.io, "Key rotation")."""

    def __init__(self, keys: str) -> None:
        """``keys``: Fernet keys, newest first, separated by commas. Raises VaultError when there is none."""
        parts = [key.strip() for key in keys.split(",") if key.strip()]
        if not parts:
            raise VaultError("SLIPWAY_VAULT__KEYS is empty. Make a key with `slipway vault new-key`.")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in parts])
        except ValueError:
            raise VaultError("SLIPWAY_VAULT__KEYS holds something that is not a Fernet key.") from None

    def __repr__(self) -> str:
        return "Vault(…)"

    def seal(self, value: Mapping[str, Any], owner: UUID) -> bytes:
        """The value, encrypted, for this owner only."""
        return self._fernet.encrypt(json.dumps({"owner": str(owner), "value": dict(value)}).encode())

    def open(self, sealed: bytes, owner: UUID) -> dict[str, Any]:
        """What was sealed for this owner; VaultError otherwise."""
        try:
            inside = json.loads(self._fernet.decrypt(bytes(sealed)))
        except InvalidToken:
            raise VaultError(f"The secret of {owner} does not open with the keys at hand.") from None
        if inside["owner"] != str(owner):
            raise VaultError(f"The secret stored for {owner} belongs to another row.")
        value: dict[str, Any] = inside["value"]
        return value

    def rotate(self, sealed: bytes) -> bytes:
        """The same value sealed with the newest key."""
        try:
            return self._fernet.rotate(bytes(sealed))
        except InvalidToken:
            raise VaultError("A secret does not open with the keys at hand.") from None
