"""Sign a user on by an OpenID provider (OpenID Connect Core 1.0, section 3.1; PKCE: RFC 7636), checked by Authlib.

What one sign-on needs to know until its user comes back is sealed in a cookie of the browser that began it, and taken
once. The provider's document and keys are read at each sign-on: keys that it changes are never missing, none is stale.
Its answers are read within seconds and without a redirect.

A user is bound to issuer and subject at the first sign-on, if an admin has added a user whose login is the e-mail
address that the provider has verified. No user is made.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection

from adapters.http import NoResponse, NotSent
from config.api import Oidc
from pipeline.accounts.oauth_flow import create_flow_secrets, parse_callback, read_public_url
from pipeline.domain.account import normalize_login
from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.auth.sessions import delete_ended, take_once
from pipeline.store.auth.users import bind_sign_on, find_signed_on
from pipeline.store.vault import VaultError

log = logging.getLogger("slipway.dashboard")
CALLBACK = "/dashboard/sign-on/callback"
LASTS = timedelta(minutes=10)
"""How long a user may stay at the provider."""
CALL = timedelta(seconds=5)
"""The longest time of each of the four calls of a sign-on."""
LEEWAY = 60
"""Seconds by which the provider's clock may differ."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
SCOPE, BASIC = "openid email", "client_secret_basic"
"""Basic is what a provider takes whose document names nothing (OpenID Connect Discovery 1.0, section 3)."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has: never ``none``, nor HS256 with the client's secret."""

STALE = "This sign-in was begun in another browser, or more than ten minutes ago: press the button again."
USED = "This sign-in was used already: press the button again."
DECLINED = "{name} did not sign you in: press the button again, or ask an admin whether you may use it."
DOWN = "{name} does not answer as it should now: try again in a minute. If it stays so, an admin finds why in the log."
UNFIT = "The answer of {name} is not for this sign-in ({what}): press the button again. If it stays so, ask an admin."
UNVERIFIED = "{name} has not verified your e-mail address: verify it there, then press the button again."
UNKNOWN = "{name} knows you as {email}, and no user here has this name: ask an admin to invite it, or to reset yours."
DISABLED = "You were shut out here: ask an admin to let you in again."


class SignOnRefused(Exception):
    """The user is not signed on. `write` makes a sentence for them."""

    status = 401

    def __init__(self, sentence: str, **words: str) -> None:
        super().__init__(sentence)
        self.words = words

    def write(self, name: str) -> str:
        """Return the sentence. *name*: of the provider."""
        return str(self).format(name=name, **self.words)


class ProviderDown(SignOnRefused):
    """The provider does not answer, or not as the standard says."""

    status = 503


def begin_sign_on(context: Context, place: str) -> tuple[str, str]:
    """Return the address of the provider's page, and what the browser keeps.

    *place*: the page that was asked for. Raises ProviderDown, and Refusal 500 without a public address.
    """
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415  processes start faster

    client, flow, nonce = context.settings.dashboard.oidc, create_flow_secrets(), secrets.token_urlsafe(32)
    more = {"nonce": nonce, "code_challenge": flow.challenge, "code_challenge_method": "S256"}
    callback, page = _build_callback(context), _discover(context)["authorization_endpoint"]
    address = prepare_grant_uri(page, client.client_id, "code", callback, SCOPE, flow.state, **more)
    kept = {"state": flow.state, "verifier": flow.verifier, "nonce": nonce, "place": place}
    kept["until"] = (datetime.now(UTC) + LASTS).isoformat()
    return address, context.vault.seal(kept, _find_owner(context)).decode()


def open_sign_on(context: Context, sealed: str) -> dict[str, str]:
    """Return what the browser kept; empty for another's, and for one that is too old."""
    try:
        kept = context.vault.open(sealed.encode(), _find_owner(context))
    except VaultError:
        return {}
    return kept if datetime.fromisoformat(kept["until"]) > datetime.now(UTC) else {}


def finish_sign_on(context: Context, actor: Actor, kept: Mapping[str, str], query: str) -> str:
    """Return the login of the user whom the provider signed on. Raises SignOnRefused.

    *actor*: where the request came from. *query*: of the address that the provider sent the browser back to.
    """
    code, provider = _take_code(context, kept, query), _discover(context)
    issuers = parse_qs(query).get("iss", [])  # RFC 9207, section 2.4
    is_named = issuers or provider.get("authorization_response_iss_parameter_supported")
    if is_named and issuers != [provider["issuer"]]:
        raise SignOnRefused(UNFIT, what="iss")
    tokens, keys = _exchange(context, provider, code, kept["verifier"]), _fetch(context, provider["jwks_uri"])
    claims = check_id_token(context.settings.dashboard.oidc, tokens, keys, kept["nonce"])
    if "email" not in claims:  # a provider may keep it out of ID tokens: OpenID Connect Core 1.0, section 5.4
        bearer = {"Authorization": f"Bearer {tokens.get('access_token')}"}
        more = _fetch(context, provider["userinfo_endpoint"], headers=bearer)
        if more.get("sub") != claims["sub"]:  # section 5.3.2
            raise SignOnRefused(UNFIT, what="sub")
        claims = more | claims
    with context.database.begin() as c:
        return _find_user(c, actor, provider["issuer"], claims)


