"""The OpenAPI document as an HTML page.

It is rendered once, on the server, and loads and runs nothing: no script to vendor, and it works without a network. It
folds with ``details`` elements, so that the keyboard and the browser's search work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.html_page import build_csp, render_page
from pipeline.api.openapi.error_codes import CODES
from pipeline.api.openapi.fields import list_fields

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
ul { padding-left: 1.25rem; margin: .25rem 0; }
small { opacity: .8; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --soft: #222; --link: #8ab4f8; }
  body { color: #ececec; background: #161616; }
}
@media print { details > * { display: block; } }
"""
_HEADERS = {
    "Content-Security-Policy": build_csp(STYLE),
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
_BODY = """<a class="skip" href="#operations">To the operations</a>
<main>
<h1>{title}</h1>
{about}
<p><a href="/openapi.json">openapi.json</a> says the same to programs.</p>
<nav aria-label="Tags"><ul>
{nav}
</ul></nav>
<div id="operations">
{body}
</div>
</main>"""


async def show(request: Request) -> Response:
    """Return the API reference."""
    app = request.app
    if not hasattr(app.state, "reference"):
        app.state.reference = render_reference(app.openapi())
    return Response(app.state.reference, headers=_HEADERS, media_type="text/html; charset=utf-8")


def render_reference(spec: Mapping[str, Any]) -> bytes:
    """Return the page of an OpenAPI document, in UTF-8."""
    title = escape(spec["info"]["title"])
    tags = {tag["name"]: tag.get("description", "") for tag in spec["tags"]}
    nav = [f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>' for name in (*tags, "Error codes")]
    body = [part for name, about in tags.items() for part in _tag(spec, name, about)]
    page = _BODY.format(
        title=title,
        about=to_html(spec["info"]["description"]),
        nav="\n".join(nav),
        body="\n".join([*body, *_codes()]),
    )
    return render_page(title, STYLE, page)


def to_html(text: str) -> str:
    """Convert Markdown to HTML: paragraphs, bold and code only."""
    marked = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text, quote=False))
    marked = re.sub(r"`(.+?)`", r"<code>\1</code>", marked, flags=re.DOTALL)
    return "\n".join(f"<p>{part.strip()}</p>" for part in marked.split("\n\n") if part.strip())


def _tag(spec: Mapping[str, Any], name: str, about: str) -> Iterator[str]:
    yield f'<h2 id="{_anchor(name)}">{escape(name)}</h2>\n{to_html(about)}'
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if name in operation["tags"]:
                yield _operation(spec, method.upper(), path, operation)


def _operation(spec: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    key = "Needs a key." if operation.get("security") else "Needs no key."
    parts = [to_html(operation.get("description", "")), f"<p><small>{key}</small></p>"]
    if parameters := operation.get("parameters"):
        items = "".join(_parameter(spec, parameter) for parameter in parameters)
        parts.append(f"<h3>Parameters</h3>\n<ul>{items}</ul>")
    if body := operation.get("requestBody"):
        parts.append("<h3>Body</h3>\n" + _content(spec, body))
    parts.append("<h3>Responses</h3>")
    parts += [_response(spec, *item) for item in sorted(operation["responses"].items())]
    summary = f"<b>{method}</b> <code>{escape(path)}</code> <span>{escape(operation['summary'])}</span>"
    operation_id = escape(operation["operationId"])
    return f'<details id="{operation_id}"><summary>{summary}</summary>\n' + "\n".join(parts) + "\n</details>"


def _parameter(spec: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    schema = {"properties": {parameter["name"]: parameter["schema"]}}
    field = list_fields(schema, spec["components"]["schemas"])
    optional = "" if parameter.get("required") else ", optional"
    where = f"<small>in the {parameter['in']}{optional}</small>"
    return field.removesuffix("</li>") + f" {where} {escape(parameter.get('description', ''))}</li>"


def _response(spec: Mapping[str, Any], status: str, response: Mapping[str, Any]) -> str:
    phrase, description = HTTPStatus(int(status)).phrase, escape(response["description"])
    summary = f"<b>{status} {phrase}</b> <span>{description}</span>"
    headers = "".join(
        f"<li><code>{escape(name)}</code> {escape(header.get('description', ''))}</li>"
        for name, header in response.get("headers", {}).items()
    )
    header_list = f"<p>Headers:</p>\n<ul>{headers}</ul>" if headers else ""
    return f"<details><summary>{summary}</summary>\n{_content(spec, response)}{header_list}</details>"


def _content(spec: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    parts = []
    for media_type, content in part.get("content", {}).items():
        parts.append(f"<p><code>{escape(media_type)}</code></p>")
        schema = content.get("schema", {})
        if "example" in content and (fields := list_fields(schema, spec["components"]["schemas"])):
            parts.append(f"<ul>{fields}</ul>")
        examples = [content["example"]] if "example" in content else []
        examples += [example["value"] for example in content.get("examples", {}).values()]
        parts += [_pre(value) for value in examples]
    return "\n".join(parts)


def _pre(value: Any) -> str:
    text = escape(json.dumps(value, indent=2, ensure_ascii=False), quote=False)
    return f'<pre tabindex="0" role="region" aria-label="Example">{text}</pre>'


def _codes() -> Iterator[str]:
    yield '<h2 id="error-codes">Error codes</h2>\n<p>Each with an example of its message.</p>\n<ul>'
    for code, error in sorted(CODES.items()):
        yield f"<li><code>{code}</code> {escape(error.example)}</li>"
    yield "</ul>"


def _anchor(name: str) -> str:
    return escape(name.lower().replace(" ", "-"))
