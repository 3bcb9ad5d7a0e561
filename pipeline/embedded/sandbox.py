"""Command line and environment of the sandbox, a separate program that our code never imports."""

from __future__ import annotations

from urllib.parse import urlsplit

from config.groups import Sandbox
from config.settings import Settings, SettingsError


def build_arguments(settings: Settings) -> list[str]:
    """Return the arguments of `python`. Raises SettingsError when the sandbox has no address or no token."""
    s = settings.sandbox
    if not s.control_token.get_secret_value():
        raise SettingsError(
            "SLIPWAY_SANDBOX__CONTROL_TOKEN is empty: the sandbox's control API needs a token."
        )
    host, port = parse_address("SLIPWAY_SANDBOX__URL", s.url)
    _, media_port = parse_address("SLIPWAY_SANDBOX__MEDIA_URL", s.media_url)
    lifted = ["--pace", "instant", "--no-quotas"] if s.lifted else []
    return [
        "-m",
        "adapters.sandbox",
        "--host",
        host,
        "--port",
        str(port),
        "--media-port",
        str(media_port),
        "--folder",
        str(s.folder),
        "--uploads",
        f"{settings.files_url}/files/",
        *lifted,
    ]


def build_environment(s: Sandbox) -> dict[str, str]:
    """Return the secrets, which other users could read on a command line."""
    return {"SLIPWAY_SANDBOX_CONTROL_TOKEN": s.control_token.get_secret_value()}


def parse_address(name: str, url: str) -> tuple[str, int]:
    """Return host and port of a sandbox URL. Raises SettingsError if one is missing."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "http" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise SettingsError(f"{name} must be like http://127.0.0.1:8100; got {url!r}.")
