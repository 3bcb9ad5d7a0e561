"""Fixtures of the dashboard's tests: a running server with a logged-in user, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.domain.account import Role
from pipeline.runtime.context import Context
from tests.pipeline.api.running_server import serving
from tests.pipeline.dashboard.site import Client, Site

CHROMIUM = Path("/usr/bin/chromium")
expect.set_options(timeout=60_000)  # milliseconds; a busy machine needs more than the library's five seconds
MISSING = "the dashboard in a browser: chromium is not here (apt install chromium)."
ADMIN: Mapping[UUID | None, Role] = {None: Role.ADMIN}


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest,
    module_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A real API process on this module's engines, with its ``SERVER_SETTINGS``, and a workspace of two accounts."""
    more: Mapping[str, str] = getattr(request.module, "SERVER_SETTINGS", {})
    with serving({**module_environment, **more}, tmp_path_factory.mktemp("dashboard")) as server:
        yield Site(server=server, tenant=server.tenant())


@pytest.fixture(scope="module")
def context(site: Site) -> Context:
    """The context that arranges the site's data; `core` works on it."""
    return site.server.context


@pytest.fixture
def http(site: Site) -> Iterator[Client]:
    """A client that is logged in as an admin of all workspaces."""
    with site.log_in(site.add_user({None: Role.ADMIN})) as session:
        yield session


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's chromium. While it is open its event loop runs in this thread, where no other can: once per module."""
    if not CHROMIUM.exists():
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_window(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens an empty page in a window of its own. A refused resource or an error of a script fails the test.

    It is logged in as a new admin of all workspaces, or with these *roles*; None: nobody is.
    """
    refused: list[str] = []
    with ExitStack() as windows:

        def open_one(roles: Mapping[UUID | None, Role] | None = ADMIN, **options: Any) -> Page:
            context = windows.enter_context(chromium.new_context(base_url=site.url, **options))
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.on(
                "console",
                lambda message: refused.append(message.text) if "Content Security" in message.text else None,
            )
            page.on("pageerror", lambda error: refused.append(str(error)))
            if roles is not None:
                token = site.start_session(site.add_user(roles))
                context.add_cookies([{"name": "slipway", "value": token, "url": site.url}])
            return page

        yield open_one
    assert refused == []


@pytest.fixture
def browser(open_window: Callable[..., Page]) -> Page:
    """An empty page of the browser, logged in as an admin of all workspaces."""
    return open_window(viewport={"width": 1400, "height": 900})


@pytest.fixture
def home(browser: Page) -> None:
    """The browser is on the first page: for tests that begin there, not by an address of their own."""
    browser.goto("/dashboard/")
