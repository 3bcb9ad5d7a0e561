"""Comments on the sandbox: the vendors' calls, lists and refusals, faults, and comments by the control API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.adapters.sandbox.clients import YouTube, connect, google_error, graph_error
from tests.adapters.sandbox.process import Sandbox

PLATFORMS = ("instagram", "facebook", "youtube", "linkedin")
every_platform = pytest.mark.parametrize("platform", PLATFORMS)
FEED = {"filter": "stream", "order": "reverse_chronological", "fields": "id,from,message,created_time"}


@dataclass(kw_only=True)
class LivePost:
    """A live post of an account, and the vendor's calls about its comments."""

    client: Any
    platform: str
    remote_id: str

    def send(self, text: str, **more: Any) -> requests.Response:
        """Comment as the account."""
        match self.platform:
            case "youtube":
                comment = {"snippet": {"textOriginal": text}}
                snippet = {"channelId": self.client.account.remote_id, "videoId": self.remote_id}
                thread = {"snippet": {**snippet, "topLevelComment": comment, **more}}
                answer = self.client.call("POST", "youtube/v3/commentThreads", thread, part="snippet")
            case "linkedin":
                body = {"actor": self.client.urn, "object": self.remote_id, "message": {"text": text}}
                answer = self.client.call("POST", self.path, body | more)
            case "facebook":
                answer = self.client.call("POST", self.path, {"message": text} | more)
            case _:
                answer = self.client.call("POST", self.path, message=text, **more)
        found: requests.Response = answer
        return found

    @property
    def path(self) -> str:
        """The path of the comments, where it names the post."""
        if self.platform == "linkedin":
            return f"socialActions/{quote(self.remote_id, safe='')}/comments"
        return f"{self.remote_id}/comments"

    def send_id(self, text: str) -> str:
        """Comment as the account, and return the id."""
        answer = self.send(text)
        assert answer.ok, answer.text
        return str(answer.headers["x-restli-id"] if self.platform == "linkedin" else answer.json()["id"])

    def fetch(self, **query: Any) -> Any:
        """List the comments as the account, and return the answer's JSON."""
        if self.platform == "youtube":
            query = {"part": "snippet", "videoId": self.remote_id, **query}
            answer = self.client.call("GET", "youtube/v3/commentThreads", **query)
        else:
            usual = {"instagram": {"fields": "id,text,timestamp,username,from"}, "facebook": FEED}
            answer = self.client.call("GET", self.path, **usual.get(self.platform, {}) | query)
        assert answer.ok, answer.text
        return answer.json()

    def read(self, **query: Any) -> list[tuple[str, str, str]]:
        """List the comments, and return id, author and text of each."""
        body = self.fetch(**query)
        match self.platform:
            case "instagram":
                return [(one["id"], one["username"], one["text"]) for one in body["data"]]
            case "facebook":
                return [(one["id"], one["from"]["id"], one["message"]) for one in body["data"]]
            case "linkedin":
                return [(one["id"], one["actor"], one["message"]["text"]) for one in body["elements"]]
        threads = [(one["id"], one["snippet"]["topLevelComment"]["snippet"]) for one in body["items"]]
        return [(key, one["authorChannelId"]["value"], one["textDisplay"]) for key, one in threads]

    @property
    def author(self) -> str:
        """What a list shows as the author of the account's own comments."""
        account = self.client.account
        return str(account.answer["username"] if self.platform == "instagram" else account.remote_id)


Publish = Callable[..., LivePost]


@pytest.fixture
def publish(quick: Sandbox, video_bytes: bytes) -> Publish:
    """Return a function that publishes one post on a platform, by an account with these options."""

    def made(platform: str, **options: Any) -> LivePost:
        options |= {"kind": "organization"} if platform == "linkedin" else {}
        client = connect(quick, platform, **options)
        match platform:
            case "instagram":
                remote_id = client.publish(client.image()).json()["id"]
            case "facebook":
                remote_id = client.feed("a post").json()["id"]
            case "youtube":
                remote_id = client.upload(video_bytes)
            case _:
                remote_id = client.post("a post").headers["x-restli-id"]
        return LivePost(client=client, platform=platform, remote_id=remote_id)

    return made


