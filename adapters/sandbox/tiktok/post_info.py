"""Parse and check the fields that all TikTok inits share."""

from adapters.sandbox.endpoint import Call
from adapters.sandbox.rate_windows import MINUTE
from adapters.sandbox.responses import Refused
from adapters.sandbox.store import Record
from adapters.sandbox.tiktok.dialect import error_response, refuse
from adapters.sandbox.tiktok_account import list_privacy_levels
from adapters.sandbox.tiktok_media import count_utf16_units


def check_rate(call: Call, name: str, limit: int) -> None:
    """Count the request against the token's limit per minute; raise Refused if it is exceeded."""
    token = call.endpoint.dialect.read_token(call)
    if not call.context.rate_windows.take(f"tiktok.{name}:{token}", limit, MINUTE):
        raise Refused(error_response("rate_limit_exceeded", retry_after=60))


def read_object(body: Record, name: str) -> Record:
    """Return an object of the body; {} if absent."""
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise refuse(f"{name} must be an object.")
    return value


def read_text(info: Record, name: str, max_units: int) -> str:
    """Return a text of at most `max_units` UTF-16 units; empty if absent."""
    value = info.get(name, "")
    if not isinstance(value, str) or count_utf16_units(value) > max_units:
        raise refuse(f"{name} must be a text of at most {max_units} UTF-16 units.")
    return value


def read_whole(info: Record, name: str, low: int = 0, high: int | None = None) -> int:
    """Return an integer from `low` to `high`."""
    value = info.get(name)
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < low
        or (high is not None and value > high)
    ):
        raise refuse(f"{name} must be a whole number of at least {low}.")
    return value


def read_flags(info: Record, names: tuple[str, ...], required: tuple[str, ...]) -> Record:
    """Return the boolean fields in `names` that are present; those in `required` must be."""
    for name in required:
        if name not in info:
            raise refuse(f"{name} is required.")
    sent = {name: info[name] for name in names if name in info}
    for name, value in sent.items():
        if not isinstance(value, bool):
            raise refuse(f"{name} must be true or false.")
    return sent


def read_privacy(account: Record, info: Record) -> str:
    """Return the privacy level; raise Refused if the account may not use it."""
    level = info.get("privacy_level")
    if not isinstance(level, str) or not level:
        raise refuse("privacy_level is required.")
    if level not in list_privacy_levels(account):
        raise Refused(error_response("privacy_level_option_mismatch"))
    if account["options"].get("unaudited") and (level != "SELF_ONLY" or not account["private"]):
        raise Refused(error_response("unaudited_client_can_only_post_to_private_accounts"))
    if info.get("brand_content_toggle") is True and level == "SELF_ONLY":
        raise refuse("Branded content cannot be SELF_ONLY.")
    return level


def check_url(call: Call, url: object) -> str:
    """Return a URL that TikTok may fetch; only the sandbox's media host counts as verified."""
    if not isinstance(url, str) or not url:
        raise refuse("The URL is missing.")
    if not call.context.fetcher.is_reachable(url):
        raise Refused(error_response("url_ownership_unverified"))
    return url
