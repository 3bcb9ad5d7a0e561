"""Production cannot start unsafe: each command of an installation is refused with everything that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from dotenv import dotenv_values

from config.settings import PREFIX, SettingsError, load
from pipeline.embedded.data_folder import build_settings
from tests.fork_server_client import ForkServer
from tests.fork_server_client import run as start

EXAMPLE = Path(__file__).parents[2] / "config" / ".env.example"
CHECK = "settings check --production"
KEYS = Fernet.generate_key().decode()
LONG = "a-password-of-27-characters"
SAFE = {
    "SLIPWAY_STORE__URL": f"postgresql+psycopg://slipway:{LONG}@postgres/slipway",
    "SLIPWAY_BROKER__URL": f"redis://:{LONG}@valkey:6379/0",
    "SLIPWAY_VAULT__KEYS": KEYS,
    "SLIPWAY_FLOWER__PASSWORD": LONG,
    "SLIPWAY_API__OPERATOR_TOKEN": "t" * 32,
    "POSTGRES_PASSWORD": LONG,
    "VALKEY_PASSWORD": LONG,
    "GRAFANA_PASSWORD": LONG,
    "ALERT_WEBHOOK_URL": "https://on-call.example.com/slipway",
}
UNSAFE = [
    (
        {"SLIPWAY_STORE__URL": "postgresql+psycopg://s:change-me@postgres/s"},
        "SLIPWAY_STORE__URL still contains",
    ),
    ({"SLIPWAY_TIKTOK__APP_SECRET": "Change-Me"}, "SLIPWAY_TIKTOK__APP_SECRET still contains"),
    ({"SLIPWAY_API__PUBLIC_URL": "https://change-me.example.com"}, "SLIPWAY_API__PUBLIC_URL still contains"),
    (
        {"SLIPWAY_STORE__URL": "postgresql+psycopg://s:elevenchars@db/s"},
        "SLIPWAY_STORE__URL has 11 characters",
    ),
    ({"SLIPWAY_STORE__URL": "postgresql+psycopg://db/s?password=pw"}, "SLIPWAY_STORE__URL has 2 characters"),
    ({"SLIPWAY_STORE__URL": "postgresql+psycopg://s:%61%62@db/s"}, "SLIPWAY_STORE__URL has 2 characters"),
    ({"SLIPWAY_BROKER__URL": "redis://:@valkey:6379/0"}, "SLIPWAY_BROKER__URL has 0 characters"),
    (
        {"SLIPWAY_BROKER__URL": f"sentinel://:short@a:1;sentinel://:{LONG}@b:2"},
        "SLIPWAY_BROKER__URL has 5 characters",
    ),
    ({"SLIPWAY_FLOWER__PASSWORD": "elevenchars"}, "SLIPWAY_FLOWER__PASSWORD has 11 characters: at least 12"),
    ({"SLIPWAY_API__OPERATOR_TOKEN": "t" * 31}, "SLIPWAY_API__OPERATOR_TOKEN has 31 characters: at least 32"),
    (
        {"SLIPWAY_SANDBOX__MEDIA_URL": "http://127.0.0.1:8101"},
        "SLIPWAY_SANDBOX__MEDIA_URL is http://127.0.0.1:8101",
    ),
    ({"SLIPWAY_DASHBOARD__OIDC__ONLY": "true"}, "SLIPWAY_DASHBOARD__OIDC__ONLY is true and"),
    ({"SLIPWAY_DASHBOARD__OIDC__ISSUER": "https://a.example"}, "SLIPWAY_DASHBOARD__OIDC__CLIENT_ID and"),
    (
        {"SLIPWAY_DASHBOARD__OIDC__ISSUER": "http://a.example"},
        "SLIPWAY_DASHBOARD__OIDC__ISSUER: String should",
    ),
]
COMPOSE = [
    ({"POSTGRES_PASSWORD": "change-me"}, "POSTGRES_PASSWORD still contains"),
    ({"VALKEY_PASSWORD": ""}, "VALKEY_PASSWORD has 0 characters"),
    ({"GRAFANA_PASSWORD": "admin"}, "GRAFANA_PASSWORD has 5 characters"),
    ({"ALERT_WEBHOOK_URL": "https://change-me.example.com/alerts"}, "ALERT_WEBHOOK_URL still contains"),
    ({"ALERT_WEBHOOK_URL": ""}, "ALERT_WEBHOOK_URL is no http(s) URL"),
    ({"SLIPWAY_VAULT__KEYS": ""}, "SLIPWAY_VAULT__KEYS is empty"),
    ({"SLIPWAY_VAULT__KEYS": "not-a-key"}, "SLIPWAY_VAULT__KEYS contains an invalid key"),
    ({"SLIPWAY_FLOWER__PASSWORD": ""}, "SLIPWAY_FLOWER__PASSWORD is empty"),
]
STARTS = ("api", "worker publish", "beat", "flower", "migrate", "settings check")


def run(server: ForkServer, command: str, given: dict[str, str], folder: Path) -> tuple[int, str]:
    """Return the exit status and what a command says with these settings and no others."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = start(server, folder, {**plain, **given}, words=command.split())
    return done.status, done.stdout + done.stderr


