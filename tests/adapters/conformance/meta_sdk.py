"""facebook-business, Meta's own SDK, with one thing changed: where the graph is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facebook_business.api import FacebookAdsApi  # type: ignore[import-untyped]
from facebook_business.session import FacebookSession  # type: ignore[import-untyped]

from adapters.contract import Account
from tests.adapters.conformance.environment import Ground

VERSION = "v25.0"


@contextmanager
def sdk(ground: Ground, account: Account) -> Iterator[Any]:
    """Its API object in the name of an account."""
    session = FacebookSession(access_token=account.credentials.access_token.get_secret_value(), timeout=20)
    session.GRAPH = f"{ground.base}/facebook"
    yield FacebookAdsApi(session, api_version=VERSION)
    session.requests.close()
