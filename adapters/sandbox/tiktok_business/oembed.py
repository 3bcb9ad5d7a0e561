"""www.tiktok.com/oembed: the sound of a post. Every well-formed link has a post."""

import hashlib
import html
import re
from urllib.parse import quote, urlsplit

from aiohttp import web

from adapters.sandbox.endpoint import Call, Dialect, Endpoint
from adapters.sandbox.responses import Refused, json_response
from adapters.sandbox.tiktok_business.charts import get_sound

_FULL_HOSTS = ("tiktok.com", "www.tiktok.com", "m.tiktok.com")
_SHORT_HOSTS = ("vm.tiktok.com", "vt.tiktok.com")
_POST = re.compile(r"/@(?P<handle>[A-Za-z0-9_.]*)/(?P<sort>video|photo)/(?P<id>\d{8,25})/?\Z")
_MOBILE = re.compile(r"/v/(?P<id>\d{8,25})\.html\Z")
_CODE = re.compile(r"(?:/t)?/(?P<code>[A-Za-z0-9]{4,20})/?\Z")
_SHORT_ID_DIGITS = 18


def _error_response(status: int, message: str = "Something went wrong") -> web.Response:
    return json_response({"code": status, "message": message}, status)


def _parse_link(link: str) -> tuple[str, str, str] | None:
    """Return handle, sort and id of the post that a link names, or None."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    if parts.netloc in _FULL_HOSTS:
        if match := _POST.match(parts.path):
            return match["handle"] or "user", match["sort"], match["id"]
        if match := _MOBILE.match(parts.path):
            return "scout2015", "video", match["id"]
    is_short = parts.netloc in _SHORT_HOSTS or (parts.netloc in _FULL_HOSTS and parts.path.startswith("/t/"))
    if is_short and (match := _CODE.match(parts.path)):
        return "scout2015", "video", _hash_code(match["code"])
    return None


def _hash_code(code: str) -> str:
    """Return a stable id for a short link; a code that ends in 7 gives such an id."""
    number = int(hashlib.sha256(code.encode()).hexdigest(), 16) % 10 ** (_SHORT_ID_DIGITS - 1)
    return f"7{number:0{_SHORT_ID_DIGITS - 1}d}{'7' if code.endswith('7') else '3'}"


async def read_oembed(call: Call) -> web.Response:
    """GET /oembed?url=<link>."""
    post = _parse_link(call.request.query.get("url", ""))
    if post is None or call.take_fault("oembed-gone") is not None:
        raise Refused(_error_response(400))
    handle, sort, post_id = post
    author = f"https://www.tiktok.com/@{handle}"
    cite = f"{author}/{sort}/{post_id}"
    anchor = "" if call.take_fault("oembed-no-anchor") is not None else _render_anchor(post_id)
    markup = (
        f'<blockquote class="tiktok-embed" cite="{cite}" data-video-id="{post_id}" data-embed-from="oembed" '
        f'style="max-width: 605px;min-width: 325px;" > <section> <a target="_blank" title="@{handle}" '
        f'href="{author}?refer=embed">@{handle}</a> <p>caption <a title="tag" target="_blank" '
        f'href="https://www.tiktok.com/tag/tag?refer=embed">#tag</a></p> {anchor} </section> </blockquote> '
        '<script async src="https://www.tiktok.com/embed.js"></script>'
    )
    return json_response(
        {
            "version": "1.0",
            "type": "video",
            "title": "caption #tag",
            "author_url": author,
            "author_name": handle,
            "author_unique_id": handle,
            "embed_product_id": post_id,
            "embed_type": sort,
            "width": "100%",
            "height": "100%",
            "thumbnail_url": f"https://p16-sign.tiktokcdn.example/{post_id}.image",
            "provider_name": "TikTok",
            "provider_url": "https://www.tiktok.com",
            "html": markup,
        }
    )


def _render_anchor(post_id: str) -> str:
    sound, title = get_sound(post_id)
    slug = quote(title.partition(" - ")[0].replace(" ", "-"))
    shown = html.escape(f"\N{BEAMED SIXTEENTH NOTES} {title}")
    href = f"https://www.tiktok.com/music/{slug}-{sound}?refer=embed"
    return f'<a target="_blank" title="{shown}" href="{href}">{shown}</a>'


_DIALECT = Dialect(
    read_token=lambda _: None,
    unknown_token=lambda: _error_response(400),
    expired=lambda: _error_response(400),
    revoked=lambda: _error_response(400),
    missing_scope=lambda _: _error_response(400),
    rate_limited=lambda wait: json_response(
        {"code": 429, "message": "Too many"}, 429, {"Retry-After": str(wait)}
    ),
    server_error=lambda: _error_response(500),
    malformed=lambda: _error_response(400),
)

# Both products use this endpoint, so faults of both platforms apply.
OEMBED = Endpoint(
    platform="tiktok",
    also_faults_of=("tiktok_business",),
    step="resolve_music",
    handle=read_oembed,
    dialect=_DIALECT,
)
