"""The pages for people: ``/``, ``/docs``, ``/reference``, ``/runbooks``; and the documents for programs.

The page at ``/``: what this server is, and where to go from here.

The page at ``/runbooks``: config/runbooks.md, where the links of the alerts lead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
from pipeline.api.openapi.document import DOCUMENTS, Document
from pipeline.api.openapi.operation import PARTNER_API
from pipeline.api.reference.markup import STYLE, build_csp, make_anchor, render_block, render_page
from pipeline.api.reference.page import render_index, render_markdown, render_reference
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
    return render_page("Runbooks", STYLE, f"<main>\n{html.replace('</h1>', f'</h1>{contents}', 1)}</main>")


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
_BODY = """<main>
<h1>Slipway</h1>
<p>This server takes one post over HTTP (a caption, a video, a slideshow, a PDF or no file, a list of accounts, a time)
and publishes it to TikTok, Instagram, YouTube, Pinterest, LinkedIn and Facebook: once each, on time. It can say at
any time where each stands.</p>
<h2>Documents</h2>
<ul>
{links}
</ul>
<h2>First request</h2>
<p>With a key of this server (<code>slipway key create</code>), this lists the accounts it may publish to:</p>
{sample}
</main>"""
_MOVED = (
    '<main>\n<h1>Reference</h1>\n<p>The reference is at <a href="/reference">/reference</a>.</p>\n</main>'
)


def render_home(url: str) -> bytes:
    """Return the page. *url* is where clients reach the server."""
    links = "\n".join(
        f'<li><a href="{address}">{escape(name)}</a>: {escape(about)}</li>' for address, name, about in _LINKS
    )
    curl = f"export SLIPWAY_KEY='<public id>.<secret>'\ncurl -sS {quote(url)}{PARTNER_API}/accounts \\\n"
    sample = render_block(curl + '  -H "Authorization: Bearer $SLIPWAY_KEY"', "First request")
    return render_page("Slipway", STYLE, _BODY.format(links=links, sample=sample))


def render_moved() -> bytes:
    """Return the page for clients that do not follow a redirect."""
    return render_page("Reference", STYLE, _MOVED)


_PLAIN = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
_HEADERS = {**_PLAIN, "Content-Security-Policy": build_csp(STYLE), "Referrer-Policy": "no-referrer"}

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


class HtmlResponse(NegotiatedResponse):
    """A page of this module."""

    media_type = "text/html"


def add_pages(app: FastAPI, describe: Callable[[Document], dict[str, Any]]) -> None:
    """Add the routes of the pages and the documents to *app*. *describe* returns a document."""
    app.add_route("/", show_home, include_in_schema=False)
    app.add_route("/docs", redirect_to_reference, include_in_schema=False)
    app.add_route("/reference", show_reference, include_in_schema=False)
    app.add_route(
        "/reference.md", partial(show_text, "text/markdown", render_markdown), include_in_schema=False
    )
    app.add_route("/llms.txt", partial(show_text, "text/plain", render_index), include_in_schema=False)
    for address, (file, media_type) in _FILES.items():
        app.add_route(address, partial(send_file, file.read_bytes(), media_type), include_in_schema=False)
    app.add_route("/runbooks", show_runbooks, include_in_schema=False)
    for document in DOCUMENTS:
        show = partial(show_document, document, describe)
        app.add_route(document.url, show, include_in_schema=False)


async def show_home(request: Request) -> Response:
    """Say what this server is, and where its documents are."""
    return _respond(request, "home", render_home)


async def show_reference(request: Request) -> Response:
    """Return the API reference."""
    content = _render(request, "reference", lambda url: render_reference(request.app.openapi(), url))
    return HtmlResponse(content, headers={**_HEADERS, "Content-Security-Policy": _REFERENCE_CSP})


async def show_text(
    media_type: str, render: Callable[[Mapping[str, Any], str], bytes], request: Request
) -> Response:
    """Return the reference in a form for programs."""
    content = _render(request, media_type, lambda url: render(request.app.openapi(), url))
    return NegotiatedResponse(content, headers=_PLAIN, media_type=media_type)


async def send_file(content: bytes, media_type: str, _request: Request) -> Response:
    """Return a file as it is."""
    return NegotiatedResponse(content, headers=_PLAIN, media_type=media_type)


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
    """Return the page."""
    return HtmlResponse(_render(request, name, render), headers=_HEADERS)


def _render(request: Request, name: str, render: Callable[[str], bytes]) -> bytes:
    """Return the content, which is rendered once per process."""
    pages: dict[str, bytes] = request.app.state.pages
    if name not in pages:
        pages[name] = render(get_app_state(request).context.settings.own_url)
    return pages[name]
