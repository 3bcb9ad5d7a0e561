"""The common frame of the start page, the runbooks and the pages of OAuth, with their content policy.

They load and run nothing. Their style is one column, light or dark as the reader prefers, from 320 pixels of width.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #d0d0d0; --soft: #f4f4f4; --link: #0b57d0; }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #1b1b1b;
       background: #fff; overflow-wrap: anywhere; }
a { color: var(--link); }
a.skip { position: absolute; left: -100rem; }
a.skip:focus { position: static; }
h2 { margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
code, pre { font: .875rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; overflow-wrap: normal; margin: .5rem 0; }
pre { max-height: 34rem; overflow-y: auto; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; }
:target { outline: 2px solid var(--link); outline-offset: 4px; scroll-margin-top: 1rem; }
ul { padding-left: 1.25rem; margin: .25rem 0; }
small { opacity: .8; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --soft: #222; --link: #8ab4f8; }
  body { color: #ececec; background: #161616; }
}
"""


def render_block(text: str, label: str) -> str:
    """Return preformatted text. It scrolls sideways, so the keyboard reaches it."""
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{escape(text, quote=False)}</pre>'


def make_anchor(name: str) -> str:
    """Return the id of a heading."""
    return escape(name.lower().replace(" ", "-"))


_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def render_page(title: str, style: str, body: str) -> bytes:
    """Return the page. *title* and *body* are HTML that the caller has escaped."""
    return _TEMPLATE.format(title=title, style=style, body=body).encode("utf-8", "replace")


def build_csp(style: str, form: str = "'none'") -> str:
    """Return the Content-Security-Policy of a page with this style. *form* is where its forms may be sent."""
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{sha256}'; base-uri 'none'; form-action {form}; "
        "frame-ancestors 'none'"
    )
