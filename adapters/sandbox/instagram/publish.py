"""Publication of containers, and the daily publishing limit."""

from aiohttp import web

from adapters.sandbox import graph
from adapters.sandbox.accounts import random_digits
from adapters.sandbox.clock import DAY
from adapters.sandbox.endpoint import Call
from adapters.sandbox.instagram import container
from adapters.sandbox.instagram.container import KIND
from adapters.sandbox.instagram.read import authenticate_account
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record

_QUOTA = 50
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PATHS = {"reel": "reel", "story": "stories"}


def _get_quota_total(account: Record) -> int:
    return int(account["options"].get("quota_total", _QUOTA))


def _get_window_key(account: Record) -> str:
    return f"instagram.posts:{account['remote_id']}"


def refuse_quota(_: Call) -> web.Response:
    """Return the error of an account that has reached its daily limit."""
    return graph.error_response(9, 2207042, "The account has reached its daily publishing limit.")


async def publish(call: Call) -> web.Response:
    """POST /{ig}/media_publish: publish a container, once; a repetition is refused."""
    account = authenticate_account(call, "instagram_business_content_publish", "instagram_content_publish")
    record = _get_ready(call, account, str(graph.read_parameters(call).get("creation_id") or ""))
    if not call.context.rate_windows.take(_get_window_key(account), _get_quota_total(account), DAY):
        raise Refused(refuse_quota(call))
    media_id = random_digits(17, "179")
    call.context.publish(
        account,
        kind=record["kind"],
        remote_id=media_id,
        handle=record["key"],
        caption=record["caption"],
        media=record["media"],
        url=_build_permalink(account, record, media_id),
        late=call.take_visibility_delay() + record.get("late", 0.0),
        extra={"public": record["kind"] != "story", **record["extra"]},
    )
    record |= {"state": "PUBLISHED", "media_id": media_id}
    call.context.store.put(KIND, record["key"], record)
    return graph.ok({"id": media_id})


def _get_ready(call: Call, account: Record, key: str) -> Record:
    if not key:
        raise graph.refuse(100, None, "The parameter creation_id is required.")
    record = call.context.store.get(KIND, key)
    if record is None:
        raise graph.refuse(24, 2207008, "The media container does not exist or has expired.")
    if record["account"] != account["remote_id"] or record["child"]:
        raise graph.refuse(24, 2207006, "The requested media cannot be found.")
    match container.get_state(call.context, record):
        case "FINISHED":
            return record
        case "EXPIRED":
            raise graph.refuse(24, 2207008, "The media container has expired.")
        case _:
            raise graph.refuse(
                9007, 2207027, "The media is not ready for publishing, please wait for a moment."
            )


def _build_permalink(account: Record, record: Record, media_id: str) -> str:
    if record["kind"] == "story":
        return f"https://www.instagram.com/stories/{account['username']}/{media_id}/"
    number, short = int(media_id), ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        short = _ALPHABET[digit] + short
    return f"https://www.instagram.com/{_PATHS.get(record['kind'], 'p')}/{short}/"


async def read_limit(call: Call) -> web.Response:
    """GET /{ig}/content_publishing_limit?fields=quota_usage,config."""
    account = authenticate_account(call)
    fields = call.request.query.get("fields", "quota_usage").split(",")
    total = _get_quota_total(account)
    is_spent = call.take_fault("quota-exhausted") is not None
    known: Record = {
        "quota_usage": total
        if is_spent
        else call.context.rate_windows.count_used(_get_window_key(account), DAY),
        "config": {"quota_total": total, "quota_duration": int(DAY)},
    }
    return graph.ok({"data": [{name: known[name] for name in fields if name in known}]})
