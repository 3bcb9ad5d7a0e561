"""HTML of texts, examples and code on the pages; everything is escaped.

The style of the pages: one column, light or dark as the reader prefers, from 320 pixels of width.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

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
details { border: 1px solid var(--line); border-radius: .375rem; margin: .5rem 0; padding: 0 .75rem; }
details > summary { cursor: pointer; padding: .6rem 0; }
details details { border: 0; margin: 0; padding: 0; }
details details > summary { padding: .25rem 0; }
summary b { display: inline-block; min-width: 3.75rem; }
summary span { display: block; padding-left: 1.1rem; }
pre { max-height: 34rem; overflow-y: auto; }
.wide { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; overflow-wrap: normal; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; }
dl > div { padding: .6rem 0; border-bottom: 1px solid var(--line); }
dl dd { margin: .15rem 0 0; }
dl p { margin: .25rem 0; }
:target { outline: 2px solid var(--link); outline-offset: 4px; scroll-margin-top: 1rem; }
ul { padding-left: 1.25rem; margin: .25rem 0; }
small { opacity: .8; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --soft: #222; --link: #8ab4f8; }
  body { color: #ececec; background: #161616; }
}
@media print { details > * { display: block; } }
"""


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
