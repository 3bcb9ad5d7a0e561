"""A killed sandbox resumes with everything it has answered, and publishes nothing twice."""

import json
import threading
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.adapters.sandbox.clients import connect
from tests.adapters.sandbox.oauth import VENDORS_BY_PLATFORM, call_with_token, read_access_token
from tests.adapters.sandbox.process import Sandbox, wait_until

NewSandbox = Callable[[], Sandbox]
GRANULE = 256 << 10
THREADS = 4


def restart(sandbox: Sandbox) -> None:
    """Kill the sandbox and start it again in the same folder."""
    sandbox.kill()
    sandbox.start()


def read_media(sandbox: Sandbox, name: str = "sample.mp4") -> bytes:
    return (sandbox.folder / "media" / name).read_bytes()


def test_ledger_accounts_faults_and_tasks_survive_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    tiktok = connect(sandbox, "tiktok")
    instagram = connect(sandbox, "instagram")
    published = tiktok.photos()
    tiktok.wait_until_ended(published)
    container = instagram.image()
    instagram.wait_until_ended(container)
    instagram.publish(container)
    sandbox.fault("tiktok", "creator_info", "5xx", times=3)
    assert tiktok.post("post/publish/creator_info/query/").status_code == 500
    before = sandbox.ledger()
    restart(sandbox)
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
    tiktok = connect(sandbox, "tiktok")
    publish_id = tiktok.photos()
    restart(sandbox)
    assert tiktok.wait_until_ended(publish_id)["status"] == "PUBLISH_COMPLETE"
    assert [entry["handle"] for entry in sandbox.ledger()] == [publish_id]


def test_a_half_received_upload_goes_on_after_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    tiktok = connect(sandbox, "tiktok")
    data = (sandbox.folder / "media" / "sample-large.mp4").read_bytes()
    made = tiktok.upload_init(len(data), 6_000_000, 2)
    for first, last in ((0, 6_000_000), (6_000_000, len(data))):
        span = f"bytes {first}-{last - 1}/{len(data)}"
        headers = {"Content-Type": "video/mp4", "Content-Range": span}
        answer = requests.put(made["upload_url"], data=data[first:last], headers=headers, timeout=30)
        assert answer.status_code in (206, 201)
        restart(sandbox)
    assert tiktok.wait_until_ended(made["publish_id"])["status"] == "PUBLISH_COMPLETE"
    assert sandbox.ledger()[0]["media"][0]["bytes"] == len(data)


def test_facebook_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    page = connect(sandbox, "facebook")
    post = page.create_unpublished("two steps", page.photo())
    data = read_media(sandbox)
    made = page.call_page("POST", "video_reels", {"upload_phase": "start"}).json()
    page.send(made["upload_url"], data[:9000], 0, len(data))
    restart(sandbox)
    assert page.publish(post).ok
    assert page.status(made["video_id"])["status"]["uploading_phase"]["bytes_transfered"] == 9000
    page.send(made["upload_url"], data[9000:], 9000, len(data))
    assert page.finish(made["video_id"]).ok
    restart(sandbox)
    assert page.wait_until_live(made["video_id"])["status"]["video_status"] == "ready"
    assert page.publish(post).ok
    assert page.finish(made["video_id"]).ok
    assert [entry["remote_id"] for entry in sandbox.ledger()] == [post, made["video_id"]]
    assert {row["id"] for row in page.published()} >= {post}


def test_youtube_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    channel = connect(sandbox, "youtube")
    data = read_media(sandbox, "sample-large.mp4")
    session = channel.session(len(data))
    channel.put(session, data[: 4 * GRANULE], 0, len(data))
    restart(sandbox)
    assert channel.probe(session, len(data)).headers["Range"] == f"bytes=0-{4 * GRANULE - 1}"
    answer = channel.put(session, data[4 * GRANULE :], 4 * GRANULE, len(data))
    restart(sandbox)
    repeated = channel.probe(session, len(data))
    assert (repeated.status_code, repeated.json()["id"]) == (201, answer.json()["id"])
    assert wait_until(lambda: channel.videos(answer.json()["id"])[0]["status"]["uploadStatus"] == "processed")
    assert [entry["remote_id"] for entry in sandbox.ledger()] == [answer.json()["id"]]
    assert len(channel.uploads()["items"]) == 1


def test_pinterest_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    pinner = connect(sandbox, "pinterest")
    made = pinner.register()
    restart(sandbox)
    assert pinner.send(made, read_media(sandbox)).status_code == 204
    restart(sandbox)
    assert wait_until(lambda: pinner.status(made["media_id"]) == "succeeded")
    source = {"source_type": "video_id", "media_id": made["media_id"], "cover_image_key_frame_time": 1}
    pin = pinner.pin(source).json()["id"]
    restart(sandbox)
    assert [item["id"] for item in pinner.list_pins()["items"]] == [pin]
    assert len(sandbox.ledger()) == 1


