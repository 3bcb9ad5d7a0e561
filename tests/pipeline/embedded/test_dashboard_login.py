from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from config.settings import Settings
from pipeline.domain.account import Role
from pipeline.embedded.summary import LOGIN, LOGIN_FILE, ensure_login, read_login
from pipeline.store.auth.users import (
    find_user,
    hash_password,
    list_users,
    read_password,
    set_password,
    verify_password,
)
from pipeline.store.database import Database


@pytest.fixture
def database(settings: Settings) -> Database:
    return Database(settings.store.url.get_secret_value(), pool=1)


def opens(database: Database, password: str) -> bool:
    with database.begin() as c:
        stored = read_password(c, LOGIN)
    return verify_password(stored.password_hash if stored else None, password)


def test_the_login_is_made_once_kept_and_its_password_not_shown_once_changed(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / LOGIN_FILE
    assert read_login(file) == {"login": "", "password": ""}
    ensure_login(settings, file)
    first = read_login(file)
    assert (first["login"], len(first["password"])) == (LOGIN, 24)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert opens(database, first["password"])
    with database.begin() as c:
        [user] = list_users(c)
    assert user.roles == {None: Role.ADMIN}
    ensure_login(settings, file)
    assert read_login(file) == first
    with database.begin() as c:
        set_password(c, find_user(c, LOGIN), hash_password("chosen by a person"))
    ensure_login(settings, file)
    assert read_login(file) == {"login": LOGIN, "password": ""}
    assert opens(database, "chosen by a person")
    database.close()


def test_a_start_that_died_before_the_user_was_made_uses_its_password(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    file = tmp_path / LOGIN_FILE
    file.write_text(json.dumps({"login": LOGIN, "password": "written just before"}))
    ensure_login(settings, file)
    assert opens(database, "written just before")
    database.close()
