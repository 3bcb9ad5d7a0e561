"""The second factor of a login: a code by time from an app, or one of ten recovery codes; each is taken once.

Codes are those of RFC 6238 (May 2011): six digits, a new one every 30 seconds. One step before and after is taken too,
as its section 5.2 recommends at most. Wrong codes count as wrong passwords do.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import b32encode
from uuid import UUID

import pyotp
from sqlalchemy import Connection

from pipeline.domain.audit import Actor
from pipeline.runtime.context import Context
from pipeline.store.audit import record_change
from pipeline.store.auth import second_factors as store
from pipeline.store.auth.sessions import count_try, end_other_sessions, forget_tries, name_login
from pipeline.store.vault import Vault, VaultError

RECOVERY_CODES = 10
_STEP = 30
_SIDES = {"second_factor": False}, {"second_factor": True}


class WrongCode(Exception):
    """The code is wrong or was taken. ``str()`` is a sentence for the visitor."""


def begin(context: Context, user: UUID) -> None:
    """Make a secret that is asked for once a code of it was given; one that is there stays."""
    with context.database.begin() as c:
        store.begin_factor(c, user, context.vault.seal({"secret": pyotp.random_base32()}, user))


def read_secret(c: Connection, vault: Vault, user: UUID) -> str | None:
    """Return the secret while it is being turned on; None after, and without one."""
    found = store.find_factor(c, user)
    return None if found is None or found.confirmed_at else _open(vault, found.secret, user)


def build_uri(secret: str, login: str) -> str:
    """Return the address that an app reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name="Slipway")


def confirm(context: Context, actor: Actor, user: UUID, session: UUID, code: str) -> list[str]:
    """Turn the factor on, or give it new recovery codes, and return them; other sessions end. Raises WrongCode."""
    _require_code(context, actor, user, code)
    codes = [_make_code() for _ in range(RECOVERY_CODES)]
    with context.database.begin() as c:
        found = store.find_factor(c, user)
        store.set_recovery(c, user, codes)
        end_other_sessions(c, user, session)
        verb = "renew recovery codes" if found and found.confirmed_at else "turn on second factor"
        record_change(c, actor, verb, "user", user, None, *(() if verb.startswith("renew") else _SIDES))
    return codes


def drop(context: Context, actor: Actor, user: UUID, code: str) -> None:
    """Turn the factor off. Raises WrongCode."""
    _require_code(context, actor, user, code)
    with context.database.begin() as c:
        if store.delete_factor(c, user):
            record_change(c, actor, "turn off second factor", "user", user, None, *reversed(_SIDES))


def take_code(c: Connection, vault: Vault, user: UUID, code: str) -> bool:
    """Take a code of the app, or a recovery code; False for a wrong one, and for one that was taken."""
    given, found = "".join(code.split()).lower(), store.find_factor(c, user)
    if found is None or not given.isascii():
        return False
    now, secret = int(time.time()) // _STEP, _open(vault, found.secret, user)
    codes = pyotp.TOTP(secret) if secret else None
    for step in (now - 1, now, now + 1):
        if codes and hmac.compare_digest(codes.generate_otp(step), given):
            return store.take_step(c, user, step)
    return store.take_recovery(c, user, given)


def _open(vault: Vault, sealed: bytes, user: UUID) -> str | None:
    """Return a secret; None if no key of the vault opens it: then a recovery code helps, or a reset of the user."""
    try:
        return str(vault.open(sealed, user)["secret"])
    except VaultError:
        return None


def _require_code(context: Context, actor: Actor, user: UUID, code: str) -> None:
    """Take a code of a visitor, whose tries are those of the login. Raises WrongCode."""
    subject = name_login(actor.name)
    with context.database.begin() as c:
        may_try = count_try(c, subject)
    with context.database.begin() as c:
        if not may_try or not take_code(c, context.vault, user, code):
            raise WrongCode(WRONG if may_try else WAITING)
        forget_tries(c, subject)


WRONG = "This code is wrong, or was used already: give the next one."
WAITING = "There were ten wrong tries: wait 15 minutes."


def _make_code() -> str:
    """Return a recovery code of 80 bits, in groups that are easy to copy by hand."""
    text = b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[n : n + 4] for n in range(0, 16, 4))
