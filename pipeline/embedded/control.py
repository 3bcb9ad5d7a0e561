"""Client of the sandbox's control API."""

from __future__ import annotations

from typing import Any

import requests

TIMEOUT = 10.0
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
                method, f"{self._url}/control/{path}", headers=self._headers, timeout=TIMEOUT, **sent
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
