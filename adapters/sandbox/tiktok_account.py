"""Options of a TikTok account that its two products share."""

from adapters.sandbox.store import Record

_DEFAULT_MAX_SECONDS = 600


def list_privacy_levels(account: Record) -> list[str]:
    """Return the privacy levels that the account may choose from."""
    first = "FOLLOWER_OF_CREATOR" if account["private"] else "PUBLIC_TO_EVERYONE"
    return [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def get_max_seconds(account: Record) -> int:
    """Return the length limit of the account's videos."""
    return int(account["options"].get("max_video_post_duration_sec", _DEFAULT_MAX_SECONDS))
