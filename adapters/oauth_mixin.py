"""The account half of an adapter, where the platform's ``Login`` does it and the platform documents no PKCE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adapters.contract import Account, Credentials, RemoteAccount


class OAuthFlow(Protocol):
    """Consent, code, refresh, and whose grant it is: a platform's ``login.py``."""

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """The consent page."""
        ...

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """The grant behind a code."""
        ...

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old."""
        ...

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The accounts a grant gives access to."""
        ...


class OAuthMixin:
    """Hands an adapter's four calls about accounts to its login."""

    _oauth: OAuthFlow

    def refresh(self, account: Account) -> Credentials:
        """New tokens for old; what that takes there is told in ``login.py``."""
        return self._oauth.refresh(account)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """The consent page of the configured connection; there is no PKCE."""
        return self._oauth.authorize_url(redirect_uri, state)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """The grant behind a code."""
        return self._oauth.exchange(code, redirect_uri)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """The accounts that a grant gives access to."""
        return self._oauth.discover(credentials)
