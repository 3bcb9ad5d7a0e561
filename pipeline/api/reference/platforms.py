"""HTML tables of what each platform takes, and of its options, made of the adapters' own data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from adapters.contract import Capabilities, Platform, PostForm
from adapters.limit import Limit
from adapters.post_options import PostOptions
from pipeline.api.reference.fields import list_fields
from pipeline.api.reference.markup import render_table
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
        yield f"at most {found.daily_drafts:,} inbox drafts in 24 hours per account, beside the posts"
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
