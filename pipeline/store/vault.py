"""The vault: secrets encrypted at rest with the newest key and opened with any key, each bound to its row.

The plaintext contains the owner's id, so a sealed value that is copied to another row does not open there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class VaultError(Exception):
    """A sealed value does not open: wrong key, damaged, or another row's. The message never contains the value."""


class Vault:
    """Seals and opens JSON values with MultiFernet (cryptography.io, "Key rotation")."""

    def __init__(self, keys: str, *, may_be_empty: bool = False) -> None:
        """``keys``: Fernet keys, newest first, separated by commas. Raises VaultError when there is none.

        ``may_be_empty``: then only the use of the vault raises it.
        """
        parts = [key.strip() for key in keys.split(",") if key.strip()]
        if not parts and not may_be_empty:
            raise VaultError("SLIPWAY_VAULT__KEYS is empty. Make a key with `slipway vault new-key`.")
        try:
            self._keys = MultiFernet([Fernet(key) for key in parts]) if parts else None
        except ValueError:
            raise VaultError(
                "SLIPWAY_VAULT__KEYS contains an invalid Fernet key. Make a key with `slipway vault new-key`."
            ) from None

    def __repr__(self) -> str:
        return "Vault(…)"

    @property
    def _fernet(self) -> MultiFernet:
        if self._keys is None:
            raise VaultError(
                "This process works without SLIPWAY_VAULT__KEYS and cannot read or store a credential. "
                "Run this work in a process that has the key."
            )
        return self._keys

    def seal(self, value: Mapping[str, Any], owner: UUID) -> bytes:
        """Encrypt a value for this owner."""
        return self._fernet.encrypt(json.dumps({"owner": str(owner), "value": dict(value)}).encode())

    def open(self, sealed: bytes, owner: UUID) -> dict[str, Any]:
        """Return the value that was sealed for this owner. Raises VaultError."""
        try:
            inside = json.loads(self._fernet.decrypt(bytes(sealed)))
        except InvalidToken:
            raise VaultError(f"The secret of {owner} does not open with the keys at hand.") from None
        if inside["owner"] != str(owner):
            raise VaultError(f"The secret stored for {owner} belongs to another row.")
        value: dict[str, Any] = inside["value"]
        return value

    def rotate(self, sealed: bytes) -> bytes:
        """Return the same value sealed with the newest key. Raises VaultError."""
        try:
            return self._fernet.rotate(bytes(sealed))
        except InvalidToken:
            raise VaultError("A secret does not open with the keys at hand.") from None
