"""A real OpenID provider on this machine: the npm package oidc-provider, certified by the OpenID Foundation."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin

import pytest
import requests

from tests.pipeline.api.running_server import until

FOLDER = Path(__file__).parent / "provider"
NEEDS_NODE = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")),
    reason="SKIPPED: single sign-on with a provider: node or npm is not here (apt install nodejs npm)",
)
CLIENT = {"CLIENT_ID": "slipway", "CLIENT_SECRET": "a secret of the tests"}
_FORM = re.compile(r'action="([^"]+)"')


def install_provider() -> None:
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (FOLDER / "package-lock.json").stat().st_mtime:
        subprocess.run(["npm", "ci"], cwd=FOLDER, check=True, capture_output=True, timeout=300)  # noqa: S607


@contextmanager
def providing(
    port: int, callback: str, people: Mapping[str, str] = MappingProxyType({}), *, lean: bool = False
) -> Iterator[None]:
    """Run the provider, with keys of its own, for *people*: subject -> e-mail. *lean*: its ID tokens only say who."""
    command = ["node", "provider.mjs", str(port), callback, json.dumps({**people})]
    environment = {**os.environ, "LEAN": "1" if lean else ""}
    with subprocess.Popen(command, cwd=FOLDER, env=environment, stdout=-3, stderr=-3) as process:
        try:
            until(lambda: _answers(port), "the provider to answer", 60)
            yield
        finally:
            process.terminate()


def sign_in_there(address: str, who: str, callback: str) -> str:
    """Sign in at the provider as *who*, a subject, and return the address that it leads back to."""
    with requests.Session() as browser:
        page = browser.get(address, timeout=30)
        for fields in ({"prompt": "login", "login": who, "password": "any"}, {"prompt": "consent"}):
            action = _FORM.findall(page.text)[0]
            page = browser.post(action, fields, timeout=30, allow_redirects=False)
            while page.is_redirect and not page.headers["Location"].startswith(callback):
                place = urljoin(page.url, page.headers["Location"])
                page = browser.get(place, timeout=30, allow_redirects=False)
        return page.headers["Location"]


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/jwks", timeout=5).ok
    except requests.ConnectionError:
        return False
