"""Settings: read from environment and file, refused with a sentence when unknown, invalid or inconsistent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from config.settings import FILE_VARIABLE, Settings, SettingsError, describe_settings, load
from pipeline.cli import cli

EXAMPLE = Path(__file__).parents[2] / "config" / ".env.example"
INCONSISTENT = [
    ({"SLIPWAY_DELAY__HORIZON": "200"}, ("SLIPWAY_DELAY__HORIZON", "SLIPWAY_BROKER__VISIBILITY_TIMEOUT")),
    ({"SLIPWAY_DELAY__SWEEP": "6"}, ("SLIPWAY_DELAY__SWEEP", "SLIPWAY_DELAY__HORIZON")),
    ({"SLIPWAY_PUBLISH__LEASE": "100"}, ("SLIPWAY_PUBLISH__LEASE", "SLIPWAY_PUBLISH__SLICE")),
    ({"SLIPWAY_PUBLISH__CALL": "60"}, ("SLIPWAY_PUBLISH__CALL", "SLIPWAY_PUBLISH__SLICE")),
    (
        {"SLIPWAY_BROKER__VISIBILITY_TIMEOUT": "100"},
        ("SLIPWAY_PUBLISH__SLICE", "SLIPWAY_REACHABILITY__SLICE"),
    ),
    ({"SLIPWAY_REACHABILITY__LEASE": "100"}, ("SLIPWAY_REACHABILITY__LEASE", "SLIPWAY_REACHABILITY__SLICE")),
    ({"SLIPWAY_WORKER__SHUTDOWN": "21"}, ("SLIPWAY_WORKER__SHUTDOWN", "SLIPWAY_PUBLISH__CALL")),
    ({"SLIPWAY_API__SHUTDOWN": "6"}, ("SLIPWAY_API__SHUTDOWN", "SLIPWAY_REACHABILITY__WAIT")),
    ({"SLIPWAY_PUBLISH__BACKOFF": "1000"}, ("SLIPWAY_PUBLISH__BACKOFF", "SLIPWAY_PUBLISH__BACKOFF_CAP")),
    ({"SLIPWAY_PUBLISH__PATIENCE": "300"}, ("SLIPWAY_PUBLISH__OUTAGE_CAP", "SLIPWAY_PUBLISH__PATIENCE")),
    (
        {"SLIPWAY_PUBLISH__MEDIA_PATIENCE": "60"},
        ("SLIPWAY_PUBLISH__OUTAGE_CAP", "SLIPWAY_PUBLISH__MEDIA_PATIENCE"),
    ),
]


def test_the_defaults_fit_together() -> None:
    assert load({}) == Settings()


@pytest.mark.parametrize(("given", "named"), INCONSISTENT)
def test_settings_that_do_not_fit_are_refused_with_both_names(
    given: dict[str, str], named: tuple[str, str]
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(given)
    assert all(name in str(refused.value) for name in named)


def test_everything_wrong_is_said_at_once_and_no_secret_is_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"SLIPWAY_API__PORT": "0", "SLIPWAY_LOG__LEVEL": "LOUD", "SLIPWAY_VAULT__KEYS": "top-secret"})
    assert "SLIPWAY_API__PORT" in str(refused.value)
    assert "SLIPWAY_LOG__LEVEL" in str(refused.value)
    assert "top-secret" not in str(refused.value)
    assert "top-secret" not in repr(load({"SLIPWAY_VAULT__KEYS": "top-secret"}))


def test_the_environment_wins_over_the_file_and_nothing_in_it_is_expanded(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text("SLIPWAY_API__PORT=9000\nSLIPWAY_FLOWER__USER='a${HOME}b'\nSLIPWAY_LOG__LEVEL=DEBUG\n")
    settings = load({FILE_VARIABLE: str(file), "SLIPWAY_LOG__LEVEL": "ERROR"})
    assert (settings.api.port, settings.flower.user, settings.log.level) == (9000, "a${HOME}b", "ERROR")


def test_a_settings_file_that_is_not_there_is_said() -> None:
    with pytest.raises(SettingsError, match=r"/nowhere\.env, which is not a file"):
        load({FILE_VARIABLE: "/nowhere.env"})


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, meaning in describe_settings().items() if not meaning] == []


def test_the_example_file_names_every_setting_once_with_its_default() -> None:
    written = re.findall(r"^#?(SLIPWAY_\w+)='(.*)'$", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(name for name, _ in written) == sorted(describe_settings())
    commented = dict(re.findall(r"^#(SLIPWAY_\w+)='(.*)'$", EXAMPLE.read_text(), re.MULTILINE))
    assert load(commented) == Settings()


def test_settings_list_shows_all_and_masks_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIPWAY_VAULT__KEYS", "top-secret")
    out = CliRunner().invoke(cli, ["settings", "list", "--json"]).output
    assert {row["setting"] for row in json.loads(out)} == set(describe_settings())
    assert "top-secret" not in out
    assert "top-secret" not in CliRunner().invoke(cli, ["settings", "list"]).output


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    answer = CliRunner().invoke(cli, ["worke"])
    assert answer.exit_code == 2
    assert "Did you mean `slipway worker`?" in answer.output
