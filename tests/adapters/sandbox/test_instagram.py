"""Instagram on the sandbox, through both of its hosts."""

from typing import Any

import pytest
import requests

from tests.adapters.sandbox.clients import Instagram, graph_error
from tests.adapters.sandbox.process import Account, Sandbox, wait_until


@pytest.mark.parametrize("host", ["instagram", "facebook"])
def test_an_image_is_made_finished_and_published_once(instagram: Instagram, host: str) -> None:
    instagram.host = host
    fault = instagram.sandbox.fault("instagram", "prepare", "stuck-processing")
    container = instagram.image(caption="hej #tag", alt_text="a circle")
    assert instagram.code(container) == "IN_PROGRESS"
    early = instagram.publish(container)
    assert (early.status_code, graph_error(early)) == (400, (9007, 2207027))
    instagram.sandbox.control_json("DELETE", f"faults/{fault}")
    assert instagram.wait_until_ended(container) == "FINISHED"
    assert instagram.sandbox.ledger() == []
    media_id = instagram.publish(container).json()["id"]
    assert instagram.code(container) == "PUBLISHED"
    assert graph_error(instagram.publish(container)) == (9007, 2207027)
    (entry,) = instagram.sandbox.ledger("instagram")
    assert (entry["handle"], entry["remote_id"], entry["kind"]) == (container, media_id, "image")
    fields = "id,permalink,timestamp,media_type,media_product_type,caption"
    media = instagram.call("GET", media_id, fields=fields).json()
    assert (media["permalink"], media["caption"], media["media_type"]) == (entry["url"], "hej #tag", "IMAGE")


def send_part(instagram: Instagram, uri: str, data: bytes, offset: int, size: int) -> requests.Response:
    headers = {"Authorization": f"OAuth {instagram.account.access_token}", "offset": str(offset)}
    return requests.post(uri, data=data, headers=headers | {"file_size": str(size)}, timeout=30)


def test_a_reel_can_be_uploaded_in_parts(instagram: Instagram) -> None:
    data = (instagram.sandbox.folder / "media" / "sample.mp4").read_bytes()
    made = instagram.create(media_type="REELS", upload_type="resumable", caption="r").json()
    assert made["uri"] == f"{instagram.sandbox.base}/rupload/ig-api-upload/v25.0/{made['id']}"
    assert send_part(instagram, made["uri"], data[:1000], 0, len(data)).json()["success"] is True
    wrong = send_part(instagram, made["uri"], data[500:], 500, len(data))
    assert (wrong.status_code, wrong.json()["debug_info"]["retriable"]) == (400, True)
    assert instagram.code(made["id"]) == "IN_PROGRESS"
    assert send_part(instagram, made["uri"], data[1000:], 1000, len(data)).json()["success"] is True
    assert instagram.wait_until_ended(made["id"]) == "FINISHED"
    assert instagram.publish(made["id"]).ok
    assert instagram.sandbox.ledger()[0]["media"][0]["bytes"] == len(data)


def test_an_upload_can_name_a_url_instead(instagram: Instagram) -> None:
    made = instagram.create(media_type="REELS", upload_type="resumable").json()
    headers = {"Authorization": f"OAuth {instagram.account.access_token}"}
    headers["file_url"] = instagram.sandbox.media("sample.mp4")
    assert requests.post(made["uri"], headers=headers, timeout=30).json()["success"] is True
    assert instagram.wait_until_ended(made["id"]) == "FINISHED"


