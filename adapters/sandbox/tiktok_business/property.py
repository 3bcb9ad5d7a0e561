"""URL properties: the verified prefixes and domains from which TikTok Business fetches media.

The sandbox's media host counts as verified. Other https prefixes can be added and verified, but are not reachable.
"""

import hashlib
from urllib.parse import urlsplit

from aiohttp import web

from adapters.sandbox.context import SandboxContext
from adapters.sandbox.endpoint import Call
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok_business.api import ok, refuse

_KIND = "tiktok_business.property"
_DOMAIN, _PREFIX = 1, 2
_VERIFIED, _UNVERIFIED = 1, 2


def is_verified(context: SandboxContext, url: str) -> bool:
    """Return whether the URL is in a verified property."""
    if context.fetcher.is_reachable(url):
        return True
    host = urlsplit(url).hostname or ""
    for record in context.store.get_all(_KIND).values():
        if record["property_status"] != _VERIFIED or not url.startswith("https://"):
            continue
        if record["property_type"] == _PREFIX and url.startswith(record["url"]):
            return True
        if record["property_type"] == _DOMAIN and (
            host == record["url"] or host.endswith(f".{record['url']}")
        ):
            return True
    return False


def _read_property(call: Call) -> tuple[str, Record]:
    body = call.json()
    _check_app(body.get("app_id"), body.get("secret"))
    meta = body.get("url_property_meta")
    if not isinstance(meta, dict) or meta.get("property_type") not in (_DOMAIN, _PREFIX):
        raise refuse("url_property_meta.property_type: must be 1 or 2.")
    url = str(meta.get("url", ""))
    if meta["property_type"] == _PREFIX and not (url.startswith("https://") and url.endswith("/")):
        raise refuse("url_property_meta.url: a prefix starts with https:// and ends in /.")
    if not url or (meta["property_type"] == _DOMAIN and "/" in url):
        raise refuse("url_property_meta.url: a domain is a host name.")
    return f"{body['app_id']}:{meta['property_type']}:{url}", {
        "property_type": meta["property_type"],
        "url": url,
    }


def _check_app(app_id: object, secret: object) -> None:
    if not app_id or not secret:
        raise refuse("app_id and secret: Missing data for required field.")


async def add(call: Call) -> web.Response:
    """POST /business/property/add/."""
    key, record = _read_property(call)
    signature = hashlib.sha256(key.encode()).hexdigest()[:32]
    record |= {"property_status": _UNVERIFIED, "signature": signature, "file_name": f"tiktok{signature}.txt"}
    call.context.store.put(_KIND, key, record)
    return ok({"url_property_info": record})


async def verify(call: Call) -> web.Response:
    """POST /business/property/verify/: always finds the signature file."""
    key, _ = _read_property(call)
    record = call.context.store.get(_KIND, key)
    if record is None:
        raise refuse("url_property_meta.url: no such property.")
    call.context.store.put(_KIND, key, record | {"property_status": _VERIFIED})
    return ok({"url_property_info": record | {"property_status": _VERIFIED}})


async def delete(call: Call) -> web.Response:
    """POST /business/property/delete/."""
    key, _ = _read_property(call)
    call.context.store.drop(_KIND, key)
    return ok()


async def list_properties(call: Call) -> web.Response:
    """GET /business/property/list/."""
    app_id = call.request.query.get("app_id")
    _check_app(app_id, call.request.query.get("secret"))
    properties = [
        record for key, record in call.context.store.get_all(_KIND).items() if key.startswith(f"{app_id}:")
    ]
    return ok({"url_property_info_list": properties})
