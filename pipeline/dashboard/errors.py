"""Pages for errors."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.envelope import RETRY_AFTER
from pipeline.dashboard.cross_site import CrossSite
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Forbidden
from pipeline.stages.post_request import Refusal
from pipeline.store.database import Unreachable

_TITLES: Mapping[int, str] = {
    400: "The request cannot be read",
    403: "Not allowed",
    404: "Not found",
    409: "Changed in the meantime",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Not available now",
}
_SENTENCES: Mapping[int, str] = {
    404: "There is nothing at this address, or nothing that you may see.",
    405: "This address does not take this kind of request.",
    500: "It is in the server's log. What was asked for may or may not have been done: look before you repeat it.",
}


def render_error(request: Request, error: Exception) -> Response:
    """Return the page for an exception; 500 for one that is a bug. Headers of the exception are kept."""
    status, sentence, headers = _describe(error)
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    visitor = getattr(request.state, "visitor", None)
    response = render(request, visitor, "error.html", status, title=title, sentence=sentence, code=status)
    response.headers.update(headers)
    return response


def _describe(error: Exception) -> tuple[int, str, Mapping[str, str]]:
    match error:
        case Forbidden() | CrossSite():
            return 403, str(error), {}
        case Refusal():
            always = {"Retry-After": str(RETRY_AFTER)} if error.status == 503 else {}  # noqa: PLR2004  an HTTP status
            return error.status, error.message, {**always, **getattr(error, "headers", {})}
        case Unreachable():
            sentence = "The database cannot be reached. Repeat the request in a few seconds."
            return 503, sentence, {"Retry-After": str(RETRY_AFTER)}
        case HTTPException():
            is_own = error.detail != HTTPStatus(error.status_code).phrase
            sentence = error.detail if is_own else _SENTENCES.get(error.status_code, error.detail)
            return error.status_code, sentence, error.headers or {}
        case _:
            return 500, _SENTENCES[500], {}
