from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Engines
from tests.pipeline.accounts.consent_page import OAuthWorkspace, start_callback_server
from tests.stack import Stack


@pytest.fixture(scope="module")
def stack(
    engines: Engines, module_database_url: str, vault_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("connect")
    with start_callback_server(engines, module_database_url, vault_key, folder, api=False) as stack:
        yield stack


@pytest.fixture
def home(stack: Stack) -> OAuthWorkspace:
    return OAuthWorkspace.new(stack)
