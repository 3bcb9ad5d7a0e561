"""The pages for people: ``/``, ``/docs``, ``/reference``, ``/runbooks``; and the OpenAPI documents for programs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.html_page import build_csp
from pipeline.api.http.representation import NegotiatedResponse
from pipeline.api.openapi.document import DOCUMENTS, Document
from pipeline.api.reference.home import render_home, render_moved
from pipeline.api.reference.page import render_reference
from pipeline.api.reference.runbooks import render_runbooks
from pipeline.api.reference.style import STYLE
from pipeline.api.state import get_app_state

_HEADERS = {
    "Content-Security-Policy": build_csp(STYLE),
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class HtmlResponse(NegotiatedResponse):
    """A page of this module."""

    media_type = "text/html"


def add_pages(app: FastAPI, describe: Callable[[Document], dict[str, Any]]) -> None:
    """Add the routes of the pages and the documents to *app*. *describe* returns a document."""
    app.add_route("/", show_home, include_in_schema=False)
    app.add_route("/docs", redirect_to_reference, include_in_schema=False)
    app.add_route("/reference", show_reference, include_in_schema=False)
    app.add_route("/runbooks", show_runbooks, include_in_schema=False)
    for document in DOCUMENTS:
        show = partial(show_document, document, describe)
        app.add_route(document.url, show, include_in_schema=False)


async def show_home(request: Request) -> Response:
    """Say what this server is, and where its documents are."""
    return _respond(request, "home", render_home)


async def show_reference(request: Request) -> Response:
    """Return the API reference."""
    return _respond(request, "reference", lambda url: render_reference(request.app.openapi(), url))


async def show_runbooks(request: Request) -> Response:
    """Return what each alert means, and what to do."""
    return _respond(request, "runbooks", lambda _url: render_runbooks())


async def redirect_to_reference(_request: Request) -> Response:
    """Lead from the usual address to the reference. Some clients take a redirect without a body for a failure."""
    return HtmlResponse(render_moved(), 307, {**_HEADERS, "Location": "/reference"})


async def show_document(
    document: Document, describe: Callable[[Document], dict[str, Any]], request: Request
) -> Response:
    """Return an OpenAPI document."""
    pages: dict[str, bytes] = request.app.state.pages
    if document.url not in pages:
        pages[document.url] = to_json(describe(document))
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding, Origin"}
    return NegotiatedResponse(pages[document.url], headers=headers, media_type="application/json")


def _respond(request: Request, name: str, render: Callable[[str], bytes]) -> Response:
    """Return the page, which is rendered once per process."""
    pages: dict[str, bytes] = request.app.state.pages
    if name not in pages:
        pages[name] = render(get_app_state(request).context.settings.own_url)
    return HtmlResponse(pages[name], headers=_HEADERS)
