"""The reference: the OpenAPI document as an HTML page, with code samples, error codes and the limits of the platforms.

It is rendered once, on the server, and loads and runs nothing: no script to vendor, and it works without a network. It
folds with ``details`` elements, so that the keyboard and the browser's search work.

HTML tables of what each platform takes, and of its options, made of the adapters' own data.

HTML lists of the error and warning codes: cause, what to do, and an answer with the code; each has an address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any

from adapters.contract import Capabilities, Platform, PostForm
from adapters.limit import Limit
from adapters.post_options import PostOptions
from pipeline.api.openapi.codes import ACCOUNT_ERRORS, CODES, WARNINGS, Advice
from pipeline.api.openapi.sample_requests import read_recorded
from pipeline.api.reference.code_samples import write_samples
from pipeline.api.reference.markup import (
    STYLE,
    list_fields,
    make_anchor,
    mark_code,
    render_block,
    render_example,
    render_page,
    render_table,
    to_html,
)
from pipeline.wiring import list_capabilities, list_post_options

_FORMS: Mapping[PostForm, str] = {
    PostForm.VIDEO: "one video",
    PostForm.IMAGE: "one image",
    PostForm.IMAGES: "several images",
}
_TIMES = (("h", 3600), ("min", 60))
_SIZES = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
_ORDER = ("text", "post", "image", "video")
_SOFT = "not enforced"
_NOTE = (
    "<p>A post that exceeds a limit is refused with <code>validation_failed</code> before it is accepted, where the "
    "facts are known by then. What exceeds a limit that is <em>not enforced</em> is published all the same: "
    "shortened, in another form, or with a warning.</p>"
    "<p>Images are made to fit: one of another type (JPEG, PNG, WebP, GIF or AVIF) or over a limit of size goes out as "
    "a JPEG within it, with the warning <code>MEDIA_CONVERTED</code>. One of a refused width : height is refused "
    "unless the post says <code>media.fit</code>. Animations and HEIC are refused; videos are never changed.</p>"
)


def render_platforms() -> str:
    """Return the tables of all platforms."""
    options = list_post_options()
    parts = [_render_platform(p, c, options.get(p)) for p, c in list_capabilities().items()]
    return "\n".join([_NOTE, *parts])


def _render_platform(platform: Platform, found: Capabilities, options: type[PostOptions] | None) -> str:
    name = escape(found.display_name)
    limits = render_table(
        f"Limits of {found.display_name}",
        ("Of", "Rule", "Limit", "Account"),
        (
            (limit.of, escape(limit.rule), _describe(limit), escape(limit.connection or "any"))
            for limit in sorted(found.limits, key=lambda limit: _ORDER.index(limit.of))
        ),
    )
    facts = "".join(f"<li>{fact}</li>" for fact in _list_facts(found))
    section = _render_options(found.display_name, options) if options else ""
    return f'<h3 id="platform-{platform}">{name}</h3>\n<ul>{facts}</ul>\n{limits}{section}'


def _list_facts(found: Capabilities) -> Iterator[str]:
    for form, name in _FORMS.items():
        kind = found.post_kinds.get(form)
        yield f"{name}: " + (f"published as <code>{escape(kind)}</code>" if kind else "refused")
    if found.daily_posts is not None:
        whose = "account" if found.daily_per == "account" else "app of this server, over all accounts"
        yield f"at most {found.daily_posts:,} posts in 24 hours per {whose}; more are published later"
    if found.daily_drafts is not None:
        yield f"at most {found.daily_drafts:,} inbox drafts in 24 hours per account, in addition to the posts"
    if found.pulls_media:
        yield "the platform fetches some media itself: their URLs must be reachable from the internet"


def _render_options(name: str, options: type[PostOptions]) -> str:
    schema = options.model_json_schema()
    fields = list_fields(schema, schema.get("$defs", {}))
    whose = "all accounts are" if options.accounts == "all" else "at least one account is"
    return (
        f"<details><summary>Options: <code>{options.platform}</code>, when {whose} {name}</summary>"
        f"<ul>{fields}</ul></details>"
    )


def _describe(limit: Limit) -> str:
    text = escape(", ".join(limit.values)) if limit.values else _describe_range(limit)
    return text if limit.is_enforced else f"{text} <small>{_SOFT}</small>"


def _describe_range(limit: Limit) -> str:
    least, most = (None if n is None else _format(n, limit.unit) for n in (limit.least, limit.most))
    unit = "" if limit.unit in ("bytes", "seconds") else f" {limit.unit}".rstrip()
    if least is not None and most is not None:
        return f"{least} to {most}{unit}"
    return f"at most {most}{unit}" if least is None else f"at least {least}{unit}"


def _format(number: float, unit: str) -> str:
    if unit == "bytes":
        return next(
            (f"{number / size:,.4g} {name}" for name, size in _SIZES if number >= size),
            f"{number:,.0f} bytes",
        )
    if unit == "seconds":
        return next(
            (f"{number / size:g} {name}" for name, size in _TIMES if number >= size and number % size == 0),
            f"{number:g} s",
        )
    return f"{number:,.0f}" if number == int(number) else f"{number:.3g}"


_ERRORS = (
    "Errors of responses: <code>error_code</code>. "
    "Each response carries the address of its code in <code>help</code>."
)
_ACCOUNT_ERRORS = (
    "Errors of a post at one account: <code>accounts.states[].error.code</code>. They are not errors of a request. "
    "A code that is not listed here is listed above."
)
_WARNINGS = "Warnings: <code>warnings[].code</code>. They never stop a post."


def render_codes() -> Iterator[tuple[str, str]]:
    """Yield heading and HTML of each list."""
    yield "Error codes", _render_list(_ERRORS, "error", CODES)
    yield "Account errors", _render_list(_ACCOUNT_ERRORS, "error", ACCOUNT_ERRORS)
    yield "Warnings", _render_list(_WARNINGS, "warning", WARNINGS)


def _render_list(about: str, kind: str, advice: Mapping[str, Advice]) -> str:
    items = "\n".join(_render_code(kind, code, advice[code]) for code in sorted(advice))
    return f"<p>{about}</p>\n<dl>\n{items}\n</dl>"


def _render_code(kind: str, code: str, advice: Advice) -> str:
    anchor = f"{kind}-{code.lower()}"
    answers = list(_find_answers(code)) if kind == "error" else []
    statuses = (
        "".join(f" <small>{status}</small>" for status in CODES[code].statuses) if code in CODES else ""
    )
    examples = "".join(render_example(answer) for answer in answers)
    shown = f"<details><summary>Answer</summary>{examples}</details>" if examples else ""
    return (
        f'<div id="{anchor}"><dt><a href="#{anchor}"><code>{escape(code)}</code></a>{statuses}</dt>\n'
        f"<dd><p>{mark_code(advice.cause)}</p>\n<p><b>What to do:</b> {mark_code(advice.action)}</p>{shown}</dd></div>"
    )


def _find_answers(code: str) -> Iterator[Any]:
    errors = read_recorded().errors
    for name in sorted(errors):
        if name.partition(" ")[2] == code:
            yield errors[name]


_BODY = """<a class="skip" href="#operations">To the operations</a>
<main>
<h1>{title}</h1>
<p><a href="/">What this is</a> · <a href="/openapi.json">openapi.json</a> says the same to programs.</p>
<nav aria-label="Contents"><ul>
{nav}
</ul></nav>
{about}
<h2 id="samples">Samples</h2>
<p>Each operation has samples in curl, Python (with <code>requests</code>) and TypeScript (for Node 18 and later). They
take the server and the key from the environment:</p>
{environment}
<div id="operations">
{body}
</div>
</main>"""
_ENVIRONMENT = "export SLIPWAY_URL={url}\nexport SLIPWAY_KEY='<public id>.<secret>'"


def render_reference(spec: Mapping[str, Any], url: str) -> bytes:
    """Return the page of an OpenAPI document, in UTF-8. *url* is where clients reach the server."""
    tags = {tag["name"]: tag.get("description", "") for tag in spec["tags"]}
    sections = [
        *((name, "\n".join(_tag(spec, name, about))) for name, about in tags.items()),
        *render_codes(),
        ("Platforms", render_platforms()),
        ("Changelog", _changelog(spec["info"]["x-changelog"])),
    ]
    nav = [f'<li><a href="#{make_anchor(name)}">{escape(name)}</a></li>' for name, _ in sections]
    body = [f'<h2 id="{make_anchor(name)}">{escape(name)}</h2>\n{html}' for name, html in sections]
    page = _BODY.format(
        title=escape(spec["info"]["title"]),
        about=to_html(spec["info"]["description"]),
        environment=render_block(_ENVIRONMENT.format(url=url), "Environment"),
        nav="\n".join(nav),
        body="\n".join(body),
    )
    return render_page(escape(spec["info"]["title"]), STYLE, page)


def _changelog(releases: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"<h3>{escape(release['version'])}</h3>\n<ul>"
        + "".join(f"<li>{to_html(change)}</li>" for change in release["changes"])
        + "</ul>"
        for release in releases
    )


def _tag(spec: Mapping[str, Any], name: str, about: str) -> Iterator[str]:
    yield to_html(about)
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
    parts.append("<h3>Samples</h3>")
    samples = write_samples(method, path, operation)
    parts += [
        f"<details><summary>{language}</summary>{render_block(code, language)}</details>"
        for language, code in samples.items()
    ]
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
    codes = _link_codes(response)
    return f"<details><summary>{summary}</summary>\n{codes}{_content(spec, response)}{header_list}</details>"


def _link_codes(response: Mapping[str, Any]) -> str:
    """Return links to what the reference says of the response's error codes."""
    codes = response.get("content", {}).get("application/json", {}).get("examples", {})
    links = [f'<a href="#error-{escape(code)}">{escape(code)}</a>' for code in codes]
    return f"<p>Cause and what to do: {', '.join(links)}</p>\n" if links else ""


def _content(spec: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    parts = []
    for media_type, content in part.get("content", {}).items():
        parts.append(f"<p><code>{escape(media_type)}</code></p>")
        schema = content.get("schema", {})
        if "example" in content and (fields := list_fields(schema, spec["components"]["schemas"])):
            parts.append(f"<ul>{fields}</ul>")
        examples = [content["example"]] if "example" in content else []
        examples += [example["value"] for example in content.get("examples", {}).values()]
        parts += [render_example(value) for value in examples]
    return "\n".join(parts)
