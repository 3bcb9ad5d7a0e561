"""The pages for people: ``/``, ``/docs``, ``/reference``, ``/runbooks``; and the documents for programs.

The page at ``/``: what this server is, and where to go from here.

The page at ``/runbooks``: config/runbooks.md, where the links of the alerts lead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from html import escape
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Any

from fastapi import FastAPI
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

import config
from pipeline.api.http.representation import NegotiatedResponse
from pipeline.api.openapi.document import DOCUMENTS, PARTNER, Document
from pipeline.api.openapi.operation import PARTNER_API
from pipeline.api.reference.markup import STYLE, build_csp, make_anchor, render_block, render_page
from pipeline.api.reference.page import render_document
from pipeline.api.state import get_app_state

FILE = Path(config.__file__).with_name("runbooks.md")


def render_runbooks() -> bytes:
    """Return the page. Each alert's section has its name, in lower case, as its id."""
    markdown = MarkdownIt("commonmark", {"html": False})
    markdown.add_render_rule("fence", _render_commands)
    tokens = markdown.parse(FILE.read_text("utf-8"))
    alerts = [(a, b.content) for a, b in pairwise(tokens) if (a.type, a.tag) == ("heading_open", "h2")]
    for opening, name in alerts:
        opening.attrSet("id", make_anchor(name))
    links = "\n".join(f'<li><a href="#{make_anchor(name)}">{escape(name)}</a></li>' for _, name in alerts)
    contents = f'<nav aria-label="Contents"><ul>\n{links}\n</ul></nav>'
    html = markdown.renderer.render(tokens, markdown.options, {})
    return render_page("page.html", "Runbooks", main=html.replace("</h1>", f"</h1>{contents}", 1))


def _render_commands(_: Any, tokens: Sequence[Token], n: int, *__: Any) -> str:
    return render_block(tokens[n].content, "Commands")


_LINKS = (
    ("/dashboard/", "Dashboard", "for people: what needs attention, every post and why it waits"),
    ("/reference", "Reference", "every operation with samples, error codes, and the limits of the platforms"),
    ("/openapi.json", "openapi.json", "the same for programs and generators of clients"),
    ("/reference.md", "reference.md", "the same as Markdown"),
    ("/llms.txt", "llms.txt", "the same as an index, for programs that read texts"),
    ("/skill.md", "skill.md", "for agents: how to post with one shell script"),
    ("/reference#error-codes", "Error codes", "what each means, and what to do"),
    ("/reference#platforms", "Platforms", "what each takes: types, sizes, lengths, options"),
    ("/runbooks", "Runbooks", "for the operator: what each alert means, and what to type"),
    ("/healthz", "Health", "whether this process is up"),
    ("/readyz", "Readiness", "whether posts are accepted and sent, part by part"),
)


def render_home(url: str) -> bytes:
    """Return the page. *url* is where clients reach the server."""
    curl = f"export SLIPWAY_KEY='<public id>.<secret>'\ncurl -sS {quote(url)}{PARTNER_API}/accounts \\\n"
    sample = render_block(curl + '  -H "Authorization: Bearer $SLIPWAY_KEY"', "First request")
    return render_page("home.html", "Slipway", links=_LINKS, sample=sample)


_PLAIN = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
_HEADERS = {**_PLAIN, "Content-Security-Policy": build_csp(STYLE), "Referrer-Policy": "no-referrer"}

_OF_DOCUMENTS = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding, Origin"}
_REFERENCE_CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HERE = Path(__file__).parent
_FILES = {
    "/reference/reference.css": (_HERE / "static/reference.css", "text/css"),
    "/reference/reference.js": (_HERE / "static/reference.js", "text/javascript"),
    "/skill.md": (_HERE.with_name("skill") / "SKILL.md", "text/markdown"),
    "/skill/slipway.sh": (_HERE.with_name("skill") / "slipway.sh", "text/x-shellscript"),
}
"""Address -> file, with its type: those of the reference, and the skill of agents."""


Render = Callable[[str], bytes]
"""Makes a page for clients that reach the server at this URL."""


def add_pages(app: FastAPI, describe: Callable[[Document], dict[str, Any]]) -> None:
    """Add the routes of the pages and the documents to *app*. *describe* returns a document."""

    def add(
        path: str, render: Render, media_type: str = "text/html", headers: Mapping[str, str] = _HEADERS
    ) -> None:
        app.add_route(path, partial(_show, cache(render), media_type, headers), include_in_schema=False)

    def refer(template: str) -> Render:
        return lambda url: render_document(template, describe(PARTNER), url)

    add("/", render_home)
    add(
        "/reference", refer("reference.html"), headers={**_HEADERS, "Content-Security-Policy": _REFERENCE_CSP}
    )
    add("/reference.md", refer("markdown.txt"), "text/markdown", _PLAIN)
    add("/llms.txt", refer("llms.txt"), "text/plain", _PLAIN)
    add("/runbooks", lambda _url: render_runbooks())
    app.add_route("/docs", redirect_to_reference, include_in_schema=False)
    for address, (file, media_type) in _FILES.items():
        add(address, partial(_keep, file.read_bytes()), media_type, _PLAIN)
    for document in DOCUMENTS:
        add(document.url, partial(_dump, describe, document), "application/json", _OF_DOCUMENTS)


async def _show(render: Render, media_type: str, headers: Mapping[str, str], request: Request) -> Response:
    """Return the page, which is rendered once per process."""
    content = render(get_app_state(request).context.settings.own_url)
    return NegotiatedResponse(content, headers=headers, media_type=media_type)


def _keep(content: bytes, _url: str) -> bytes:
    return content


def _dump(describe: Callable[[Document], dict[str, Any]], document: Document, _url: str) -> bytes:
    return to_json(describe(document))


async def redirect_to_reference(_request: Request) -> Response:
    """Lead from the usual address to the reference. Some clients take a redirect without a body for a failure."""
    headers = {**_HEADERS, "Location": "/reference"}
    return NegotiatedResponse(render_page("moved.html", "Reference"), 307, headers, "text/html")
