"""Sealed cursors: a place in a list, bound to what makes the list, such as its filter, its order and the key's scope.

The place may be that of a row that the client must not see. Sealing the same place twice gives the same cursor, so an
answer that did not change keeps its ETag. A plan that a client carries from one request to the next is sealed the same
way.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from pipeline.store.posts.listing import InvalidPlace

_PURPOSE = b"slipway cursors of lists"
_LONGEST = 1000
"""Characters of a cursor that are looked at."""


class CursorSeal:
    """Seals cursors with a key that is derived from the newest of the vault's, and opens those of all its keys."""

    def __init__(self, vault_keys: str) -> None:
        keys = [key.strip().encode() for key in vault_keys.split(",") if key.strip()]
        self._keys = [AESSIV(hmac.digest(key, _PURPOSE, "sha512")) for key in keys]

    def seal(self, place: Sequence[str], bound: bytes) -> str:
        """Return the cursor of the page after *place*, in the list that *bound* describes."""
        return self.seal_bytes(json.dumps(place).encode(), bound)

    def seal_bytes(self, content: bytes, bound: bytes) -> str:
        """Return the sealed content, as text."""
        return base64.urlsafe_b64encode(self._keys[0].encrypt(content, [bound])).decode()

    def open(self, cursor: str, bound: bytes) -> tuple[str, ...]:
        """Return the place of a cursor. Raises InvalidPlace if it is none of this list."""
        return tuple(json.loads(self.open_bytes(cursor[:_LONGEST], bound)))

    def open_bytes(self, text: str, bound: bytes) -> bytes:
        """Return the content that was sealed. Raises InvalidPlace if it was not, or was bound to something else."""
        try:
            sealed = base64.b64decode(text, altchars=b"-_", validate=True)
        except ValueError:
            raise InvalidPlace from None
        for key in self._keys:
            try:
                return key.decrypt(sealed, [bound])
            except (InvalidTag, ValueError):
                continue
        raise InvalidPlace
