"""The account methods of an adapter, delegated to the platform's ``OAuth`` class; for platforms without PKCE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adapters.contract import Account, Credentials, RemoteAccount


class OAuthFlow(Protocol):
    """The OAuth code flow of a platform (``<platform>/oauth.py``), without PKCE."""

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Return the URL of the consent page."""
        ...

    def exchange(self, code: str, redirect_uri: str) -> Credentials:
        """Exchange an authorization code for credentials."""
        ...

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens of an account."""
        ...

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """List the accounts that the credentials give access to."""
        ...


class OAuthMixin:
    """Implement the four account methods of ``Adapter`` by ``self._oauth``."""

    _oauth: OAuthFlow

    def refresh(self, account: Account) -> Credentials:
        """Refresh the tokens of an account."""
        return self._oauth.refresh(account)

    def authorize_url(self, redirect_uri: str, state: str, code_challenge: str | None) -> str:  # noqa: ARG002
        """Return the URL of the consent page; the code challenge is not used."""
        return self._oauth.authorize_url(redirect_uri, state)

    def exchange(self, code: str, redirect_uri: str, code_verifier: str | None) -> Credentials:  # noqa: ARG002
        """Exchange an authorization code for credentials."""
        return self._oauth.exchange(code, redirect_uri)

    def discover(self, credentials: Credentials) -> Sequence[RemoteAccount]:
        """List the accounts that the credentials give access to."""
        return self._oauth.discover(credentials)
