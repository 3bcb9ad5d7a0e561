"""First comments: the requests, what their answers mean, and how far a look reads the lists of a post's comments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from adapters.comments import NOT_ALLOWED, limit_to_comments
from adapters.contract import Account, Adapter, CannotTell, Draft, Pending, Platform, Published, Ready
from adapters.errors import (
    AdapterError,
    CredentialsExpired,
    OutcomeUnknown,
    PermissionMissing,
    RateLimited,
    Rejected,
    Unavailable,
)
from adapters.http import HttpClient
from adapters.linkedin.errors import COMMENT_TABLE
from adapters.linkedin.errors import TABLE as LINKEDIN_TABLE
from adapters.listing import PAGES, Asked
from adapters.registry import COMMENTS
from adapters.youtube.errors import COMMENT_REASONS, REASONS
from tests.adapters.drafts import ARMED, NONE_TAKEN
from tests.adapters.facebook import drafts as fb
from tests.adapters.instagram import drafts as ig
from tests.adapters.instagram.graph_error import build_error
from tests.adapters.linkedin import drafts as li
from tests.adapters.platforms import SETTINGS
from tests.adapters.scripted_server import ReceivedRequest, Reply, ScriptedServer
from tests.adapters.youtube import drafts as yt
from tests.adapters.youtube import examples

TEXT = "More at https://example.com/?a=1 <b>"
LATER = "2026-11-24T12:00:03+0000"
POSTS = {
    Platform.INSTAGRAM: ig.MEDIA_ID,
    Platform.FACEBOOK: f"{fb.PAGE}_7",
    Platform.YOUTUBE: "dQw4w9WgXcQ",
    Platform.LINKEDIN: li.SHARE,
}
PATHS = {
    Platform.INSTAGRAM: f"/graph/v25.0/{ig.MEDIA_ID}/comments",
    Platform.FACEBOOK: f"/graph/v25.0/{fb.PAGE}_7/comments",
    Platform.YOUTUBE: "/youtube/youtube/v3/commentThreads",
    Platform.LINKEDIN: f"/api/rest/socialActions/{li.SHARE.replace(':', '%3A')}/comments",
}
ACCOUNTS: Mapping[Platform, Callable[[], Account]] = {
    Platform.INSTAGRAM: ig.account,
    Platform.FACEBOOK: fb.account,
    Platform.YOUTUBE: yt.account,
    Platform.LINKEDIN: li.account,
}
every_platform = pytest.mark.parametrize("platform", POSTS)


def build_draft(platform: Platform, post: str | None = None) -> Draft:
    on = post or POSTS[platform]
    return Draft(delivery_id="c1", caption=TEXT, kind="text", media=(), comment_on=on)


@pytest.fixture
def build(server: ScriptedServer) -> Callable[..., Adapter]:
    """Return a function that builds a platform's adapter of comments, which sends to the server."""

    def made(platform: Platform, client: HttpClient | None = None) -> Adapter:
        return COMMENTS[platform](client or HttpClient(), SETTINGS[platform](server.url))

    return made


Build = Callable[..., Adapter]


def show(platform: Platform, key: str, text: str = TEXT, *, author: str | None = None) -> dict[str, Any]:
    """Return a comment as the platform lists it, made after arming."""
    account = ACCOUNTS[platform]()
    who = author or (account.username if platform is Platform.INSTAGRAM else account.remote_id)
    match platform:
        case Platform.INSTAGRAM:
            return {"id": key, "text": text, "timestamp": LATER, "username": who, "from": {"id": "9"}}
        case Platform.FACEBOOK:
            return {"id": key, "message": text, "created_time": LATER, "from": {"id": who, "name": "P"}}
        case Platform.LINKEDIN:
            created = {"time": int(ARMED.timestamp() * 1000)}
            return {"id": key, "actor": who, "message": {"text": text}, "created": created}
    snippet = {"authorChannelId": {"value": who}, "textDisplay": text, "publishedAt": LATER}
    return {"id": key, "snippet": {"topLevelComment": {"snippet": snippet}}}


def fill_page(platform: Platform, comments: list[dict[str, Any]], following: str | None = None) -> str:
    """Return a page of comments, with the cursor of the next one."""
    if platform is Platform.LINKEDIN:
        return json.dumps({"elements": comments})
    if platform is Platform.YOUTUBE:
        return json.dumps({"items": comments, "nextPageToken": following})
    paging = {"cursors": {"after": following}, "next": "https://…"} if following else {}
    return json.dumps({"data": comments, "paging": paging})


