"""The page at ``/``: what this server is, and where to go from here."""

from __future__ import annotations

from html import escape
from shlex import quote

from pipeline.api.html_page import render_page
from pipeline.api.openapi.operation import PARTNER_API
from pipeline.api.reference.markup import render_block
from pipeline.api.reference.style import STYLE

_LINKS = (
    ("/dashboard/", "Dashboard", "for people: what needs attention, every post and why it waits"),
    ("/reference", "Reference", "every operation with samples, error codes, and the limits of the platforms"),
    ("/openapi.json", "openapi.json", "the same for programs and generators of clients"),
    ("/reference#error-codes", "Error codes", "what each means, and what to do"),
    ("/reference#platforms", "Platforms", "what each takes: types, sizes, lengths, options"),
    ("/runbooks", "Runbooks", "for the operator: what each alert means, and what to type"),
    ("/healthz", "Health", "whether this process is up"),
    ("/readyz", "Readiness", "whether posts are accepted and sent, part by part"),
)
_BODY = """<main>
<h1>Slipway</h1>
<p>This server takes one post over HTTP (a caption, a video or a slideshow, a list of accounts, a time) and publishes it
to TikTok, Instagram, YouTube, Pinterest, LinkedIn and Facebook: once each, on time. It can say at any moment where each
stands.</p>
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
    """Return the page for those who do not follow a redirect."""
    return render_page("Reference", STYLE, _MOVED)
