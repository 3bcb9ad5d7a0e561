"""The summary that `slipway up` prints: addresses, credentials and a command to try.

Creates the stack's own user of the dashboard, an admin of all workspaces, and keeps its password.

A file has the login and the password, readable by its owner only. It is written before the user is created, so that an
interruption leaves no user without a known password. At a start after an operator has changed the password (``slipway
user reset``), or disabled the user, the one in the file is emptied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from config.settings import Settings
from pipeline.domain.account import Role
from pipeline.domain.audit import Actor
from pipeline.embedded.data_folder import write_private
from pipeline.embedded.services import local_url
from pipeline.store.audit import record_change
from pipeline.store.auth.users import (
    NoSuchUser,
    create_user,
    find_user,
    generate_password,
    hash_password,
    read_password,
    set_role,
    verify_password,
)
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
    url = s.store.url.get_secret_value()
    with closing(Database(url, pool=1)) as database, database.begin() as c:
        try:
            find_user(c, LOGIN)
        except NoSuchUser:
            _write(file, password)
            _create(c, hash_password(password))
            return
        stored = read_password(c, LOGIN)
        if not verify_password(stored.password_hash if stored else None, kept["password"]):
            _write(file, "")


def _create(c: Connection, password_hash: str) -> None:
    identity = create_user(c, LOGIN, password_hash)
    set_role(c, identity, None, Role.ADMIN)
    record_change(c, ACTOR, "create", "user", identity, after={"login": LOGIN, "role": Role.ADMIN.value})


def _write(file: Path, password: str) -> None:
    write_private(file, json.dumps({"login": LOGIN, "password": password}, indent=2))


CURRENT_TIME = "'$(date +%T)'"
"""For a shell, inside a word in single quotes: the time of day."""
NO_SAMPLE_WORKSPACE: dict[str, Any] = {"workspace": "", "key": "", "accounts": {}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Addresses, generated credentials and a command to copy."""

    api: str
    reference: str
    dashboard: str
    dashboard_login: str
    dashboard_password: str = field(repr=False)
    """Empty: an operator has changed it."""
    flower: str
    flower_user: str
    flower_password: str = field(repr=False)
    sandbox: str
    media: str
    sandbox_token: str = field(repr=False)
    workspace: str
    key: str = field(repr=False)
    accounts: dict[str, str]
    curl: str = field(repr=False)
    folder: str
    logs: str
    warnings: list[str]


def build_summary(s: Settings, folder: Path, warnings: Sequence[str] = ()) -> Summary:
    """Return the summary of the stack that runs with these settings on this folder, with these warnings and its own."""
    file = folder / "seed.json"
    sample: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else NO_SAMPLE_WORKSPACE
    api = local_url(s.api.host, s.api.port)
    login = read_login(folder / LOGIN_FILE)
    return Summary(
        api=api,
        reference=f"{api}/reference",
        dashboard=f"{api}/dashboard/",
        dashboard_login=login["login"],
        dashboard_password=login["password"],
        flower=local_url(s.flower.host, s.flower.port),
        flower_user=s.flower.user,
        flower_password=s.flower.password.get_secret_value(),
        sandbox=s.sandbox.url,
        media=s.sandbox.media_url if s.sandbox.url else "",
        sandbox_token=s.sandbox.control_token.get_secret_value(),
        workspace=sample["workspace"],
        key=sample["key"],
        accounts=sample["accounts"],
        curl=_build_curl(api, sample, s.sandbox.media_url) if s.sandbox.url and sample["key"] else "",
        folder=str(folder),
        logs=str(folder / "logs"),
        warnings=[*warnings, *_list_warnings(s)],
    )


def format_summary(found: Summary) -> str:
    """Format the summary for a terminal."""
    lines = ["", "Slipway is running. Ctrl-C stops it; its data stay.", ""]
    lines += [f"  API       {found.api}", f"  Reference {found.reference}"]
    password = found.dashboard_password or "changed since (`slipway user reset` gives a new one)"
    lines.append(f"  Dashboard {found.dashboard}   login {found.dashboard_login}, password {password}")
    lines.append(f"  Flower    {found.flower}   user {found.flower_user}, password {found.flower_password}")
    if found.sandbox:
        lines.append(f"  Sandbox   {found.sandbox}   control token {found.sandbox_token}")
        lines.append(f"  Media     {found.media}/media/sample.mp4")
    if found.key:
        lines.append(f"  Key       {found.key}")
    lines += [f"  {platform:<9} {account}" for platform, account in found.accounts.items()]
    lines += [f"  Logs      {found.logs}", f"  Settings  {found.folder}/settings.env"]
    if found.curl:
        lines += ["", "Publish a post (copy and paste):", "", found.curl]
    lines += ["", *(f"Note: {warning}" for warning in found.warnings)] if found.warnings else []
    return "\n".join([*lines, ""])


def _build_curl(api: str, sample: dict[str, Any], media: str) -> str:
    """Return a command whose caption has the time: pasted again, an equal body would be the same post."""
    body = {
        "caption": "Hello from Slipway, TIME",
        "media": {"type": "video", "url": f"{media}/media/sample.mp4"},
        "accounts": [{"id": sample["accounts"]["tiktok"]}],
    }
    return (
        f"curl -sS {api}/api/partner/v1/posts \\\n"
        f"  -H 'Authorization: Bearer {sample['key']}' -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(body).replace('TIME', CURRENT_TIME)}'"
    )


def _list_warnings(s: Settings) -> list[str]:
    """Return warnings of settings that work here and fail with real platforms; none if the sandbox is on."""
    if s.sandbox.url or s.api.public_url.startswith("https://"):
        return []
    state = f"is {s.api.public_url}, not https" if s.api.public_url else "is not set"
    return [
        f"the sandbox is off and SLIPWAY_API__PUBLIC_URL {state}. Platforms that fetch media themselves (Instagram and "
        "others) cannot reach files uploaded here; posts with public media URLs are not affected."
    ]
