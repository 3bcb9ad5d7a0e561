"""HTML of texts, examples and code on the pages; everything is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any


def to_html(text: str) -> str:
    """Convert Markdown to HTML: paragraphs, bold and code only."""
    return "\n".join(f"<p>{mark_code(part.strip())}</p>" for part in text.split("\n\n") if part.strip())


def mark_code(text: str) -> str:
    """Convert one paragraph of Markdown to HTML: bold and code only."""
    marked = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text, quote=False))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", marked, flags=re.DOTALL)


def render_example(value: Any) -> str:
    """Return a JSON value as a block."""
    return render_block(json.dumps(value, indent=2, ensure_ascii=False), "Example")


def render_block(text: str, label: str) -> str:
    """Return preformatted text. It scrolls sideways, so the keyboard reaches it."""
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}">{escape(text, quote=False)}</pre>'


def render_table(label: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose cells are HTML; the first cell of a row is its heading."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def make_anchor(name: str) -> str:
    """Return the id of a heading."""
    return escape(name.lower().replace(" ", "-"))