def test_linkedin_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    company = connect(sandbox, "linkedin", kind="organization")
    data = read_media(sandbox, "sample-large.mp4")
    value = company.start_video(len(data))
    first, *rest = value["uploadInstructions"]
    etags = [company.put_part(first, data).headers["ETag"]]
    restart(sandbox)
    etags += [company.put_part(part, data).headers["ETag"] for part in rest]
    assert company.finish_video(value, etags).ok
    restart(sandbox)
    assert wait_until(lambda: company.state(value["video"]) == "AVAILABLE")
    content = {"media": {"id": value["video"]}}
    urn = company.post("video", content).headers["x-restli-id"]
    restart(sandbox)
    twin = company.post("video", content)
    assert (twin.status_code, urn in twin.json()["message"]) == (422, True)
    assert company.call("GET", f"posts/{quote(urn, safe='')}").json()["id"] == urn
    assert len(sandbox.ledger()) == 1


def test_a_code_and_its_tokens_survive_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    account, vendor = sandbox.account("pinterest"), VENDORS_BY_PLATFORM["pinterest"]
    code = vendor.request_code(sandbox)
    restart(sandbox)
    token = read_access_token(vendor.exchange(sandbox, code))
    restart(sandbox)
    assert call_with_token(sandbox, "pinterest", token, account).ok
    assert vendor.exchange(sandbox, code).json()["code"] == 283


def _publish_number(client: Any, platform: str, number: int) -> str:
    """Publish post *number* and return the id that the ledger has for it: the publish_id, or the post's own id."""
    if platform == "tiktok":
        return str(client.photos())
    return str(client.feed(f"post {number}").json()["id"])


def _post_until_killed(sandbox: Sandbox, publish: Callable[[int], str], least: int) -> list[str]:
    """Publish from several threads, kill the sandbox after *least* responses, and return all ids in responses."""
    numbers, answered = count(), list[str]()

    def keep_posting() -> None:
        while True:
            try:
                answered.append(publish(next(numbers)))
            except requests.ConnectionError:
                return

    threads = [threading.Thread(target=keep_posting) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > least)
    sandbox.kill()
    for thread in threads:
        thread.join()
    return answered


@pytest.mark.parametrize(
    ("platform", "id_field", "least"),
    [
        ("tiktok", "handle", 100),
        ("facebook", "remote_id", 60),
    ],
)
def test_a_kill_in_the_middle_of_posting_loses_and_doubles_nothing(
    new_sandbox: NewSandbox, platform: str, id_field: str, least: int
) -> None:
    sandbox = new_sandbox()
    sandbox.pace("instant", quotas=False)
    client = connect(sandbox, platform)
    answered = _post_until_killed(sandbox, lambda number: _publish_number(client, platform, number), least)
    sandbox.start()
    live = [entry[id_field] for entry in sandbox.ledger()]
    assert len(live) == len(set(live))
    assert set(answered) <= set(live)
    assert len(live) <= len(answered) + THREADS
    if platform == "tiktok":
        assert {client.status(publish_id)["status"] for publish_id in live} == {"PUBLISH_COMPLETE"}


def test_an_entry_cut_in_the_ledger_is_written_again_from_the_journal(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    sandbox.pace("instant", quotas=False)
    tiktok = connect(sandbox, "tiktok")
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
    tiktok = connect(sandbox, "tiktok")
    publish_id = tiktok.photos()
    sandbox.control_json("POST", "reset")
    assert len(sandbox.ledger()) == 1
    restart(sandbox)
    assert len(sandbox.ledger()) == 1
    fresh = connect(sandbox, "tiktok")
    assert fresh.account.remote_id != tiktok.account.remote_id
    gone = fresh.post("post/publish/status/fetch/", {"publish_id": publish_id})
    assert gone.json()["error"]["code"] == "invalid_publish_id"
    sandbox.control_json("POST", "reset", {"ledger": True})
    assert sandbox.ledger() == []


def test_the_state_is_rewritten_without_its_history_at_the_next_start(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    for _ in range(20):
        sandbox.pace("instant", quotas=False)
    restart(sandbox)
    lines = (sandbox.folder / "state.jsonl").read_text().splitlines()
    assert [json.loads(line)["o"] for line in lines] == [
        [["setting", "pace", {"pace": "instant", "quotas": False}]]
    ]
