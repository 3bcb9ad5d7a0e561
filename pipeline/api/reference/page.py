"""The reference: tasks, operations, codes and platforms, as a page, as Markdown, and as an index for programs.

All three are rendered once, on the server, from the OpenAPI document and the data of the adapters. Renderers of npm
were tried under this page's policy in 2026-11: Redoc 2.5, RapiDoc 9.3, Scalar 1.46 and Elements 9.0 need inline styles,
are of 0.9 to 3.6 MB, and show neither tasks nor codes nor platforms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from adapters.contract import Capabilities, PostForm
from adapters.limit import Limit
from pipeline.api.openapi.codes import ACCOUNT_ERRORS, CODES, WARNINGS
from pipeline.api.openapi.rules import list_rules
from pipeline.api.openapi.sample_requests import read_recorded
from pipeline.api.reference.code_samples import write_samples
from pipeline.api.reference.fields import Field, build_parameter, list_fields
from pipeline.api.reference.markup import load_templates, make_anchor
from pipeline.wiring import list_capabilities, list_post_options

_LANGUAGES = {"sh": "curl", "python": "Python", "ts": "TypeScript"}
"""By the info string of a fence: how the samples call the language."""
_FORMS: Mapping[PostForm, str] = {
    PostForm.VIDEO: "one video",
    PostForm.IMAGE: "one image",
    PostForm.IMAGES: "several images",
    PostForm.TEXT: "text alone",
    PostForm.DOCUMENT: "a document (PDF)",
}
_TIMES = (("h", 3600), ("min", 60))
_SIZES = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
_ORDER = ("text", "post", "image", "video", "document")
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_LEAD = re.compile(r"\*\*(.+?)\.\*\* ")
"""How a paragraph of an introduction begins: its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One task, or a paragraph of the introduction, in Markdown; ``samples``: code by language."""

    title: str
    text: str
    samples: Mapping[str, str]

    @property
    def id(self) -> str:
        """The id of its place on the page."""
        return make_anchor(self.title)


@cache
def read_tasks() -> Sequence[Part]:
    """Return the tasks of ``tasks.md``."""
    found = []
    for text in Path(__file__).with_name("tasks.md").read_text("utf-8").split("\n# "):
        title, _, body = text.removeprefix("# ").partition("\n")
        fences = [token for token in _MARKDOWN.parse(body) if token.type == "fence"]
        samples = {_LANGUAGES[fence.info]: fence.content.rstrip() for fence in fences}
        found.append(Part(title=title, text=body.partition("```")[0].strip(), samples=samples))
    return found


def render_document(template: str, spec: Mapping[str, Any], url: str) -> bytes:
    """Return an OpenAPI document as a page, as Markdown, or as an index of the form of llmstxt.org, in UTF-8.

    *url* is where clients reach the server.
    """
    about, *basics = _read_introduction(spec["info"]["description"])
    schemas = spec["components"]["schemas"]
    found = _environment().get_template(template)
    text = found.render(
        spec=spec,
        url=url,
        about=about.text,
        basics=basics,
        tasks=read_tasks(),
        operations=_group_operations(spec),
        list_fields=partial(list_fields, schemas=schemas),
        build_parameter=partial(build_parameter, schemas=schemas),
        codes=_CODES,
        statuses={code: found.statuses for code, found in CODES.items()},
        find_answers=_find_answers,
        platforms=[*_list_platforms()],
    )
    return text.encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    found = load_templates()
    found.filters |= {
        "markdown": lambda text: Markup(_MARKDOWN.render(text)),  # noqa: S704  HTML in it is escaped
        "phrase": lambda text: Markup(_MARKDOWN.renderInline(text)),  # noqa: S704
        "highlight": _highlight,
        "example": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        "anchor": make_anchor,
        "status": lambda status: HTTPStatus(int(status)).phrase,
    }
    return found


_LEXERS = {"curl": "bash", "Python": "python", "TypeScript": "typescript", "JSON": "json"}
_FORMATTER = HtmlFormatter(nowrap=True)


def _highlight(text: str, language: str) -> Markup:
    """Return code as HTML whose words have the classes of their kinds."""
    return Markup(highlight(text, get_lexer_by_name(_LEXERS[language]), _FORMATTER).rstrip("\n"))  # noqa: S704


_CODES = (
    (
        "Error codes",
        "error",
        CODES,
        "Errors of responses: `error_code`. Each response carries the address of its code in `help`.",
    ),
    (
        "Account errors",
        "error",
        ACCOUNT_ERRORS,
        "Errors of a post at one account: `accounts.states[].error.code`. They are not errors of a request. A code "
        "that is not listed here is listed above.",
    ),
    ("Warnings", "warning", WARNINGS, "Warnings: `warnings[].code`. They never stop a post."),
)


def _read_introduction(text: str) -> Iterator[Part]:
    """Yield the paragraphs, each under the words it begins with."""
    for paragraph in text.strip().split("\n\n"):
        lead = _LEAD.match(paragraph)
        title = lead[1] if lead else ""
        yield Part(title=title, text=paragraph[lead.end() if lead else 0 :], samples={})


def _group_operations(spec: Mapping[str, Any]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the operations by tag, with their method, path and samples."""
    found: dict[str, list[Mapping[str, Any]]] = {tag["name"]: [] for tag in spec["tags"]}
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            more = {"method": method.upper(), "path": path}
            samples = write_samples(method.upper(), path, operation)
            found[operation["tags"][0]].append({**operation, **more, "samples": samples})
    return found


def _find_answers(kind: str, code: str) -> list[Any]:
    """Return the recorded answers with an error code."""
    errors = read_recorded().errors
    return [errors[name] for name in sorted(errors) if kind == "error" and name.partition(" ")[2] == code]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformSection:
    """What one platform takes. ``limits``: rows of what, rule, limit and connection; ``whose``: of its options."""

    id: str
    name: str
    facts: Sequence[str]
    limits: Sequence[tuple[str, str, str, str]]
    options: str
    whose: str
    fields: Sequence[Field]


def _list_platforms() -> Iterator[PlatformSection]:
    for platform, found in list_capabilities().items():
        options = list_post_options().get(platform)
        schema = options.model_json_schema() if options else {}
        rows = sorted(found.limits, key=lambda limit: _ORDER.index(limit.of))
        yield PlatformSection(
            id=f"platform-{platform}",
            name=found.display_name,
            facts=[*_list_facts(found), *(rule.rule for rule in list_rules(f"platform:{platform}"))],
            limits=[(row.of, row.rule, _describe(row), row.connection or "any") for row in rows],
            options=platform.value if options else "",
            whose="all accounts are" if options and options.accounts == "all" else "at least one account is",
            fields=list_fields(schema, schema.get("$defs", {}), f"options-{platform}"),
        )


def _list_facts(found: Capabilities) -> Iterator[str]:
    for form, name in _FORMS.items():
        kind = found.post_kinds.get(form)
        yield f"{name}: " + (f"published as `{kind}`" if kind else "refused")
    if found.daily_posts is not None:
        whose = "account" if found.daily_per == "account" else "app of this server, over all accounts"
        yield f"at most {found.daily_posts:,} posts in 24 hours per {whose}; more are published later"
    if found.daily_drafts is not None:
        yield f"at most {found.daily_drafts:,} inbox drafts in 24 hours per account, in addition to the posts"
    if found.pulls_media:
        yield "the platform fetches some media itself: their URLs must be reachable from the internet"


def _describe(limit: Limit) -> str:
    text = ", ".join(limit.values) if limit.values else _describe_range(limit)
    return text if limit.is_enforced else f"{text} (not enforced)"


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
