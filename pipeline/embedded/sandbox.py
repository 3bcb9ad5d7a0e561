"""The sandbox, a separate program that our code never imports: its command line, its environment, its control API."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from config.groups import Sandbox
from config.settings import Settings, SettingsError

CALL_TIMEOUT = 10.0
"""Seconds for one call; the sandbox is on this machine."""


class ControlError(Exception):
    """The sandbox refused or did not answer. The message says which, with the sandbox's own text."""


class Control:
    """The control API at `url`, called with its token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, **sent: Any) -> Any:
        """Make one call and return its JSON. `json` and `params` as in requests. Raises ControlError."""
        try:
            answer = requests.request(
                method, f"{self._url}/control/{path}", headers=self._headers, timeout=CALL_TIMEOUT, **sent
            )
        except requests.RequestException:
            raise ControlError(f"No sandbox answers at {self._url}. `slipway up` starts one.") from None
        try:
            body = answer.json()
        except ValueError:
            raise ControlError(
                f"What answers at {self._url} is not a sandbox (status {answer.status_code})."
            ) from None
        if not answer.ok:
            raise ControlError(str(body.get("error", body)))
        return body


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
