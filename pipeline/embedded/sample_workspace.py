"""Creates the sample workspace of the first start: an API key and one sandbox account per platform.

Run as ``python -m pipeline.embedded.sample_workspace FILE``. The rows are created in one transaction; then FILE is
written with their ids and the key, readable by its owner only. After an interruption between the two, the next start
finds the workspace, renews the accounts' credentials and creates a new key.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform, RemoteAccount
from config.settings import Settings, settings
from pipeline.accounts.connected_account import add_remote_account
from pipeline.cli.account_file import Tokens
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
OPTIONS: Mapping[str, dict[str, Any]] = {Platform.PINTEREST: {"default_board": True}}
"""Options of the accounts that the sandbox creates."""


def create_sample_workspace(s: Settings, file: Path) -> None:
    """Create the missing rows and write FILE. Raises ControlError when the sandbox does not answer."""
    control = Control(s.sandbox.url, s.sandbox.control_token.get_secret_value())
    control.call("GET", "health")
    people = {p: create_sandbox_account(control.call, p, f"sandbox_{p}") for p in Platform}
    url = s.store.url.get_secret_value()
    with closing(Database(url, pool=1)) as database, database.begin() as c:
        workspace = _ensure_workspace(c)
        vault = Vault(s.vault.keys.get_secret_value())
        accounts = {
            platform: str(add_remote_account(c, vault, find_actor(), workspace, platform, one))
            for platform, one in people.items()
        }
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


def create_sandbox_account(call: Callable[..., Any], platform: str, username: str) -> RemoteAccount:
    """Create an account by *call* of the sandbox's control API; return it with its tokens."""
    asked = {"platform": platform, "username": username, "options": OPTIONS.get(platform, {})}
    made: dict[str, Any] = call("POST", "accounts", json=asked)
    tokens = Tokens.model_validate({name: made[name] for name in Tokens.model_fields if name in made})
    return RemoteAccount(
        **{name: made[name] for name in ("connection", "remote_id", "username")},
        display_name=made["username"],
        credentials=tokens.to_credentials(),
        settings=made.get("settings") or {},
    )


if __name__ == "__main__":
    create_sample_workspace(settings(), Path(sys.argv[1]))
