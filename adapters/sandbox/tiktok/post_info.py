"""Checks what a client says about a post: the rules both kinds of TikTok init share."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.rate_windows import MINUTE
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.dialect import error_response, invalid
from adapters.sandbox.tiktok.task import options
from adapters.sandbox.tiktok_media import utf16_units


def limit(call: Call, name: str, most: int) -> None:
    """Count the request against the token's minute; refuses when it is full."""
    token = call.endpoint.dialect.read_token(call)
    if not call.context.rate_windows.take(f"tiktok.{name}:{token}", most, MINUTE):
        raise Refused(error_response("rate_limit_exceeded", retry_after=60))


def part(body: Record, name: str) -> Record:
    """An object inside the body; {} when absent."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def text(info: Record, name: str, most: int) -> str:
    """A text of at most `most` UTF-16 units."""
    value = info.get(name, "")
    if not isinstance(value, str) or utf16_units(value) > most:
        raise invalid(f"{name} must be a text of at most {most} UTF-16 units.")
    return value


def whole(info: Record, name: str, low: int = 0, high: int | None = None) -> int:
    """A whole number from `low` to `high`."""
    value = info.get(name)
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < low
        or (high is not None and value > high)
    ):
        raise invalid(f"{name} must be a whole number of at least {low}.")
    return value


def flags(info: Record, names: tuple[str, ...], needed: tuple[str, ...]) -> Record:
    """The true-or-false fields that were sent."""
    for name in needed:
        if name not in info:
            raise invalid(f"{name} is required.")
    sent = {name: info[name] for name in names if name in info}
    for name, value in sent.items():
        if not isinstance(value, bool):
            raise invalid(f"{name} must be true or false.")
    return sent


def privacy(account: Record, info: Record) -> str:
    """The privacy level, if the account may choose it."""
    level = info.get("privacy_level")
    if not isinstance(level, str) or not level:
        raise invalid("privacy_level is required.")
    if level not in options(account):
        raise Refused(error_response("privacy_level_option_mismatch"))
    if account["options"].get("unaudited") and (level != "SELF_ONLY" or not account["private"]):
        raise Refused(error_response("unaudited_client_can_only_post_to_private_accounts"))
    if info.get("brand_content_toggle") is True and level == "SELF_ONLY":
        raise invalid("Branded content cannot be SELF_ONLY.")
    return level


def owned(call: Call, url: object) -> str:
    """A URL that TikTok may pull from: only the sandbox's media host counts as verified."""
    if not isinstance(url, str) or not url:
        raise invalid("The URL is missing.")
    if not call.context.fetcher.is_reachable(url):
        raise Refused(error_response("url_ownership_unverified"))
    return url