def add(sandbox: Sandbox, post: LivePost, text: str, **more: Any) -> str:
    """Add a comment by the control API, of a stranger unless *username* names an account."""
    body = {"platform": post.platform, "on": post.remote_id, "text": text, **more}
    return str(sandbox.control_json("POST", "comments", body)["id"])


# --- create and list -------------------------------------------------------------------------------------------------


@every_platform
def test_a_strangers_comment_is_listed_and_has_no_line(
    quick: Sandbox, publish: Publish, platform: str
) -> None:
    post = publish(platform)
    mine, theirs = post.send_id("same words"), add(quick, post, "same words")
    by_hand = add(quick, post, "same words", username="ann")
    listed = post.read()
    assert [key for key, _, _ in listed] == [by_hand, theirs, mine]
    assert [author == post.author for _, author, _ in listed] == [True, False, True]
    assert [line["kind"] == "comment" for line in quick.ledger()] == [False, True]


@every_platform
def test_pages_follow_each_other_newest_first(quick: Sandbox, publish: Publish, platform: str) -> None:
    post = publish(platform)
    keys = [add(quick, post, f"number {n}") for n in range(5)][::-1]
    size = {"instagram": "limit", "facebook": "limit", "youtube": "maxResults", "linkedin": "count"}[platform]
    first = post.fetch(**{size: 2})
    if platform == "youtube":
        cursor = {"pageToken": first["nextPageToken"]}
    else:
        cursor = {"start": 2} if platform == "linkedin" else {"after": first["paging"]["cursors"]["after"]}
    assert [key for key, _, _ in post.read(**{size: 2})] == keys[:2]
    assert [key for key, _, _ in post.read(**{size: 3}, **cursor)] == keys[2:]
    assert "nextPageToken" not in post.fetch(**{size: 3}, **cursor)
    assert "next" not in post.fetch(**{size: 3}, **cursor).get("paging", {})


def test_comments_are_not_among_the_posts(quick: Sandbox, publish: Publish) -> None:
    posts = {platform: publish(platform) for platform in PLATFORMS}
    keys = {platform: post.send_id("hello") for platform, post in posts.items()}
    facebook, instagram, linkedin = (posts[name].client for name in ("facebook", "instagram", "linkedin"))
    assert [one["id"] for one in facebook.published()] == [posts["facebook"].remote_id]
    media = instagram.call("GET", f"{instagram.account.remote_id}/media").json()["data"]
    assert [one["id"] for one in media] == [posts["instagram"].remote_id]
    assert instagram.call("GET", keys["instagram"]).status_code == 400
    elements = linkedin.list_posts().json()["elements"]
    assert [one["id"] for one in elements] == [posts["linkedin"].remote_id]


def test_facebook_lists_since_a_time_and_the_oldest_first_if_not_asked_otherwise(
    quick: Sandbox, publish: Publish
) -> None:
    post = publish("facebook")
    old = post.send_id("old")
    quick.control_json("POST", "clock", {"advance_s": 100})
    new = post.send_id("new")
    plain = post.client.call("GET", post.path).json()["data"]
    assert [one["id"] for one in plain] == [old, new]
    entry = quick.ledger()[-1]
    since = int(entry["extra"]["visible_at"])
    assert [key for key, _, _ in post.read(since=since)] == [new]


def test_a_reels_comments_belong_to_its_post(quick: Sandbox, video_bytes: bytes) -> None:
    page = connect(quick, "facebook")
    video = page.reel(video_bytes)
    page.finish(video)
    shown = page.wait_until_live(video)["post_id"]
    assert page.call("POST", f"{video}/comments", {"message": "hello"}).status_code == 400
    assert page.call("POST", f"{shown}/comments", {"message": "hello"}).ok
    assert quick.ledger()[-1]["extra"]["on"] == video


def test_instagram_can_show_no_comment_beside_a_count(quick: Sandbox, publish: Publish) -> None:
    post = publish("instagram")
    post.send_id("hello")
    quick.fault("instagram", "look", "late-visibility")
    assert post.read() == []
    shown = post.client.call("GET", post.remote_id, fields="comments_count").json()
    assert (shown["comments_count"], len(post.read())) == (1, 1)


