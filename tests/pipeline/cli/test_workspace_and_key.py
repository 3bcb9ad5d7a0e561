from __future__ import annotations

from uuid import UUID

from pipeline.domain.account import Plan, Subscription
from pipeline.store.auth.keys import find_caller
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger


def test_a_workspace_changes_plan_and_keeps_its_subscription_unless_told(
    terminal: Terminal, ledger: Ledger
) -> None:
    made = terminal.json("workspace create Acme --time-zone Europe/Berlin")
    assert (made["kind"], made["plan"], made["time_zone"]) == ("workspace", "business", "Europe/Berlin")
    late = terminal.json("workspace set-plan Acme professional --subscription past_due")
    assert (late["plan"], late["subscription"]) == ("professional", "past_due")
    moved = terminal.json("workspace set-plan", made["id"], "scheduler")
    assert (moved["plan"], moved["subscription"]) == ("scheduler", "past_due")

    key = terminal.json("key create Acme")["key"]
    with ledger.database.begin() as c:
        caller = find_caller(c, key)
    assert caller is not None
    assert (caller.workspace_id, caller.plan) == (UUID(made["id"]), Plan.SCHEDULER)
    assert caller.subscription is Subscription.PAST_DUE


def test_a_personal_workspace_has_an_owner(terminal: Terminal) -> None:
    made = terminal.json("workspace create Ann --kind personal --plan creator")
    assert made["owner_user_id"]
    [listed] = [w for w in terminal.json("workspace list") if w["id"] == made["id"]]
    assert made.items() <= listed.items()


def test_what_is_wrong_is_said_with_the_next_step(terminal: Terminal) -> None:
    assert "did you mean Europe/Berlin?" in terminal.refusal("workspace create x --time-zone Europe/Berln")
    assert "`slipway workspace list`" in terminal.refusal("workspace set-plan nobody creator")
    assert "`slipway key list`" in terminal.refusal("key revoke slw_live_0")


def test_a_key_is_shown_once_and_is_no_longer_let_in_once_revoked(terminal: Terminal, ledger: Ledger) -> None:
    terminal.text("workspace create Keys")
    done = terminal.run("key create Keys --name reporting")
    key = done.stdout.strip()
    public, _, secret = key.partition(".")
    assert "shown only once" in done.stderr
    listed = terminal.text("key list Keys --json")
    assert public in listed
    assert "reporting" in listed
    assert secret not in listed
    with ledger.database.begin() as c:
        assert find_caller(c, key) is not None
    terminal.text("key revoke", public)
    with ledger.database.begin() as c:
        assert find_caller(c, key) is None
    assert terminal.json("key list Keys")[0]["revoked_at"].endswith("Z")


def test_a_key_is_made_for_less_and_listed_so(terminal: Terminal, ledger: Ledger) -> None:
    made = terminal.json("workspace create Less")
    account = ledger.account(UUID(made["id"]))
    [name] = [a["username"] for a in terminal.json("account list --workspace Less")]
    less = terminal.json(
        "key create Less --read-only --account", name, "--account", str(account), "--expires", "90d", "--bulk"
    )
    assert (less["read_only"], less["accounts"], less["bulk"]) == (True, [str(account)], True)
    with ledger.database.begin() as c:
        caller = find_caller(c, less["key"])
    assert caller is not None
    assert (caller.read_only, caller.accounts, caller.bulk) == (True, (account,), True)
    [listed] = terminal.json("key list Less")
    assert (listed["read_only"], listed["accounts"]) == (True, [str(account)])
    assert listed["expires_at"] == less["expires_at"]
    assert listed["last_used_at"] is None
    assert "read, 1 account, bulk" in terminal.text("key list Less")


def test_a_new_key_has_a_rate_and_its_limits_can_be_changed(terminal: Terminal) -> None:
    terminal.text("workspace create Rates")
    made = [
        terminal.json("key create Rates", *options)["posts_per_minute"]
        for options in ((), ("--bulk",), ("--posts-per-minute", "0"), ("--posts-per-minute", "default"))
    ]
    assert made == [6000, None, 0, None]
    server = {"SLIPWAY_API__POSTS_PER_MINUTE": "100"}
    assert terminal.json("key create Rates", **server)["posts_per_minute"] is None
    one = terminal.json("key create Rates --posts-per-day 500 --music-required yes")
    assert (one["posts_per_day"], one["music_required"]) == (500, True)
    known = one["public_id"]
    changed = terminal.json("key set", known, "--posts-per-minute", "60", "--music-required", "default")
    assert changed == {
        "public_id": known,
        "music_required": None,
        "posts_per_minute": 60,
        "posts_per_day": 500,
    }
    [listed] = [key for key in terminal.json("key list Rates") if key["public_id"] == known]
    assert (listed["posts_per_minute"], listed["posts_per_day"]) == (60, 500)
    assert "60 a minute, 500 a day" in terminal.text("key list Rates")
    assert "name a limit" in terminal.refusal("key set", known)
    assert "`slipway key list`" in terminal.refusal("key set slw_live_0 --posts-per-day 1")
    for value in ("-1", "many", "1000001", "٣"):
        assert "0 to 1000000" in terminal.run("key set", known, "--posts-per-minute", value).stderr


def test_a_key_is_rotated_and_the_old_secret_ends(terminal: Terminal, ledger: Ledger) -> None:
    terminal.text("workspace create Turn")
    old = terminal.json("key create Turn")["key"]
    done = terminal.run("key rotate", old.partition(".")[0], "--overlap", "24h")
    assert "shown only once" in done.stderr
    assert "The old secret works until" in done.stderr
    turned = terminal.json("key rotate", old, "--overlap", "0s")
    with ledger.database.begin() as c:
        opened = [find_caller(c, key) is not None for key in (old, done.stdout.strip(), turned["key"])]
    assert opened == [False, False, True]
    assert terminal.json("key list Turn")[0]["rotated_at"].endswith("Z")


def test_what_a_key_cannot_be_made_for_is_a_sentence(terminal: Terminal, ledger: Ledger) -> None:
    terminal.text("workspace create Wrong")
    stranger = str(ledger.account(ledger.workspace()))
    assert "`slipway account list`" in terminal.refusal("key create Wrong --account", stranger)
    for options, said in (
        (("--expires", "2001-01-01T00:00:00Z"), "is in the past"),
        (("--expires", "2090-01-01T00:00:00"), "has no offset"),
        (("--expires", "soon"), "90d"),
    ):
        ended = terminal.run("key create Wrong", *options)
        assert (ended.status, ended.stdout) == (2, "")
        assert said in ended.stderr
    assert terminal.json("key list Wrong") == []
    assert "`slipway key list`" in terminal.refusal("key rotate slw_live_0")
    assert "24h" in terminal.run("key rotate slw_live_0 --overlap 999999w").stderr


def test_no_database_and_no_tables_are_sentences(terminal: Terminal, empty_database_url: str) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    assert "does not answer" in terminal.refusal("workspace list", SLIPWAY_STORE__URL=nowhere)
    assert "`slipway migrate`" in terminal.refusal("key list", SLIPWAY_STORE__URL=empty_database_url)
