"""Passwords of users: Argon2id hashes, which carry their parameters and salt."""

from __future__ import annotations

import secrets
from functools import cache
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)
"""The second recommended option of RFC 9106 (September 2021), section 4: 64 MiB for the length of one call."""


def hash_password(password: str) -> str:
    """Return the hash of a password with today's parameters."""
    return _HASHER.hash(_normalize(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Return True if *password* is the one that was hashed. Without a hash it takes as long, and is False."""
    decoy = _make_decoy()
    try:
        _HASHER.verify(stored or decoy, _normalize(password))
    except VerificationError:
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Return True if a hash has other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def generate_password() -> str:
    """Return a random password of 24 characters: 144 bits."""
    return secrets.token_urlsafe(18)


def _normalize(password: str) -> str:
    """Return the form that all keyboards agree on: an accented letter may arrive as one character or as two."""
    return normalize("NFC", password)


@cache
def _make_decoy() -> str:
    return hash_password(secrets.token_urlsafe())
