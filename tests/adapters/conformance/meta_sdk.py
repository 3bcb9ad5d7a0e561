"""Meta's own SDK, facebook-business, with only the graph's host changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facebook_business.api import FacebookAdsApi  # type: ignore[import-untyped]
from facebook_business.session import FacebookSession  # type: ignore[import-untyped]

from adapters.contract import Account
from tests.adapters.conformance.environment import Environment

VERSION = "v25.0"


@contextmanager
def open_sdk(environment: Environment, account: Account) -> Iterator[Any]:
    """Open the SDK's API object with an account's token."""
    session = FacebookSession(access_token=account.credentials.access_token.get_secret_value(), timeout=60)
    session.GRAPH = f"{environment.base}/facebook"
    yield FacebookAdsApi(session, api_version=VERSION)
    session.requests.close()
