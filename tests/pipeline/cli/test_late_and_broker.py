from __future__ import annotations

from config.settings import load
from pipeline.domain.delivery import State
from pipeline.wiring import build_context
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger


def test_a_workspace_says_what_becomes_of_late_posts(terminal: Terminal) -> None:
    made = terminal.json("workspace create Late")

    def told() -> str:
        [found] = [w for w in terminal.json("workspace list") if w["id"] == made["id"]]
        word: str = found["late"]
        return word

    assert told() == "publish"
    assert terminal.json("workspace set-late Late hold --after 2h")["late"] == "hold after 2:00:00"
    assert told() == "hold after 2:00:00"
    terminal.text("workspace set-late", made["id"], "publish")
    assert told() == "publish"
    for words in (("hold",), ("publish", "--after", "2h"), ("skip", "--after", "0s")):
        assert "--after 2h" in terminal.refusal("workspace set-late Late", *words)


def test_the_broker_is_rung_full_again(terminal: Terminal, ledger: Ledger) -> None:
    kept = build_context(load(terminal.environment))
    assert kept.send_guard.may_send(), "a worker keeps the mark: nothing is released before"
    kept.database.close()
    ledger.fresh(State.QUEUED)
    ledger.fresh()
    assert terminal.json("broker rebuild") == {"deliveries": 1, "looks": 0, "checks": 0, "released": 1}
    assert "deliveries" in terminal.text("broker rebuild --per-second 5000")
    nowhere = "redis+socket:///tmp/nobody-is-here?virtual_host=0"
    away = terminal.run("broker rebuild", SLIPWAY_BROKER__URL=nowhere)
    assert away.status == 1
    assert "Error: The broker is unreachable. Nothing is lost" in away.stderr
