"""Refuse requests that another site's page sends with the visitor's cookie: by their origin, and by a token."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request

from pipeline.dashboard.ledger import get_state

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_FIELD, TOKEN_HEADER = "csrf", "x-csrf-token"


class CrossSite(Exception):
    """The request did not come from a page of the dashboard."""


def require_own_origin(request: Request) -> None:
    """Raise CrossSite unless the browser says that a page of this server sent the request.

    Every browser since 2020 sends Origin with what is not GET (Fetch standard, section 3.2, read 2026-11-27).
    Sec-Fetch-Site stands for it where something on the way has removed it.
    """
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site") == "same-origin":
            return
        raise CrossSite("The request does not say which page sent it.")
    if origin not in _list_own_origins(request):
        raise CrossSite("The request was sent by a page of another site.")


def require_token(request: Request, form: FormData, expected: str) -> None:
    """Raise CrossSite unless the request repeats the token of the session's pages, in a field or a header."""
    given = request.headers.get(TOKEN_HEADER) or form.get(TOKEN_FIELD)
    is_equal = isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
    if not (expected and is_equal):
        raise CrossSite("The page is out of date: reload it and try again.")


def _list_own_origins(request: Request) -> set[str]:
    """Return the origins of this server: a proxy in front may end TLS, so both schemes of its host count."""
    host = request.headers.get("host", "")
    own = {f"https://{host}", f"http://{host}"} if host else set()
    public = urlsplit(get_state(request).context.settings.api.public_url)
    return own | ({f"{public.scheme}://{public.netloc}"} if public.netloc else set())