@pytest.mark.parametrize(("given", "sentence"), UNSAFE)
def test_each_unsafe_setting_is_refused_and_no_secret_is_repeated(
    given: dict[str, str], sentence: str
) -> None:
    ours = {name: value for name, value in SAFE.items() if name.startswith(PREFIX)}
    load(ours)
    with pytest.raises(SettingsError) as refused:
        load(ours | given)
    assert sentence in str(refused.value)
    assert not any(secret in str(refused.value) for secret in (LONG, "elevenchars", "ttt", KEYS))


@pytest.mark.parametrize("command", STARTS)
def test_every_process_of_an_unsafe_installation_refuses_to_start_with_all_reasons_at_once(
    fork_server: ForkServer, command: str, tmp_path: Path
) -> None:
    given = {
        **SAFE,
        "SLIPWAY_STORE__URL": "postgresql+psycopg://slipway:change-me@postgres/slipway",
        "SLIPWAY_FLOWER__PASSWORD": "short",
        "SLIPWAY_API__OPERATOR_TOKEN": "short",
        "SLIPWAY_SANDBOX__MEDIA_URL": "http://127.0.0.1:8101",
        "SLIPWAY_DELAY__SWEEP": "6",
        "SLIPWAY_API__PORT": "0",
        "SLIPWAY_API__PROT": "1",
    }
    status, said = run(fork_server, command, given, tmp_path)
    assert status == 2
    assert "Traceback" not in said
    for part in (
        "SLIPWAY_STORE__URL still contains 'change-me'",
        "SLIPWAY_FLOWER__PASSWORD has 5",
        "SLIPWAY_API__OPERATOR_TOKEN has 5",
        "SLIPWAY_SANDBOX__MEDIA_URL",
        "SLIPWAY_DELAY__SWEEP (6 s)",
        "SLIPWAY_API__PORT",
        "SLIPWAY_API__PROT is not a setting",
    ):
        assert part in said


@pytest.mark.parametrize("command", ["api", "worker publish", "worker upkeep"])
@pytest.mark.parametrize(
    ("keys", "wrong"),
    [("", "is empty"), (f"{KEYS},x", "contains an invalid key")],
    ids=["empty", "invalid"],
)
def test_what_keeps_credentials_does_not_start_without_a_usable_vault_key(
    fork_server: ForkServer, command: str, keys: str, wrong: str, tmp_path: Path
) -> None:
    status, said = run(fork_server, command, SAFE | {"SLIPWAY_VAULT__KEYS": keys}, tmp_path)
    assert (status, said) == (
        2,
        f"SLIPWAY_VAULT__KEYS {wrong}: no credential can be stored or read. Make a key: `slipway vault new-key`\n",
    )


@pytest.mark.parametrize(("given", "sentence"), [UNSAFE[0], *COMPOSE])
def test_the_check_before_the_engines_start_sees_every_password(
    fork_server: ForkServer, given: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    status, said = run(fork_server, CHECK, SAFE | given, tmp_path)
    assert status == 2
    assert sentence in said


def test_a_safe_installation_passes_and_the_example_file_is_refused_with_all_that_has_to_be_filled_in(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    status, said = run(fork_server, CHECK, SAFE, tmp_path)
    assert status == 0, said
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    status, said = run(fork_server, CHECK, example, tmp_path)
    assert status == 2
    assert [name for name in example if name not in said] == []


def test_with_the_sandbox_switched_off_the_stack_on_this_machine_names_no_media_host(tmp_path: Path) -> None:
    off = build_settings(tmp_path / "data", {"SLIPWAY_SANDBOX__URL": ""})
    assert "SLIPWAY_SANDBOX__MEDIA_URL" not in off
    assert load(off).media_origins == frozenset()