# --- the visible call ------------------------------------------------------------------------------------------------

CREATED: Mapping[Platform, Reply] = {
    Platform.INSTAGRAM: Reply('{"id":"17870913679156914"}'),
    Platform.FACEBOOK: Reply('{"id":"7_8"}'),
    Platform.YOUTUBE: Reply('{"kind":"youtube#commentThread","id":"Ugx1"}'),
    Platform.LINKEDIN: Reply("", status=201, headers={"x-restli-id": "6636062862760562688"}),
}
BODIES: Mapping[Platform, Any] = {
    Platform.INSTAGRAM: {"message": TEXT},
    Platform.FACEBOOK: {"message": TEXT},
    Platform.YOUTUBE: {
        "snippet": {
            "channelId": "UC1",
            "videoId": "dQw4w9WgXcQ",
            "topLevelComment": {"snippet": {"textOriginal": TEXT}},
        }
    },
    Platform.LINKEDIN: {"actor": li.ORG, "object": li.SHARE, "message": {"text": TEXT}},
}


@every_platform
def test_the_visible_call_is_one_request_with_the_text_as_it_is(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    client, account = HttpClient(), ACCOUNTS[platform]()
    adapter, draft = build(platform, client), build_draft(platform)
    assert adapter.prepare(draft, account, {}) == Ready(checkpoint={})
    server.enqueue(CREATED[platform])
    done = adapter.finalize(draft, account, {})
    key = {Platform.INSTAGRAM: "17870913679156914", Platform.FACEBOOK: "7_8", Platform.YOUTUBE: "Ugx1"}
    assert done == Published(remote_id=key.get(platform, "6636062862760562688"))
    assert server.calls == [f"POST {PATHS[platform]}"]
    assert [visible for _, _, visible in client.calls] == [True]
    assert server.requests[0].json() == BODIES[platform]
    assert list(adapter.problems(draft, account)) == []


def test_linkedins_id_may_be_a_urn_that_names_an_activity(server: ScriptedServer, build: Build) -> None:
    header = {"x-restli-id": "urn%3Ali%3Acomment%3A%28urn%3Ali%3Aactivity%3A12%2C34%29"}
    server.enqueue(Reply("{}", status=201, headers=header))
    done = build(Platform.LINKEDIN).finalize(build_draft(Platform.LINKEDIN), li.account(), {})
    assert done == Published(remote_id="34")


@pytest.mark.parametrize(
    ("platform", "reply"),
    [
        (Platform.LINKEDIN, Reply("{}", status=201)),
        (Platform.YOUTUBE, Reply('{"kind":"youtube#commentThread"}')),
        (Platform.INSTAGRAM, Reply('{"success":true}')),
        (Platform.FACEBOOK, Reply("<html>")),
    ],
)
def test_a_success_that_names_no_comment_is_an_unknown_outcome(
    server: ScriptedServer, build: Build, platform: Platform, reply: Reply
) -> None:
    server.enqueue(reply)
    with pytest.raises(OutcomeUnknown):
        build(platform).finalize(build_draft(platform), ACCOUNTS[platform](), {})


@every_platform
def test_without_a_post_nothing_is_sent(build: Build, platform: Platform) -> None:
    draft = Draft(delivery_id="c1", caption=TEXT, kind="text", media=())
    with pytest.raises(Unavailable) as caught:
        build(platform).finalize(draft, ACCOUNTS[platform](), {})
    assert caught.value.code == "not_prepared"


# --- Facebook's videos -----------------------------------------------------------------------------------------------

VIDEO = "1234567890"


@pytest.mark.parametrize("named", ["122100000000000007", f"{fb.PAGE}_122100000000000007"])
def test_a_videos_comment_goes_to_its_post(server: ScriptedServer, build: Build, named: str) -> None:
    draft, adapter = build_draft(Platform.FACEBOOK, VIDEO), build(Platform.FACEBOOK)
    server.enqueue(json.dumps({"status": {"video_status": "ready"}, "post_id": named}))
    step = adapter.prepare(draft, fb.account(), {})
    assert step == Pending(checkpoint={"post": f"{fb.PAGE}_122100000000000007"})
    assert adapter.prepare(draft, fb.account(), step.checkpoint) == Ready(checkpoint=step.checkpoint)
    server.enqueue(CREATED[Platform.FACEBOOK], fill_page(Platform.FACEBOOK, []))
    adapter.finalize(draft, fb.account(), step.checkpoint)
    adapter.look(draft, fb.account(), step.checkpoint, ARMED, NONE_TAKEN)
    assert server.paths == [
        f"/graph/v25.0/{VIDEO}",
        *[f"/graph/v25.0/{fb.PAGE}_122100000000000007/comments"] * 2,
    ]


def test_a_video_without_a_post_yet_is_read_again(server: ScriptedServer, build: Build) -> None:
    server.enqueue('{"status":{"video_status":"ready"}}')
    with pytest.raises(Unavailable) as caught:
        build(Platform.FACEBOOK).prepare(build_draft(Platform.FACEBOOK, VIDEO), fb.account(), {})
    assert caught.value.code == "handle_gone"


def test_a_video_that_may_not_be_read_concerns_the_comment_only(server: ScriptedServer, build: Build) -> None:
    server.enqueue(Reply(build_error(10), status=403))
    with pytest.raises(Rejected) as caught:
        build(Platform.FACEBOOK).prepare(build_draft(Platform.FACEBOOK, VIDEO), fb.account(), {})
    assert caught.value.code == NOT_ALLOWED


# --- refusals --------------------------------------------------------------------------------------------------------


def refuse(server: ScriptedServer, build: Build, platform: Platform, reply: Reply) -> AdapterError:
    """Return the error of the visible call that the platform answers so."""
    server.enqueue(reply)
    with pytest.raises(AdapterError) as caught:
        build(platform).finalize(build_draft(platform), ACCOUNTS[platform](), {})
    return caught.value


def expect(error: type[AdapterError], *, ambiguous: bool) -> type[AdapterError]:
    """Return the class that the visible call raises for a row of a table."""
    if ambiguous:
        return OutcomeUnknown
    return Rejected if issubclass(error, PermissionMissing) else error


def test_every_reason_of_youtube_has_its_class(server: ScriptedServer, build: Build) -> None:
    assert COMMENT_REASONS.items() > {k: v for k, v in REASONS.items() if k != "videoNotFound"}.items()
    for reason, row in COMMENT_REASONS.items():
        error = refuse(server, build, Platform.YOUTUBE, Reply(examples.error(403, reason), status=403))
        assert type(error) is expect(row.error, ambiguous=row.ambiguous), reason


def test_every_code_of_linkedin_has_its_class(server: ScriptedServer, build: Build) -> None:
    assert COMMENT_TABLE.keys() == LINKEDIN_TABLE.keys()
    for (status, code), row in COMMENT_TABLE.items():
        body = {"status": status, "code": code or "SOMETHING_ELSE", "message": "…"}
        error = refuse(server, build, Platform.LINKEDIN, Reply(json.dumps(body), status=status))
        assert type(error) is expect(row.error, ambiguous=row.ambiguous), (status, code)


VENDOR_CASES: list[tuple[Platform, Reply, type[AdapterError], str | None]] = [
    (Platform.YOUTUBE, Reply(examples.error(400, "channelOrVideoIdMissing"), status=400), Rejected, None),
    (Platform.YOUTUBE, Reply(examples.error(400, "commentTextTooLong"), status=400), Rejected, None),
    (
        Platform.YOUTUBE,
        Reply(examples.error(403, "commentsDisabled"), status=403),
        Rejected,
        "comments_disabled",
    ),
    (Platform.YOUTUBE, Reply(examples.error(403, "ineligibleAccount"), status=403), Rejected, NOT_ALLOWED),
    (Platform.YOUTUBE, Reply(examples.error(403, "forbidden"), status=403), Rejected, NOT_ALLOWED),
    (Platform.YOUTUBE, Reply(examples.error(404, "videoNotFound"), status=404), Unavailable, "not_found"),
    (Platform.YOUTUBE, Reply(examples.error(400, "processingFailure"), status=400), OutcomeUnknown, None),
    (Platform.YOUTUBE, Reply(examples.error(401, "authError"), status=401), CredentialsExpired, None),
    (Platform.FACEBOOK, Reply(build_error(1705), status=400), Rejected, NOT_ALLOWED),
    (Platform.FACEBOOK, Reply(build_error(368, 1390008), status=400), Rejected, "blocked_by_policy"),
    (Platform.FACEBOOK, Reply(build_error(200), status=403), Rejected, NOT_ALLOWED),
    (Platform.INSTAGRAM, Reply(build_error(10), status=403), Rejected, NOT_ALLOWED),
    (Platform.INSTAGRAM, Reply(build_error(100, 33), status=400), OutcomeUnknown, None),
    (Platform.INSTAGRAM, Reply(build_error(2), status=500), OutcomeUnknown, None),
    (Platform.LINKEDIN, Reply(li.DENIED, status=403), Rejected, NOT_ALLOWED),
    (Platform.LINKEDIN, li.build_error(404, "RESOURCE_NOT_FOUND"), Unavailable, "not_found"),
    (Platform.LINKEDIN, li.build_error(429, "TOO_MANY_REQUESTS"), RateLimited, "rate_limited"),
    (Platform.LINKEDIN, Reply("{}", status=404), OutcomeUnknown, None),
    (Platform.LINKEDIN, Reply("<html>", status=429), OutcomeUnknown, None),
]


@pytest.mark.parametrize(("platform", "reply", "kind", "code"), VENDOR_CASES)
def test_a_refusal_means_what_the_vendors_pages_say(
    server: ScriptedServer,
    build: Build,
    platform: Platform,
    reply: Reply,
    kind: type[AdapterError],
    code: str | None,
) -> None:
    error = refuse(server, build, platform, reply)
    assert type(error) is kind
    assert code in (None, error.code)


def test_linkedins_throttle_lasts_a_minute_unless_it_says_otherwise(
    server: ScriptedServer, build: Build
) -> None:
    body = li.build_error(429, "TOO_MANY_REQUESTS").body
    for headers, wait in (({}, 60), ({"Retry-After": "7"}, 7)):
        error = refuse(server, build, Platform.LINKEDIN, Reply(body, status=429, headers=headers))
        assert isinstance(error, RateLimited)
        assert error.retry_after == timedelta(seconds=wait)


def test_a_missing_permission_keeps_what_the_platform_said() -> None:
    said = PermissionMissing("no", platform_code="10", http_status=403, platform_message="Words.")
    with pytest.raises(Rejected) as caught, limit_to_comments():
        raise said
    assert caught.value.reported == said.reported
    assert "by hand" in str(caught.value.next_action)


# --- look ------------------------------------------------------------------------------------------------------------


@every_platform
def test_before_arming_there_is_nothing_to_look_at(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    draft = build_draft(platform)
    assert build(platform).look(draft, ACCOUNTS[platform](), {}, None, NONE_TAKEN) == Ready(checkpoint={})
    assert server.requests == []


ASKED: Mapping[Platform, dict[str, str]] = {
    Platform.INSTAGRAM: {"fields": "id,text,timestamp,username,from", "limit": "50"},
    Platform.FACEBOOK: {
        "fields": "id,from,message,created_time",
        "limit": "50",
        "filter": "stream",
        "order": "reverse_chronological",
        "since": str(int(ARMED.timestamp()) - 5),
    },
    Platform.YOUTUBE: {
        "part": "snippet",
        "videoId": "dQw4w9WgXcQ",
        "order": "time",
        "textFormat": "plainText",
        "moderationStatus": "published",
        "maxResults": "100",
    },
    Platform.LINKEDIN: {"start": "0", "count": "100"},
}


@every_platform
def test_the_only_comment_of_ours_is_found_by_author_text_and_time(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    listed = [
        show(platform, "theirs", author="someone"),
        show(platform, "other", "Other words"),
        show(platform, "mine", TEXT.replace(" ", "  ")),
        show(platform, "taken"),
    ]
    server.on("GET", PATHS[platform], fill_page(platform, listed), fill_page(platform, []))
    seen = build(platform).look(build_draft(platform), ACCOUNTS[platform](), {}, ARMED, {"taken"})
    assert seen == Published(remote_id="mine", is_searched=True)
    assert dict(server.requests[0].query) == ASKED[platform]
    assert {request.method for request in server.requests} == {"GET"}


@every_platform
def test_two_comments_that_could_be_ours_are_left_to_an_operator(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    listed = [show(platform, "one"), show(platform, "two")]
    server.on("GET", PATHS[platform], fill_page(platform, listed), fill_page(platform, []))
    seen = build(platform).look(build_draft(platform), ACCOUNTS[platform](), {}, ARMED, NONE_TAKEN)
    assert seen == CannotTell(reason="2 of the post's comments could be this one")


@every_platform
def test_a_comment_made_before_arming_is_not_ours(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    listed = [show(platform, "mine")]
    server.on("GET", PATHS[platform], fill_page(platform, listed), fill_page(platform, []))
    adapter, later = build(platform), ARMED + timedelta(minutes=3)
    seen = adapter.look(build_draft(platform), ACCOUNTS[platform](), {}, later, NONE_TAKEN)
    assert seen == CannotTell(reason="0 of the post's comments could be this one")


@every_platform
def test_a_comment_without_a_time_is_not_ours(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    text = json.dumps(show(platform, "mine"))
    for field in ("timestamp", "created_time", "publishedAt", "created"):
        text = text.replace(f'"{field}"', '"unknown"')
    server.on("GET", PATHS[platform], fill_page(platform, [json.loads(text)]), fill_page(platform, []))
    seen = build(platform).look(build_draft(platform), ACCOUNTS[platform](), {}, ARMED, NONE_TAKEN)
    assert isinstance(seen, CannotTell)


@every_platform
def test_pages_are_read_up_to_a_bound_beyond_which_nothing_is_concluded(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    strangers = [show(platform, f"n{n}", author="someone") for n in range(100)]
    server.on("GET", PATHS[platform], fill_page(platform, [show(platform, "mine"), *strangers][:100], "next"))
    seen = build(platform).look(build_draft(platform), ACCOUNTS[platform](), {}, ARMED, NONE_TAKEN)
    assert seen == CannotTell(reason="the post has more comments since then than are read")
    lists = 3 if platform is Platform.YOUTUBE else 1
    assert len(server.requests) == PAGES * lists


@every_platform
def test_ours_is_found_on_a_later_page(server: ScriptedServer, build: Build, platform: Platform) -> None:
    strangers = [show(platform, f"n{n}", author="someone") for n in range(100)]
    pages = iter([fill_page(platform, strangers, "next"), fill_page(platform, [show(platform, "mine")])])
    empty = fill_page(platform, [])
    server.on("GET", PATHS[platform], lambda _: Reply(next(pages, empty)))
    seen = build(platform).look(build_draft(platform), ACCOUNTS[platform](), {}, ARMED, NONE_TAKEN)
    assert seen == Published(remote_id="mine", is_searched=True)
    cursor = {"youtube": ("pageToken", "next"), "linkedin": ("start", "100")}.get(platform, ("after", "next"))
    assert server.requests[1].query[cursor[0]] == cursor[1]


def test_youtube_is_asked_for_each_status_and_knows_the_text_that_was_sent(
    server: ScriptedServer, build: Build
) -> None:
    held = show(Platform.YOUTUBE, "held", "How YouTube shows it")
    held["snippet"]["topLevelComment"]["snippet"]["textOriginal"] = TEXT

    def answer(request: ReceivedRequest) -> Reply:
        is_held = request.query["moderationStatus"] == "heldForReview"
        return Reply(fill_page(Platform.YOUTUBE, [held] if is_held else []))

    server.on("GET", PATHS[Platform.YOUTUBE], answer)
    draft = build_draft(Platform.YOUTUBE)
    seen = build(Platform.YOUTUBE).look(draft, yt.account(), {}, ARMED, NONE_TAKEN)
    assert seen == Published(remote_id="held", is_searched=True)
    asked = [request.query["moderationStatus"] for request in server.requests]
    assert asked == ["published", "heldForReview", "likelySpam"]


REFUSED_LISTS = {
    Platform.INSTAGRAM: Reply(build_error(10), status=403),
    Platform.FACEBOOK: Reply(build_error(200), status=403),
    Platform.YOUTUBE: Reply(examples.error(403, "commentsDisabled"), status=403),
    Platform.LINKEDIN: Reply(li.DENIED, status=403),
}


@every_platform
def test_lists_that_are_refused_prove_nothing_and_lists_that_fail_are_read_again(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    draft, account = build_draft(platform), ACCOUNTS[platform]()
    server.on("GET", PATHS[platform], REFUSED_LISTS[platform])
    seen = build(platform).look(draft, account, {}, ARMED, NONE_TAKEN)
    assert isinstance(seen, CannotTell)
    assert seen.reason.startswith("The comments cannot be listed: ")
    for broken in (Reply("<html>", status=403), Reply("", status=502), Reply("[]")):
        server.on("GET", PATHS[platform], broken)
        with pytest.raises(Unavailable):
            build(platform).look(draft, account, {}, ARMED, NONE_TAKEN)


@every_platform
def test_after_a_restore_comments_are_not_searched_for(
    server: ScriptedServer, build: Build, platform: Platform
) -> None:
    listing = build(platform).list_posts(build_draft(platform), ACCOUNTS[platform](), ARMED)
    assert (listing.asked, list(listing.posts)) == (Asked.NEVER, [])
    assert server.requests == []
