"""Every command in the runbooks runs on a real database; those of compose name services that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.domain.delivery import Reason, State
from pipeline.store.database import row
from pipeline.store.deliveries.pauses import pause
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger
from tests.test_compose import SERVICES

TEXT = (Path(__file__).parents[3] / "config" / "runbooks.md").read_text()
COMMANDS = sorted(
    {line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines() if line}
)
OURS = [command for command in COMMANDS if command.startswith("slipway ")]
COMPOSE = [command for command in COMMANDS if command.startswith("docker compose ")]
VERBS = {"ps", "logs", "up", "restart"}
WITH_VALUE = {"--tail", "--since", "--scale"}


def arrange(ledger: Ledger, command: str) -> str:
    """Return the id of a delivery that the command is for; there are a pause and an open breaker, too."""
    with ledger.database.begin() as c:
        pause(c, "platform", "tiktok", "it refuses our app")
        row(
            c,
            """INSERT INTO platform_health (platform, opened_at, probe_at, why) VALUES ('tiktok', now(), now(), 'x')
               ON CONFLICT (platform) DO UPDATE SET opened_at = now(), probe_at = now(), why = 'x'
               RETURNING platform""",
        )
    post = ledger.fresh()
    if "dead-letter" in command:
        ledger.put(post, State.FAILED)
    else:
        ledger.put(post, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
        ledger.change(post.deliveries[0], "armed_deadline = now() - interval '1 day'")
    return str(post.deliveries[0])


@pytest.mark.parametrize("command", OURS)
def test_a_command_of_slipway_runs(command: str, terminal: Terminal, ledger: Ledger) -> None:
    identity = arrange(ledger, command)
    given = re.sub(r"\bID\b", identity, command).replace("PLATFORM", "tiktok")
    ended = terminal.run(*shlex.split(given)[1:])
    assert ended.status == 0, ended


@pytest.mark.parametrize("command", COMPOSE)
def test_a_command_of_compose_names_services_that_exist(command: str) -> None:
    _, _, verb, *words = shlex.split(command)
    assert verb in VERBS
    values = {words[n + 1] for n, word in enumerate(words) if word in WITH_VALUE}
    services = [word for word in words if not word.startswith("--") and word not in values]
    assert services
    assert {*services} <= SERVICES.keys()
    assert all(value.partition("=")[0] in SERVICES for value in values if "=" in value)


def test_every_command_is_one_of_these() -> None:
    assert [command for command in COMMANDS if command not in {*OURS, *COMPOSE}] == []
    assert len(OURS) > 10
