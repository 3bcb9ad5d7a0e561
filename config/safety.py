"""Rules that keep an unsafe installation from starting: placeholders, short passwords and tokens, half a sandbox."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from config.settings import Settings

PLACEHOLDER = "change-me"
"""The word in `.env.example` that stands for what every installation chooses itself."""
MIN_PASSWORD = 12
MIN_TOKEN = 32
"""Characters of the operator token, which gives access to every workspace."""
COMPOSE_PASSWORDS = ("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "GRAFANA_PASSWORD")
"""Passwords that docker-compose.yml gives to PostgreSQL, Valkey and Grafana."""
ALERT_WEBHOOK_URL = "ALERT_WEBHOOK_URL"
"""The URL that docker-compose.yml gives to Alertmanager; it may hold a token."""
COMPOSE_SECRETS = (*COMPOSE_PASSWORDS, ALERT_WEBHOOK_URL)
VAULT_KEYS = "SLIPWAY_VAULT__KEYS"
FERNET_BYTES = 32
NEEDED: Mapping[str, str] = {
    VAULT_KEYS: "no credential can be stored or read. Make a key: `slipway vault new-key`",
    "SLIPWAY_FLOWER__PASSWORD": "Flower does not start without a password",
}
"""Settings that a process may need -> what it means that one is empty, and what to do."""


def find_placeholders(given: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable whose value still contains the placeholder."""
    return [
        f"{name} still contains {PLACEHOLDER!r}: put your own value in its place"
        for name, value in given.items()
        if PLACEHOLDER in value.lower()
    ]


def find_unusable(given: Mapping[str, str], needed: tuple[str, ...]) -> list[str]:
    """Return a sentence for each of the needed variables (of `NEEDED`) that is empty, or holds an invalid key."""
    empty = [f"{name} is empty: {NEEDED[name]}" for name in needed if not given.get(name)]
    keys = given.get(VAULT_KEYS, "") if VAULT_KEYS in needed else ""
    if all(_is_fernet_key(key.strip()) for key in keys.split(",") if key.strip()):
        return empty
    return [*empty, f"{VAULT_KEYS} contains an invalid key: {NEEDED[VAULT_KEYS]}"]


def _is_fernet_key(key: str) -> bool:
    """Return True for 32 bytes in URL-safe Base64, which is what Fernet takes (cryptography.io, "Fernet")."""
    try:
        return len(urlsafe_b64decode(key)) == FERNET_BYTES
    except ValueError:
        return False


def find_weak_compose_secrets(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each of `COMPOSE_SECRETS` that is missing, a placeholder, short, or no URL."""
    secrets = {name: environment.get(name, "") for name in COMPOSE_SECRETS}
    url = secrets[ALERT_WEBHOOK_URL]
    no_url = (
        []
        if url.startswith(("https://", "http://"))
        else [f"{ALERT_WEBHOOK_URL} is no http(s) URL: set the address that gets the alerts"]
    )
    passwords = [(name, secrets[name]) for name in COMPOSE_PASSWORDS]
    return [*find_placeholders(secrets), *_list_short(passwords, MIN_PASSWORD), *no_url]


def find_unsafe(s: Settings) -> list[str]:
    """Return a sentence for each unsafe setting. None of them repeats a secret."""
    flower, token = s.flower.password.get_secret_value(), s.api.operator_token.get_secret_value()
    passwords = [
        *_list_url_passwords("SLIPWAY_STORE__URL", s.store.url.get_secret_value()),
        *_list_url_passwords("SLIPWAY_BROKER__URL", s.broker.url.get_secret_value()),
        *([("SLIPWAY_FLOWER__PASSWORD", flower)] if flower else []),
    ]
    return [
        *_list_short(passwords, MIN_PASSWORD),
        *_list_short([("SLIPWAY_API__OPERATOR_TOKEN", token)] if token else [], MIN_TOKEN),
        *_find_half_sandbox(s),
        *_find_half_sign_on(s),
    ]


def _find_half_sandbox(s: Settings) -> Iterator[str]:
    if s.sandbox.media_url and not s.sandbox.url:
        yield (
            f"SLIPWAY_SANDBOX__MEDIA_URL is {s.sandbox.media_url} and SLIPWAY_SANDBOX__URL is empty: without the "
            "sandbox no media may come over plain http. Set both or neither"
        )
    if s.webhooks.trial_origin and not s.sandbox.url:
        yield (
            f"SLIPWAY_WEBHOOKS__TRIAL_ORIGIN is {s.webhooks.trial_origin} and SLIPWAY_SANDBOX__URL is empty: without "
            "the sandbox, webhooks are sent to public https addresses only. Set both or neither"
        )


def _find_half_sign_on(s: Settings) -> Iterator[str]:
    given, name = s.dashboard.oidc, "SLIPWAY_DASHBOARD__OIDC__ISSUER"
    if given.only and not given.issuer:
        yield f"SLIPWAY_DASHBOARD__OIDC__ONLY is true and {name} is empty: no way to sign in is left"
    if given.issuer and not (given.client_id and (s.api.public_url or s.sandbox.url)):
        yield f"{name} is {given.issuer}: SLIPWAY_DASHBOARD__OIDC__CLIENT_ID and SLIPWAY_API__PUBLIC_URL are needed too"


def _list_short(secrets: Iterable[tuple[str, str]], least: int) -> list[str]:
    return [
        f"{name} has {len(secret)} characters: at least {least} are needed, or it can be guessed"
        for name, secret in secrets
        if len(secret) < least
    ]


def _list_url_passwords(name: str, url: str) -> Iterator[tuple[str, str]]:
    """Yield the passwords in a URL, or in several separated by semicolons (Sentinel), each with where it stands."""
    for part in url.split(";"):
        try:
            parts = urlsplit(part)
        except ValueError:
            return  # the library that connects names the error
        given = [] if parts.password is None else [unquote(parts.password)]
        for password in [*given, *parse_qs(parts.query).get("password", [])]:
            yield f"The password in {name}", password