@pytest.mark.parametrize("status", ["heldForReview", "likelySpam"])
def test_youtube_lists_a_held_comment_by_its_status_only(publish: Publish, status: str) -> None:
    post = publish("youtube", comments=status)
    key = post.send_id("hello")
    shown = {name: post.read(moderationStatus=name) for name in ("published", "heldForReview", "likelySpam")}
    assert {name: [one[0] for one in found] for name, found in shown.items() if found} == {status: [key]}


def test_youtube_shows_the_text_as_it_was_sent_to_its_author_only(quick: Sandbox, publish: Publish) -> None:
    post = publish("youtube")
    post.send_id("mine")
    add(quick, post, "theirs")
    comments = [one["snippet"]["topLevelComment"]["snippet"] for one in post.fetch()["items"]]
    assert [one.get("textOriginal") for one in comments] == [None, "mine"]


def test_linkedins_answer_names_an_activity_in_place_of_the_post(publish: Publish) -> None:
    post = publish("linkedin")
    body = post.send("hello").json()
    assert body["object"].startswith("urn:li:activity:")
    assert body["object"].rpartition(":")[2] != post.remote_id.rpartition(":")[2]
    assert body["commentUrn"] == f"urn:li:comment:({body['object']},{body['id']})"


# --- refusals --------------------------------------------------------------------------------------------------------

UNKNOWN = {
    "instagram": "17900000000000000",
    "facebook": "1_2",
    "youtube": "none",
    "linkedin": "urn:li:share:1",
}


def name_error(post: LivePost, answer: requests.Response) -> Any:
    """Return status and code of the vendor's envelope."""
    if post.platform == "youtube":
        return google_error(answer)
    if post.platform == "linkedin":
        return answer.status_code, answer.json()["code"]
    return graph_error(answer)


@pytest.mark.parametrize(
    ("platform", "text", "error"),
    [
        ("instagram", " ", (100, None)),
        ("facebook", "", (100, None)),
        ("youtube", " ", (400, "commentTextRequired")),
        ("youtube", "x" * 10_001, (400, "commentTextTooLong")),
        ("linkedin", "", (400, "MISSING_FIELD")),
        ("linkedin", "x" * 1251, (400, "FIELD_LENGTH_TOO_LONG")),
    ],
)
def test_a_text_that_is_missing_or_too_long_is_refused(
    quick: Sandbox, publish: Publish, platform: str, text: str, error: Any
) -> None:
    post = publish(platform)
    assert name_error(post, post.send(text)) == error
    assert [line["kind"] for line in quick.ledger() if line["kind"] == "comment"] == []


@pytest.mark.parametrize(
    ("platform", "error"),
    [
        ("instagram", (100, 33)),
        ("facebook", (100, 33)),
        ("youtube", (404, "videoNotFound")),
        ("linkedin", (404, "RESOURCE_NOT_FOUND")),
    ],
)
def test_a_post_that_does_not_exist_takes_none(publish: Publish, platform: str, error: Any) -> None:
    post = publish(platform)
    post.remote_id = UNKNOWN[platform]
    assert name_error(post, post.send("hello")) == error


@pytest.mark.parametrize(
    ("platform", "scopes", "error"),
    [
        ("instagram", ["instagram_business_content_publish"], (10, None)),
        ("facebook", ["pages_manage_posts"], (10, None)),
        (
            "youtube",
            ["https://www.googleapis.com/auth/youtube.upload"],
            (403, "insufficientPermissions"),
        ),
        ("linkedin", ["w_organization_social"], (403, "ACCESS_DENIED")),
    ],
)
def test_a_grant_without_the_scope_of_comments_sends_none(
    publish: Publish, platform: str, scopes: list[str], error: Any
) -> None:
    answer = publish(platform, scopes=scopes).send("hello")
    post = LivePost(client=None, platform=platform, remote_id="")
    assert name_error(post, answer) == error
    assert platform != "linkedin" or "partnerApiSocialActions.CREATE" in answer.json()["message"]


def test_a_users_token_cannot_comment_as_the_page(quick: Sandbox, publish: Publish) -> None:
    post = publish("facebook")
    body = {"platform": "facebook", "remote_id": post.client.account.remote_id}
    code = quick.control_json("POST", "oauth/code", body)["code"]
    app = {"client_id": "a", "client_secret": "b", "redirect_uri": "https://a.example/", "code": code}
    user = post.client.call("GET", "oauth/access_token", **app).json()["access_token"]
    answer = post.client.call("POST", post.path, {"message": "hello"}, token=user)
    assert graph_error(answer) == (1705, None)


