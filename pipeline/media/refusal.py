"""Errors of user-given URLs: refused (a retry fails again) and unanswered (a retry may succeed)."""

from __future__ import annotations

NOT_PUBLIC = "this URL cannot be used: it must be a public https address"
"""The text of every refusal by the URL policy. It does not say which rule refused or what a name resolves to."""


class FetchFailed(Exception):
    """A URL does not lead to a usable file. ``reason`` is written for the author of the post."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(FetchFailed):
    """The file is not usable: policy, 4xx, wrong type, too large. ``status``: the HTTP status, if any."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Unanswered(FetchFailed):
    """No usable response: timeout, DNS, reset, 5xx, 429. The same URL may work later."""


def not_public() -> Refused:
    """Return the refusal by the URL policy."""
    return Refused(NOT_PUBLIC)