def check_id_token(given: Oidc, tokens: Mapping[str, Any], keys: Any, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token whose signature, issuer, audience, time and nonce are right.

    Raises SignOnRefused, which names what is not.
    """
    from authlib.oidc.core import CodeIDToken  # noqa: PLC0415  as above
    from joserfc import errors, jwk, jws, jwt  # noqa: PLC0415

    wanted = {"iss": given.issuer, "aud": given.client_id}
    options = {name: {"essential": True, "value": value} for name, value in wanted.items()}
    more = {"nonce": nonce, "client_id": given.client_id, "access_token": tokens.get("access_token")}
    registry = jws.JWSRegistry(algorithms=[*ALGORITHMS], strict_check_header=False)
    try:
        key_set = jwk.KeySet.import_key_set(keys)
        found = jwt.decode(str(tokens.get("id_token")), key_set, registry=registry)
        claims = CodeIDToken(found.claims, found.header, options, more)
        claims.validate(leeway=LEEWAY)
    except (errors.JoseError, ValueError, TypeError, KeyError) as error:
        log.warning("the ID token of %s is refused: %s", given.issuer, error)
        what = getattr(error, "claim", None) or getattr(error, "error", "") or "unreadable"
        raise SignOnRefused(UNFIT, what=what.replace("_", " ")) from None
    return {**claims, "sub": str(claims["sub"])}


def _take_code(context: Context, kept: Mapping[str, str], query: str) -> str:
    """Return the code of the provider's answer, once, in the browser that asked for it. Raises SignOnRefused."""
    try:
        answer = parse_callback(query)
    except Refusal:
        raise SignOnRefused(STALE) from None
    if not hmac.compare_digest(answer.state.encode(), kept.get("state", "").encode()):
        raise SignOnRefused(STALE)
    with context.database.begin() as c:
        delete_ended(c)
        is_first = take_once(c, f"sign-on {kept['nonce']}", LASTS)
    if not is_first:
        raise SignOnRefused(USED)
    if answer.code is None:
        log.warning("the OpenID provider returned the error %.60r", answer.error)
        raise SignOnRefused(DECLINED)
    return answer.code


def _discover(context: Context) -> dict[str, Any]:
    """Return the provider's document (OpenID Connect Discovery 1.0, section 4). Raises ProviderDown.

    Its addresses have to be of https, or of the scheme of an issuer on this machine.
    """
    issuer = context.settings.dashboard.oidc.issuer
    found = _fetch(context, issuer.rstrip("/") + "/.well-known/openid-configuration")
    schemes = ("https://", issuer.partition("//")[0] + "//")
    if found.get("issuer") != issuer or not all(str(found.get(n)).startswith(schemes) for n in ENDPOINTS):
        log.warning("the document of %s names another issuer, or not each of %s", issuer, ENDPOINTS)
        raise ProviderDown(DOWN)
    return found


def _exchange(context: Context, provider: Mapping[str, Any], code: str, verifier: str) -> dict[str, Any]:
    """Return the tokens for a code. Raises ProviderDown."""
    from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415  as above
    from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415

    given, more = context.settings.dashboard.oidc, {"code": code, "code_verifier": verifier}
    body = prepare_token_request("authorization_code", "", _build_callback(context), **more)
    known = provider.get("token_endpoint_auth_methods_supported", BASIC)
    method = BASIC if BASIC in known else "client_secret_post"
    client = ClientAuth(given.client_id, given.client_secret.get_secret_value(), method)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    address, headers, body = client.prepare("POST", provider["token_endpoint"], headers, body)
    return _fetch(context, address, "POST", headers=headers, body=body.encode())


def _fetch(context: Context, url: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return an answer of the provider. Raises ProviderDown, and says to the log why."""
    try:
        answer = context.client().call(method, url, limit=CALL, **more)
        found, status = answer.json(), answer.status
    except (NotSent, NoResponse, ValueError) as error:
        found, status = {"error": str(error)}, 0
    if status != 200 or not isinstance(found, dict):  # noqa: PLR2004  an HTTP status
        why = found.get("error") if isinstance(found, dict) else "no object"
        log.warning("the OpenID provider failed at %s: status %s, %.80r", url, status, why)
        raise ProviderDown(DOWN)
    return found


def _find_user(c: Connection, actor: Actor, issuer: str, claims: Mapping[str, Any]) -> str:
    """Return the login of the identity's user, whom the first sign-on binds to it. Raises SignOnRefused."""
    subject = claims["sub"]
    found = find_signed_on(c, issuer, subject)
    if found is None:
        if claims.get("email_verified") is not True:
            raise SignOnRefused(UNVERIFIED)
        email = str(claims.get("email"))
        found = bind_sign_on(c, normalize_login(email), issuer, subject)
        if found is None:
            raise SignOnRefused(UNKNOWN, email=email[:100])
        actor = replace(actor, id=found.id, name=found.login)
        record_change(
            c, actor, "bind sign-on", "user", found.id, after={"issuer": issuer, "subject": subject}
        )
    if found.disabled_at:
        raise SignOnRefused(DISABLED)
    return str(found.login)


def _build_callback(context: Context) -> str:
    """Return the address that the provider leads back to. Raises Refusal 500 without a public address."""
    return read_public_url(context.settings) + CALLBACK


def _find_owner(context: Context) -> UUID:
    """Return the owner of what browsers keep: a sign-on that was begun with another provider does not open."""
    return uuid5(NAMESPACE_URL, context.settings.dashboard.oidc.issuer)