def test_a_carousel_waits_for_its_children(instagram: Instagram) -> None:
    fault = instagram.sandbox.fault("instagram", "prepare", "stuck-processing", times=2)
    children = [instagram.image(f"sample-{number}.jpg", is_carousel_item="true") for number in (1, 2)]
    parent: dict[str, Any] = {"media_type": "CAROUSEL", "children": ",".join(children), "caption": "c"}
    assert graph_error(instagram.create(**parent)) == (9007, 2207027)
    instagram.sandbox.control_json("DELETE", f"faults/{fault}")
    for child in children:
        assert instagram.wait_until_ended(child) == "FINISHED"
        assert graph_error(instagram.publish(child)) == (24, 2207006)
    container = instagram.create_id(**parent)
    assert instagram.wait_until_ended(container) == "FINISHED"
    assert instagram.publish(container).ok
    (entry,) = instagram.sandbox.ledger()
    assert (entry["kind"], len(entry["media"])) == ("carousel", 2)
    alone = instagram.create(media_type="CAROUSEL", children=children[0])
    assert graph_error(alone) == (100, 2207028)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"image_url": "picture.png"}, (36001, 2207005)),
        ({"image_url": "wide.jpg"}, (36003, 2207009)),
        ({"image_url": "none.jpg"}, (9004, 2207052)),
        ({"image_url": "sample-1.jpg?status=503"}, (9004, 2207052)),
        ({"image_url": "https://elsewhere.example/a.jpg"}, (9004, 2207052)),
        ({"image_url": "sample-1.jpg", "caption": "x" * 2201}, (36004, 2207010)),
        ({"image_url": "sample-1.jpg", "caption": "#a " * 31}, (36004, 2207010)),
        ({"image_url": "sample-1.jpg", "alt_text": "x" * 1001}, (100, None)),
        ({"image_url": "sample-1.jpg", "collaborators": "a,b,c,d"}, (100, None)),
        ({"image_url": "sample-1.jpg", "is_carousel_item": "true", "caption": "no"}, (100, None)),
        ({"media_type": "VIDEO", "video_url": "sample.mp4"}, (100, 2207023)),
        ({"media_type": "REELS", "video_url": "sample.mp4", "is_carousel_item": "true"}, (100, 2207023)),
        ({"media_type": "HOLOGRAM"}, (100, 2207023)),
        ({}, (100, None)),
    ],
)
def test_a_container_that_breaks_a_rule_is_refused(
    instagram: Instagram, query: dict[str, str], expected: tuple[int, int | None]
) -> None:
    sent = {
        name: instagram.sandbox.media(value) if name.endswith("_url") and "://" not in value else value
        for name, value in query.items()
    }
    answer = instagram.create(**sent)
    assert (answer.status_code, graph_error(answer)) == (400, expected)


@pytest.mark.parametrize(
    ("name", "extra", "subcode"),
    [
        ("sample-1.jpg", {}, 2207026),
        ("none.mp4", {}, 2207052),
        ("sample.mp4", {"thumb_offset": 6000}, 2207057),
    ],
)
def test_a_bad_reel_ends_in_error_with_its_subcode(
    instagram: Instagram, name: str, extra: dict[str, int], subcode: int
) -> None:
    container = instagram.create_id(media_type="REELS", video_url=instagram.sandbox.media(name), **extra)
    assert instagram.wait_until_ended(container) == "ERROR"
    status = instagram.call("GET", container, fields="status").json()["status"]
    assert status == f"Error: Media upload has failed with error code {subcode}"
    assert graph_error(instagram.publish(container)) == (9007, 2207027)


def test_a_container_expires_after_a_day(instagram: Instagram) -> None:
    container = instagram.image()
    assert instagram.wait_until_ended(container) == "FINISHED"
    instagram.sandbox.control_json("POST", "clock", {"advance_s": 86_401})
    assert instagram.code(container) == "EXPIRED"
    assert graph_error(instagram.publish(container)) == (24, 2207008)


def test_the_daily_quota_is_told_and_kept(sandbox: Sandbox) -> None:
    instagram = Instagram(sandbox=sandbox, account=sandbox.account("instagram", options={"quota_total": 1}))
    containers = [instagram.image() for _ in range(2)]
    for container in containers:
        instagram.wait_until_ended(container)
    assert instagram.publish(containers[0]).ok
    assert graph_error(instagram.publish(containers[1])) == (9, 2207042)
    path = f"{instagram.account.remote_id}/content_publishing_limit"
    (limit,) = instagram.call("GET", path, fields="quota_usage,config").json()["data"]
    assert limit == {"quota_usage": 1, "config": {"quota_total": 1, "quota_duration": 86400}}


def test_a_day_has_room_for_400_containers(instagram: Instagram) -> None:
    instagram.sandbox.control_json("POST", "pace", {"pace": "instant", "quotas": True})
    answers = [instagram.create(media_type="REELS", upload_type="resumable").status_code for _ in range(401)]
    assert answers == [200] * 400 + [400]


