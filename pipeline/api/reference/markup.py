"""HTML of texts, examples, code and the fields of JSON schemas on the pages; everything is escaped.

The common frame of the HTML pages. They load and run nothing, so their content policy needs no exception.

The style of the pages: one column, light or dark as the reader prefers, from 320 pixels of width.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
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


MAX_DEPTH = 6
"""Levels of nesting that are shown."""

_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "up to {}",
    "default": "default {}",
}


def list_fields(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> str:
    """Return the ``li`` elements for the properties of an object, or an empty string."""
    schema = _dereference(schema, schemas)
    required = schema.get("required", ())
    items = [
        _field(name, part, schemas, depth, is_required=name in required)
        for name, part in schema.get("properties", {}).items()
    ]
    return "\n".join(items)


def _field(
    name: str, part: Mapping[str, Any], schemas: Mapping[str, Any], depth: int, *, is_required: bool
) -> str:
    facts = [_type(part, schemas), *_limits(part, schemas)] + (["required"] if is_required else [])
    text = f"<code>{escape(name)}</code> <small>{escape(', '.join(facts))}</small>"
    if description := part.get("description"):
        text += f" {escape(description)}"
    nested = "".join(_nested(part, schemas, depth)) if depth < MAX_DEPTH else ""
    return f"<li>{text}{nested}</li>"


def _nested(part: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Iterator[str]:
    for branch in _branches(part, schemas):
        fields = list_fields(branch.get("items", branch), schemas, depth + 1)
        if fields:
            yield f"<ul>{fields}</ul>"


def _branches(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the alternatives without null, dereferenced."""
    schema = _dereference(part, schemas)
    branches = schema.get("oneOf") or schema.get("anyOf") or [schema]
    return [_dereference(branch, schemas) for branch in branches if branch != {"type": "null"}]


def _type(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    names = [_type_name(branch, schemas) for branch in _branches(part, schemas)]
    is_nullable = {"type": "null"} in part.get("anyOf", ())
    return " or ".join(dict.fromkeys(names)) + (" or null" if is_nullable else "")


def _type_name(branch: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "const" in branch or "enum" in branch:
        return " | ".join(str(value) for value in branch.get("enum") or [branch["const"]])
    name = branch.get("type", "any")
    if name == "array":
        return f"array of {_type(branch.get('items', {}), schemas)}"
    return str(branch.get("format", name))


def _limits(part: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    return [
        text.format(branch[name])
        for branch in (*_branches(part, schemas), {"default": part.get("default")})
        for name, text in _LIMITS.items()
        if branch.get(name) not in (None, [], {}, False)
    ]


def _dereference(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema behind ``$ref``."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema
