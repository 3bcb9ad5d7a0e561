"""The two ways a user-given URL can fail us: refused (trying again would fail again) and unanswered (it may not)."""

from __future__ import annotations

NOT_PUBLIC = "this URL cannot be used: it must be a public https address"
"""The one text of every refusal by policy: which rule it was, and what a name resolves to, is nobody's business."""


class FetchFailed(Exception):
    """A URL gave us no usable file. ``reason`` says what was seen, in words meant for the author of the post."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(FetchFailed):
    """It will not do as it is: policy, 4xx, wrong type, too big. ``status`` is the HTTP status where one was seen."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Unanswered(FetchFailed):
    """No usable answer this time: timeout, DNS, reset, 5xx, 429. The same URL may work later."""


def not_public() -> Refused:
    """The refusal by policy."""
    return Refused(NOT_PUBLIC)
