"""The common frame of the start page, the runbooks and the pages of OAuth, with their content policy.

They load and run nothing. Their style is one column, light or dark as the reader prefers, from 320 pixels of width.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def read_style(name: str) -> str:
    """Return a style of the folder ``static``, which stands in the page itself."""
    return (Path(__file__).parent / "static" / name).read_text("utf-8")


STYLE = read_style("page.css")


def render_block(text: str, label: str) -> str:
    """Return preformatted text. It scrolls sideways, so the keyboard reaches it."""
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{escape(text, quote=False)}</pre>'


def make_anchor(name: str) -> str:
    """Return the id of a heading."""
    return escape(name.lower().replace(" ", "-"))


@cache
def load_templates() -> Environment:
    """Return the templates of this package."""
    return Environment(
        loader=PackageLoader("pipeline.api.reference"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(template: str, title: str, style: str = STYLE, **values: Any) -> bytes:
    """Return a page with the frame of ``page.html``."""
    found = load_templates().get_template(template)
    return found.render(title=title, style=style, **values).encode("utf-8", "replace")


def build_csp(style: str, form: str = "'none'") -> str:
    """Return the Content-Security-Policy of a page with this style. *form* is where its forms may be sent."""
    sha256 = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{sha256}'; base-uri 'none'; form-action {form}; "
        "frame-ancestors 'none'"
    )
