from __future__ import annotations

import pytest

from tests.pipeline.accounts.consent_page import OAuthWorkspace, build_stack_fixture
from tests.stack import Stack

stack = build_stack_fixture(api=False)


@pytest.fixture
def home(stack: Stack) -> OAuthWorkspace:
    return OAuthWorkspace.new(stack)
