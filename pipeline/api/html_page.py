"""The common frame of the HTML pages. They load and run nothing, so their content policy needs no exception."""

from __future__ import annotations

import base64
import hashlib

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
