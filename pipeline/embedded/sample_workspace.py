"""Creates the sample workspace of the first start: an API key and one sandbox account per platform.

Run as ``python -m pipeline.embedded.sample_workspace FILE``. The rows are created in one transaction; then FILE is
written with their ids and the key, readable by its owner only. After an interruption between the two, the next start
finds the workspace, renews the accounts' credentials and creates a new key.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection

from adapters.contract import Credentials, Platform, RemoteAccount
from config.settings import Settings, settings
from pipeline.accounts.connected_account import add_remote_account
from pipeline.cli.runtime import find_actor
from pipeline.domain.account import SERVER_DEFAULT, choose_new_limits
from pipeline.embedded.data_folder import write_private
from pipeline.embedded.sandbox import Control
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Terms, create_key
from pipeline.store.auth.workspaces import NoSuchWorkspace, create_workspace, find_workspace
from pipeline.store.database import Database
from pipeline.store.vault import Vault

WORKSPACE = "Sandbox"
OPTIONS: dict[Platform, dict[str, Any]] = {Platform.PINTEREST: {"default_board": True}}
"""Options of the accounts that the sandbox creates."""


def create_sample_workspace(s: Settings, file: Path) -> None:
    """Create the missing rows and write FILE. Raises ControlError when the sandbox does not answer."""
    control = Control(s.sandbox.url, s.sandbox.control_token.get_secret_value())
    control.call("GET", "health")
    people = {platform: _create_sandbox_account(control, platform) for platform in Platform}
    url = s.store.url.get_secret_value()
    with closing(Database(url, pool=1)) as database, database.begin() as c:
        workspace = _ensure_workspace(c)
        vault = Vault(s.vault.keys.get_secret_value())
        accounts = {platform: str(_add_account(c, vault, workspace, p)) for platform, p in people.items()}
        limits = choose_new_limits(SERVER_DEFAULT, server_posts_per_minute=s.api.posts_per_minute, bulk=False)
        key = create_key(c, workspace, "first start", Terms(limits=limits))
        facts = {"name": "first start", **asdict(limits)}
        record_change(c, find_actor(), "create", "key", key.partition(".")[0], workspace, after=facts)
    made = {"workspace": str(workspace), "key": key, "accounts": accounts}
    write_private(file, json.dumps(made, indent=2))


def _ensure_workspace(c: Connection) -> UUID:
    with suppress(NoSuchWorkspace):
        return find_workspace(c, WORKSPACE).id
    made = create_workspace(c, name=WORKSPACE)
    record_change(c, find_actor(), "create", "workspace", made, made, after={"name": WORKSPACE})
    return made


def _add_account(c: Connection, vault: Vault, workspace: UUID, made: dict[str, Any]) -> UUID:
    remote = RemoteAccount(
        connection=made["connection"],
        remote_id=made["remote_id"],
        username=made["username"],
        display_name=made["username"],
        credentials=_parse_credentials(made),
        settings=made.get("settings") or {},
    )
    return add_remote_account(c, vault, find_actor(), workspace, Platform(made["platform"]), remote)


def _parse_credentials(made: dict[str, Any]) -> Credentials:
    now = datetime.now(UTC)

    def after(name: str) -> datetime | None:
        return now + timedelta(seconds=made[name]) if name in made else None

    refresh = made.get("refresh_token")
    return Credentials(
        access_token=SecretStr(made["access_token"]),
        refresh_token=SecretStr(refresh) if refresh else None,
        expires_at=after("expires_in"),
        refresh_expires_at=after("refresh_expires_in"),
        scopes=tuple(made["scopes"]),
    )


def _create_sandbox_account(control: Control, platform: Platform) -> dict[str, Any]:
    """Create an account in the sandbox; return its facts and tokens."""
    asked = {"platform": platform, "username": f"sandbox_{platform}", "options": OPTIONS.get(platform, {})}
    made: dict[str, Any] = control.call("POST", "accounts", json=asked)
    return made | {"platform": platform}


if __name__ == "__main__":
    create_sample_workspace(settings(), Path(sys.argv[1]))
