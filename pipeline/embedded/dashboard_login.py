"""Creates the stack's own user of the dashboard, an admin of all workspaces, and keeps its password.

A file has the login and the password, readable by its owner only. It is written before the user is created, so that an
interruption leaves no user without a known password. At a start after a person has changed the password (``slipway user
reset``), or disabled the user, the one in the file is emptied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from config.settings import Settings
from pipeline.domain.actor import Actor
from pipeline.domain.role import Role
from pipeline.embedded.data_folder import write_private
from pipeline.store.audit import record_change
from pipeline.store.auth.passwords import generate_password, hash_password, verify_password
from pipeline.store.auth.users import NoSuchUser, create_user, find_user, read_password, set_role
from pipeline.store.database import Database

LOGIN, LOGIN_FILE = "operator", "dashboard.json"
NO_LOGIN: Mapping[str, str] = {"login": "", "password": ""}
ACTOR = Actor(kind="system", name="slipway up")


def read_login(file: Path) -> Mapping[str, str]:
    """Return login and password; both empty without a file."""
    found: Mapping[str, str] = json.loads(file.read_text()) if file.is_file() else NO_LOGIN
    return found


def ensure_login(s: Settings, file: Path) -> None:
    """Create the user if it is missing, or see whether its password is still the one in the file."""
    kept = read_login(file)
    password = kept["password"] or generate_password()
    database = Database(s.store.url.get_secret_value(), pool=1)
    try:
        with database.begin() as c:
            is_known = _is_known(c)
            if not is_known:
                _write(file, password)
                _create(c, hash_password(password))
            elif not _opens(c, kept["password"]):
                _write(file, "")
    finally:
        database.close()


def _is_known(c: Connection) -> bool:
    try:
        find_user(c, LOGIN)
    except NoSuchUser:
        return False
    return True


def _create(c: Connection, password_hash: str) -> None:
    identity = create_user(c, LOGIN, password_hash)
    set_role(c, identity, None, Role.ADMIN)
    record_change(c, ACTOR, "create", "user", identity, after={"login": LOGIN, "role": Role.ADMIN.value})


def _opens(c: Connection, password: str) -> bool:
    stored = read_password(c, LOGIN)
    return verify_password(stored.password_hash if stored else None, password)


def _write(file: Path, password: str) -> None:
    write_private(file, json.dumps({"login": LOGIN, "password": password}, indent=2))