def test_the_listing_is_newest_first_and_can_be_cut_by_time(instagram: Instagram) -> None:
    instagram.sandbox.pace("instant", quotas=False)
    for number in range(3):
        instagram.publish(instagram.image(caption=f"post {number}"))
        instagram.sandbox.control_json("POST", "clock", {"advance_s": 100})
    instagram.publish(instagram.image(media_type="STORIES"))
    path = f"{instagram.account.remote_id}/media"

    def captions(**query: Any) -> list[str]:
        page = instagram.call("GET", path, fields="id,caption,timestamp,permalink,media_type", **query).json()
        return [row["caption"] for row in page["data"]]

    assert captions() == ["post 2", "post 1", "post 0"]
    first = instagram.call("GET", path, fields="caption", limit=2).json()
    assert captions(limit=2, after=first["paging"]["cursors"]["after"]) == ["post 0"]
    oldest = instagram.sandbox.ledger()[0]["extra"]["visible_at"]
    assert captions(until=int(oldest) + 50) == ["post 0"]
    assert captions(since=int(oldest) + 50) == ["post 2", "post 1"]
    stories = instagram.call(
        "GET", f"{instagram.account.remote_id}/stories", fields="media_product_type"
    ).json()
    assert [row["media_product_type"] for row in stories["data"]] == ["STORY"]


def test_me_and_what_is_not_ones_own(instagram: Instagram) -> None:
    me = instagram.call("GET", "me", fields="user_id,username,name,account_type").json()
    assert (me["user_id"], me["username"]) == (instagram.account.remote_id, "ann")
    other_account = instagram.sandbox.account("instagram", "bob")
    container = instagram.image()
    foreign = instagram.call("GET", container, token=other_account.access_token, fields="status_code")
    assert graph_error(foreign) == (100, 33)
    assert graph_error(instagram.call("GET", "17800000000000000")) == (100, 33)
    assert graph_error(instagram.call("GET", container, fields="media_id")) == (100, None)
    assert foreign.headers["X-App-Usage"].startswith("{")


def refresh_token(sandbox: Sandbox, token: str) -> requests.Response:
    query = {"grant_type": "ig_refresh_token", "access_token": token}
    return requests.get(f"{sandbox.base}/instagram/refresh_access_token", params=query, timeout=30)


def test_a_token_of_a_day_can_be_refreshed_and_an_expired_one_cannot(instagram: Instagram) -> None:
    fresh = refresh_token(instagram.sandbox, instagram.account.access_token).json()
    assert (fresh["token_type"], fresh["expires_in"]) == ("bearer", 5183944)
    assert graph_error(refresh_token(instagram.sandbox, fresh["access_token"])) == (100, None)
    assert instagram.call("GET", "me", token=fresh["access_token"]).ok
    set_token_state(instagram.account, instagram.sandbox, "expired")
    assert graph_error(refresh_token(instagram.sandbox, instagram.account.access_token)) == (190, 463)
    set_token_state(instagram.account, instagram.sandbox, "revoked")
    assert graph_error(instagram.call("GET", "me")) == (190, 458)


def set_token_state(account: Account, sandbox: Sandbox, state: str) -> None:
    sandbox.control_json(
        "POST", "tokens", {"platform": "instagram", "remote_id": account.remote_id, "state": state}
    )


def test_a_short_token_is_exchanged_for_a_long_one(instagram: Instagram) -> None:
    account = {"platform": "instagram", "remote_id": instagram.account.remote_id}
    short = instagram.sandbox.control_json("POST", "oauth/code", account)["short_lived_token"]
    query = {"grant_type": "ig_exchange_token", "client_secret": "s", "access_token": short}
    answer = requests.get(f"{instagram.sandbox.base}/instagram/access_token", params=query, timeout=30).json()
    assert instagram.call("GET", "me", token=answer["access_token"]).ok


def test_late_visibility_hides_a_post_that_is_live(instagram: Instagram) -> None:
    instagram.sandbox.pace("instant", quotas=False)
    container = instagram.image()
    instagram.sandbox.fault("instagram", "finalize", "late-visibility", delay_ms=60_000)
    media_id = instagram.publish(container).json()["id"]
    assert len(instagram.sandbox.ledger()) == 1
    assert graph_error(instagram.call("GET", media_id)) == (100, 33)
    assert instagram.call("GET", f"{instagram.account.remote_id}/media").json()["data"] == []
    instagram.sandbox.control_json("POST", "clock", {"advance_s": 61})
    assert wait_until(lambda: instagram.call("GET", media_id).ok)
