"""Facebook, YouTube, Pinterest and LinkedIn come back from a kill with everything they have answered."""

import threading
from collections.abc import Callable
from itertools import count
from urllib.parse import quote

import pytest
import requests

from tests.adapters.sandbox.client import Facebook, LinkedIn, Pinterest, Sandbox, YouTube, wait_until

NewSandbox = Callable[[], Sandbox]
GRANULE = 256 << 10


def again(sandbox: Sandbox) -> None:
    sandbox.kill()
    sandbox.start()


def film(sandbox: Sandbox, name: str = "sample.mp4") -> bytes:
    return (sandbox.folder / "media" / name).read_bytes()


def test_facebook_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    page = Facebook(sandbox=sandbox, account=sandbox.account("facebook"))
    post = page.create_unpublished("two steps", page.photo())
    data = film(sandbox)
    made = page.call_page("POST", "video_reels", {"upload_phase": "start"}).json()
    page.send(made["upload_url"], data[:9000], 0, len(data))
    again(sandbox)
    assert page.publish(post).ok
    assert page.status(made["video_id"])["status"]["uploading_phase"]["bytes_transfered"] == 9000
    page.send(made["upload_url"], data[9000:], 9000, len(data))
    assert page.finish(made["video_id"]).ok
    again(sandbox)
    assert page.wait_until_live(made["video_id"])["status"]["video_status"] == "ready"
    assert page.publish(post).ok
    assert page.finish(made["video_id"]).ok
    assert [entry["remote_id"] for entry in sandbox.ledger()] == [post, made["video_id"]]
    assert {row["id"] for row in page.published()} >= {post}


def test_youtube_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    channel = YouTube(sandbox=sandbox, account=sandbox.account("youtube"))
    data = film(sandbox, "sample-large.mp4")
    session = channel.session(len(data))
    channel.put(session, data[: 4 * GRANULE], 0, len(data))
    again(sandbox)
    assert channel.probe(session, len(data)).headers["Range"] == f"bytes=0-{4 * GRANULE - 1}"
    answer = channel.put(session, data[4 * GRANULE :], 4 * GRANULE, len(data))
    again(sandbox)
    repeated = channel.probe(session, len(data))
    assert (repeated.status_code, repeated.json()["id"]) == (201, answer.json()["id"])
    assert wait_until(lambda: channel.videos(answer.json()["id"])[0]["status"]["uploadStatus"] == "processed")
    assert [entry["remote_id"] for entry in sandbox.ledger()] == [answer.json()["id"]]
    assert len(channel.uploads()["items"]) == 1


def test_pinterest_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    pinner = Pinterest(sandbox=sandbox, account=sandbox.account("pinterest", options={"default_board": True}))
    made = pinner.register()
    again(sandbox)
    assert pinner.send(made, film(sandbox)).status_code == 204
    again(sandbox)
    assert wait_until(lambda: pinner.status(made["media_id"]) == "succeeded")
    source = {"source_type": "video_id", "media_id": made["media_id"], "cover_image_key_frame_time": 1}
    pin = pinner.pin(source).json()["id"]
    again(sandbox)
    assert [item["id"] for item in pinner.list_pins()["items"]] == [pin]
    assert len(sandbox.ledger()) == 1


def test_linkedin_goes_on_where_it_was(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    company = LinkedIn(sandbox=sandbox, account=sandbox.account("linkedin", options={"kind": "organization"}))
    data = film(sandbox, "sample-large.mp4")
    value = company.start_video(len(data))
    first, *rest = value["uploadInstructions"]
    etags = [company.put_part(first, data).headers["ETag"]]
    again(sandbox)
    etags += [company.put_part(part, data).headers["ETag"] for part in rest]
    assert company.finish_video(value, etags).ok
    again(sandbox)
    assert wait_until(lambda: company.state(value["video"]) == "AVAILABLE")
    content = {"media": {"id": value["video"]}}
    urn = company.post("film", content).headers["x-restli-id"]
    again(sandbox)
    twin = company.post("film", content)
    assert (twin.status_code, urn in twin.json()["message"]) == (422, True)
    assert company.call("GET", f"posts/{quote(urn, safe='')}").json()["id"] == urn
    assert len(sandbox.ledger()) == 1


def test_a_code_and_its_tokens_survive_a_kill(new_sandbox: NewSandbox) -> None:
    sandbox = new_sandbox()
    sandbox.account("pinterest")
    query = {
        "client_id": "app",
        "redirect_uri": "http://127.0.0.1:9/",
        "response_type": "code",
        "auto": "allow",
    }
    url = f"{sandbox.base}/pinterest-www/oauth/"
    place = requests.get(url, params=query, timeout=30, allow_redirects=False).headers["Location"]
    again(sandbox)
    form = {"grant_type": "authorization_code", "redirect_uri": "http://127.0.0.1:9/"}
    form["code"] = place.partition("code=")[2]
    token = f"{sandbox.base}/pinterest/v5/oauth/token"
    answer = requests.post(token, data=form, auth=("app", "secret"), timeout=30).json()
    again(sandbox)
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert requests.get(f"{sandbox.base}/pinterest/v5/boards", headers=headers, timeout=30).ok
    assert requests.post(token, data=form, auth=("app", "secret"), timeout=30).json()["code"] == 283


def _poster(sandbox: Sandbox, platform: str) -> Callable[[int], str]:
    if platform == "facebook":
        page = Facebook(sandbox=sandbox, account=sandbox.account(platform))
        return lambda number: str(page.feed(f"post {number}").json()["id"])
    if platform == "linkedin":
        person = LinkedIn(sandbox=sandbox, account=sandbox.account(platform))
        return lambda number: person.post(f"post {number}").headers["x-restli-id"]
    if platform == "pinterest":
        pinner = Pinterest(
            sandbox=sandbox, account=sandbox.account(platform, options={"default_board": True})
        )
        return lambda number: str(pinner.pin(title=f"pin {number}").json()["id"])
    channel = YouTube(sandbox=sandbox, account=sandbox.account(platform))
    data = film(sandbox)
    return lambda number: channel.upload(data, title=f"film {number}")


@pytest.mark.parametrize("platform", ["facebook", "youtube", "pinterest", "linkedin"])
def test_a_kill_in_the_middle_of_posting_loses_and_doubles_nothing(
    new_sandbox: NewSandbox, platform: str
) -> None:
    sandbox = new_sandbox()
    sandbox.pace("instant", quotas=False)
    post, numbers, answered = _poster(sandbox, platform), count(), list[str]()

    def keep_posting() -> None:
        while True:
            try:
                answered.append(post(next(numbers)))
            except requests.ConnectionError:
                return

    threads = [threading.Thread(target=keep_posting) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 60)
    sandbox.kill()
    for thread in threads:
        thread.join()
    sandbox.start()
    live = [entry["remote_id"] for entry in sandbox.ledger()]
    assert len(live) == len(set(live))
    assert set(answered) <= set(live)
    assert len(live) <= len(answered) + 4
