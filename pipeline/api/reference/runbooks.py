"""The page at ``/runbooks``: config/runbooks.md, where the links of the alerts lead."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

import config
from pipeline.api.html_page import render_page
from pipeline.api.reference.markup import make_anchor, render_block
from pipeline.api.reference.style import STYLE

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
