"""The rules for a user's login and password.

Roles: what a user of the dashboard may do in a workspace.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import total_ordering


@total_ordering
class Role(Enum):
    """A role includes every smaller one: ``Role.VIEWER < Role.ADMIN``."""

    VIEWER = "viewer"  #: sees everything of the workspace
    AUTHOR = "author"  #: also edits, reschedules, cancels, and retries posts
    OPERATOR = "operator"  #: also pauses, decides, steers, connects accounts
    ADMIN = "admin"  #: also ends the sessions of other users

    def __lt__(self, other: Role) -> bool:
        return _RANK[self] < _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}


MIN_PASSWORD, MAX_PASSWORD = 12, 200
"""Characters. NIST SP 800-63B-4 (August 2025), section 3.1.1.2, asks for 15, or 8 alongside a second factor; tries are
limited here."""
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}", re.ASCII)


class UnusableLogin(ValueError):
    """The login breaks the rule; ``str()`` is a sentence for its author."""


class UnusablePassword(ValueError):
    """The password breaks the rule; ``str()`` is a sentence for its author, without the password."""


def normalize_login(text: str) -> str:
    """Return a login as it is compared: in lower case, without spaces around it."""
    return text.strip().lower()


def require_login(text: str) -> str:
    """Return the login, normalized. Raises UnusableLogin."""
    login = normalize_login(text)
    if not _LOGIN.fullmatch(login):
        raise UnusableLogin(
            f"The login {text[:120]!r} cannot be used: 1 to 100 of the letters a to z, digits and . _ @ + -, "
            "starting with a letter or digit."
        )
    return login


def require_password(text: str, login: str) -> str:
    """Return the password. Raises UnusablePassword."""
    if not MIN_PASSWORD <= len(text) <= MAX_PASSWORD:
        raise UnusablePassword(
            f"The password has {len(text)} characters: it needs {MIN_PASSWORD} to {MAX_PASSWORD}."
        )
    if "\0" in text or len(set(text)) == 1 or login in text.lower():
        raise UnusablePassword(
            "The password repeats one character, or contains the login: choose another one."
        )
    return text
