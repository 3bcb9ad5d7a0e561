"""A killed sandbox comes back with everything it has answered, and shows nothing twice."""

import json
import threading
from collections.abc import Callable

import requests

from tests.adapters.sandbox.client import Instagram, Sandbox, TikTok, wait_until

NewSandbox = Callable[[], Sandbox]


def test_ledger_accounts_faults_and_tasks_survive_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    instagram = Instagram(sandbox=sandbox, account=sandbox.account("instagram"))
    published = tiktok.photos()
    tiktok.wait_until_ended(published)
    container = instagram.image()
    instagram.wait_until_ended(container)
    instagram.publish(container)
    sandbox.fault("tiktok", "creator_info", "5xx", times=3)
    assert tiktok.post("post/publish/creator_info/query/").status_code == 500
    before = sandbox.ledger()
    sandbox.kill()
    sandbox.start()
    assert sandbox.ledger() == before
    assert tiktok.status(published)["status"] == "PUBLISH_COMPLETE"
    assert instagram.code(container) == "PUBLISHED"
    assert instagram.publish(container).status_code == 400
    assert [fault["left"] for fault in sandbox.control_json("GET", "faults")] == [2]
    assert sandbox.account("tiktok").remote_id == tiktok.account.remote_id
    page = instagram.call("GET", f"{instagram.account.remote_id}/media").json()
    assert [row["id"] for row in page["data"]] == [before[1]["remote_id"]]


def test_what_was_in_work_goes_live_once_after_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    publish_id = tiktok.photos()
    sandbox.kill()
    sandbox.start()
    assert tiktok.wait_until_ended(publish_id)["status"] == "PUBLISH_COMPLETE"
    assert [entry["handle"] for entry in sandbox.ledger()] == [publish_id]


def test_a_half_received_upload_goes_on_after_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    data = (sandbox.folder / "media" / "sample-large.mp4").read_bytes()
    made = tiktok.upload_init(len(data), 6_000_000, 2)
    for first, last in ((0, 6_000_000), (6_000_000, len(data))):
        span = f"bytes {first}-{last - 1}/{len(data)}"
        headers = {"Content-Type": "video/mp4", "Content-Range": span}
        answer = requests.put(made["upload_url"], data=data[first:last], headers=headers, timeout=30)
        assert answer.status_code in (206, 201)
        sandbox.kill()
        sandbox.start()
    assert tiktok.wait_until_ended(made["publish_id"])["status"] == "PUBLISH_COMPLETE"
    assert sandbox.ledger()[0]["media"][0]["bytes"] == len(data)


def test_a_kill_in_the_middle_of_posting_loses_nothing_and_doubles_nothing(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    sandbox.pace("instant", quotas=False)
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    answered: list[str] = []

    def keep_posting() -> None:
        while True:
            try:
                answered.append(tiktok.photos())
            except requests.ConnectionError:
                return

    threads = [threading.Thread(target=keep_posting) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 200)
    sandbox.kill()
    for thread in threads:
        thread.join()
    sandbox.start()
    handles = [entry["handle"] for entry in sandbox.ledger()]
    assert len(handles) == len(set(handles))
    assert set(answered) <= set(handles)
    assert {tiktok.status(handle)["status"] for handle in handles} == {"PUBLISH_COMPLETE"}


def test_an_entry_cut_in_the_ledger_is_written_again_from_the_journal(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    sandbox.pace("instant", quotas=False)
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    tiktok.photos()
    tiktok.photos()
    before = sandbox.ledger()
    sandbox.kill()
    ledger = sandbox.folder / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-40])
    with (sandbox.folder / "state.jsonl").open("ab") as state:
        state.write(b'{"o":[["tiktok.task","torn')
    sandbox.start()
    assert sandbox.ledger() == before


def test_a_reset_forgets_all_but_the_ledger_unless_it_is_asked_to(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    sandbox.pace("instant", quotas=False)
    tiktok = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    publish_id = tiktok.photos()
    sandbox.control_json("POST", "reset")
    assert len(sandbox.ledger()) == 1
    sandbox.kill()
    sandbox.start()
    assert len(sandbox.ledger()) == 1
    fresh = TikTok(sandbox=sandbox, account=sandbox.account("tiktok"))
    assert fresh.account.remote_id != tiktok.account.remote_id
    gone = fresh.post("post/publish/status/fetch/", {"publish_id": publish_id})
    assert gone.json()["error"]["code"] == "invalid_publish_id"
    sandbox.control_json("POST", "reset", {"ledger": True})
    assert sandbox.ledger() == []


def test_the_state_is_rewritten_without_its_history_at_the_next_start(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    for _ in range(20):
        sandbox.pace("instant", quotas=False)
    sandbox.kill()
    sandbox.start()
    lines = (sandbox.folder / "state.jsonl").read_text().splitlines()
    assert [json.loads(line)["o"] for line in lines] == [
        [["setting", "pace", {"pace": "instant", "quotas": False}]]
    ]