def test_youtube_wants_video_and_channel_and_refuses_where_comments_are_off(
    quick: Sandbox, publish: Publish, video_bytes: bytes
) -> None:
    post = publish("youtube")
    missing = post.send("hello", videoId="")
    assert google_error(missing) == (400, "channelOrVideoIdMissing")
    assert google_error(post.send("hello", channelId="UCother")) == (404, "videoNotFound")
    closed = YouTube(sandbox=quick, account=quick.account("youtube", "bob", options={"comments": "disabled"}))
    video = closed.upload(video_bytes)
    other = LivePost(client=closed, platform="youtube", remote_id=video)
    assert google_error(other.send("hello")) == (403, "commentsDisabled")
    listed = closed.call("GET", "youtube/v3/commentThreads", part="snippet", videoId=video)
    assert google_error(listed) == (403, "commentsDisabled")
    listed = closed.call("GET", "youtube/v3/commentThreads", part="snippet")
    assert google_error(listed) == (400, "missingRequiredParameter")


def test_linkedin_wants_the_posts_urn_and_an_actor_of_the_token(quick: Sandbox, publish: Publish) -> None:
    post = publish("linkedin")
    other = quick.account("linkedin", "other", options={"kind": "organization"}).remote_id
    assert name_error(post, post.send("hello", object="urn:li:share:2")) == (400, "INVALID_VALUE_FOR_FIELD")
    assert name_error(post, post.send("hello", actor=other)) == (403, "ACCESS_DENIED")
    member = connect(quick, "linkedin", "mia")
    foreign = LivePost(client=member, platform="linkedin", remote_id=post.remote_id)
    assert name_error(post, foreign.send("hello")) == (403, "ACCESS_DENIED")
    listed = member.call("GET", post.path)
    assert "partnerApiSocialActions.GET_ALL" in listed.json()["message"]
    body = {"actor": post.client.urn, "object": post.remote_id, "message": {"text": "hello"}}
    plain = post.client.call("POST", f"socialActions/{post.remote_id}/comments", body)
    assert name_error(post, plain) == (400, "ILLEGAL_ARGUMENT")


# --- faults ----------------------------------------------------------------------------------------------------------


@every_platform
def test_faults_of_posts_leave_comments_alone_and_theirs_leave_posts(
    quick: Sandbox, publish: Publish, platform: str
) -> None:
    quick.fault(platform, "comment", "5xx", times=None)
    post = publish(platform)
    quick.control("DELETE", "faults")
    quick.fault(platform, "finalize", "5xx", times=None)
    assert post.send_id("hello")


@every_platform
def test_a_post_that_reads_do_not_show_yet_takes_no_comment_yet(
    quick: Sandbox, publish: Publish, platform: str
) -> None:
    quick.fault(platform, "finalize", "late-visibility", delay_ms=60_000)
    post = publish(platform)
    assert post.send("hello").status_code in (400, 404)
    quick.control_json("POST", "clock", {"advance_s": 61})
    assert post.send_id("hello")


def test_a_comment_can_be_listed_late(quick: Sandbox, publish: Publish) -> None:
    post = publish("youtube")
    quick.fault("youtube", "comment", "late-visibility", delay_ms=60_000)
    key = post.send_id("hello")
    assert post.read() == []
    quick.control_json("POST", "clock", {"advance_s": 61})
    assert [one[0] for one in post.read()] == [key]


def test_the_control_api_names_what_it_wants_of_a_comment(quick: Sandbox, publish: Publish) -> None:
    post = publish("facebook")
    body = {"platform": "facebook", "on": post.remote_id, "text": "hello"}
    for change, status, words in (
        ({"platform": "tiktok"}, 422, "platform must be one of: instagram, facebook, youtube, linkedin"),
        ({"on": "1_2"}, 404, "There is no live post of facebook"),
        ({"text": ""}, 422, "text must be a non-empty string"),
    ):
        answer = quick.control("POST", "comments", body | change)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text
