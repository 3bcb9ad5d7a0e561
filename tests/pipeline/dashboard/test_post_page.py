"""The page of a post: media, its accounts, what happened, its history, and hostile text that stays text."""
# ruff: noqa: RUF001  sentences have typographic quotes

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pipeline.dashboard.clock import ZONE_COOKIE
from pipeline.domain.delivery import State
from pipeline.store.database import row
from pipeline.store.posts.actions import hide_post
from pipeline.store.receipts import add_receipts
from tests.pipeline.api.running_server import BASE
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.media import samples
from tests.pipeline.store.ledger import Post

HOSTILE = '<img src=x onerror="alert(1)">'
ESCAPED = "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;"
DAY = timedelta(days=1)
ABSENT = "01a2106e-0000-7000-8000-000000000000"


def show(http: Client, post: UUID | str, status: int = 200) -> str:
    """Return the content of the page, without its frame."""
    answer = http.get(f"/dashboard/posts/{post}")
    assert answer.status_code == status, answer.text
    return answer.text.partition("<main")[2].partition("</main>")[0]


def hide_details(page: str) -> str:
    """Return the page without what is folded as the technical record."""
    return re.sub(r"<details[^>]*>\s*<summary>Details</summary>.*?</details>", "", page, flags=re.DOTALL)


def set_error(core: CoreFixture, delivery: UUID, **fields: Any) -> None:
    error = {"class": "Rejected", "code": "refused", "fault": "customer", "message": "Refused.", **fields}
    core.ledger.change(delivery, "error = CAST(:error AS jsonb)", error=json.dumps(error))


def test_a_post_of_the_api_is_shown_with_its_source_content_and_time(http: Client, core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    due = core.now() + DAY
    post = core.accept(scheduled_at=due, caption="A caption\nof two lines", external_id="order <7>")
    http.cookies.set(ZONE_COOKIE, "Asia/Kolkata", path="/dashboard")
    page = show(http, post.id)
    assert '<h1 class="clip" dir="auto">A caption</h1>' in page
    assert '<p class="whole" dir="auto">A caption\nof two lines</p>' in page
    assert "<dd>partner_api</dd>" in page
    assert "order &lt;7&gt;" in page
    assert f"{due.astimezone(ZoneInfo('Asia/Kolkata')):%H:%M}</time>" in page
    assert '<input type="hidden" name="time_zone" value="Asia/Kolkata">' in page
    assert "Scheduled. It is prepared, and sent when it is due." in page
    assert f'data-live="post:{post.id}"' in page
    assert "<code>https://media.example/v.mp4</code>" in page
    link = '<a href="https://media.example/v.mp4" rel="noopener noreferrer" target="_blank">'
    assert re.search(f"{re.escape(link)}.*File at media.example</a>", page)
    assert "Publish anyway" in page
    assert "<img" not in page


def test_a_text_has_no_file_and_a_document_its_title(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")])

    def read(media: dict[str, str]) -> str:
        core.ledger.update("posts", post.id, "media = CAST(:m AS jsonb)", m=json.dumps(media))
        return show(http, post.id)

    page = read({"type": "text"})
    assert "<dt>Files</dt><dd>None, text alone</dd>" in page
    assert 'class="carousel"' not in page
    page = read({"type": "document", "url": "https://a.example/c.pdf", "title": HOSTILE})
    assert "<dt>File</dt><dd>1 document</dd>" in page
    assert re.search('<a href="https://a.example/c.pdf".*File at a.example</a>', page)


def test_hostile_captions_names_and_errors_stay_text(http: Client, core: CoreFixture) -> None:
    account = core.account("one")
    post = core.ledger.post([account], State.FAILED)
    [delivery] = post.deliveries
    set_error(core, delivery, platform_message=HOSTILE, message=HOSTILE, next_action=HOSTILE)
    with core.context.database.begin() as c:
        row(c, "UPDATE posts SET caption = :text WHERE id = :id RETURNING id", text=HOSTILE, id=post.id)
        media = json.dumps({"type": "slideshow", "urls": [f"https://a.example/{HOSTILE}"]})
        row(c, "UPDATE posts SET media = CAST(:m AS jsonb) WHERE id = :id RETURNING id", m=media, id=post.id)
        row(c, "UPDATE accounts SET username = :text WHERE id = :id RETURNING id", text=HOSTILE, id=account)
    page = show(http, post.id)
    assert "<img" not in page
    assert page.count(ESCAPED) >= 6


def test_only_web_addresses_become_links_that_tell_nothing(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], State.PUBLISHED)
    first, second = post.deliveries
    core.ledger.change(first, "url = 'javascript:alert(1)'")
    core.ledger.change(second, "url = 'https://www.tiktok.com/@ann/video/1'")
    page = show(http, post.id)
    assert "<code>javascript:alert(1)</code>" in page
    assert 'href="javascript' not in page
    link = (
        '<a class="out" href="https://www.tiktok.com/@ann/video/1" rel="noopener noreferrer" target="_blank"'
    )
    assert link in page
    assert page.count("Delivered") == 2
    assert "2 live" in page


def test_own_files_are_shown_and_those_of_others_are_named(
    site: Site, http: Client, core: CoreFixture
) -> None:
    tenant = site.server.tenant()
    image, video = samples.image("PNG"), samples.video()
    urls = [
        upload(site, tenant.key, "image/png", image),
        "https://elsewhere.example/a.png",
        upload(site, tenant.key, "video/mp4", video),
    ]
    posts = []
    for account in (UUID(tenant.accounts["tiktok"]), core.account("one")):
        post = core.ledger.post([account], due=DAY)
        with core.context.database.begin() as c:
            text = json.dumps({"type": "slideshow", "urls": urls, "alt_texts": [HOSTILE]})
            row(c, "UPDATE posts SET media = CAST(:m AS jsonb) WHERE id = :i RETURNING id", m=text, i=post.id)
        posts.append(post.id)
    page, of_stranger = (show(http, post) for post in posts)
    first, last = ("/files/" + url.rpartition("/")[2] for url in (urls[0], urls[2]))
    places = [
        page.index(part)
        for part in (
            f'<img src="{first}" alt="{ESCAPED}"',
            "1 of 3",
            "File at elsewhere.example",
            "2 of 3",
            f'<video src="{last}" controls preload="metadata"',
            "3 of 3",
        )
    ]
    assert places == sorted(places), "they are in order"
    assert (page.count("<img"), page.count("<video")) == (1, 1)
    assert [http.get(source).content for source in (first, last)] == [image, video]
    assert "<img" not in of_stranger
    assert "<video" not in of_stranger
    assert all(f"<code>{url}</code>" in of_stranger for url in urls)


def upload(site: Site, key: str, kind: str, content: bytes) -> str:
    """Upload a file and return its URL."""
    body = json.dumps({"contentType": kind, "filename": HOSTILE}).encode()
    made = site.server.send("POST", f"{BASE}/files", key, body, **{"Content-Type": "application/json"})
    data = made.json()["data"]
    sent = site.server.http.put(data["uploadUrl"], data=content, headers={"Content-Type": kind})
    assert sent.status_code == 200, sent.text
    return str(data["url"])


def test_moves_attempts_and_receipts_are_told(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], State.PUBLISHED)
    [delivery] = post.deliveries
    core.run(
        """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence, why)
               VALUES (:id, 'publish', 'publishing', 'published', 0, 1, 'it went live')""",
        id=delivery,
    )
    page = show(http, post.id)
    assert "it went live" in page
    assert "Attempt 1 opened" in page
    assert "No. " not in page
    with core.context.database.begin() as c:
        while add_receipts(c, 500):
            pass
    page = show(http, post.id)
    assert "No. 1: published, issued" in page
    assert "The post was edited since" not in page
    core.ledger.update("posts", post.id, "caption = 'another'")
    assert "The post was edited since" in show(http, post.id)


def test_the_next_action_is_a_button_and_others_are_folded(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], State.FAILED)
    set_error(core, post.deliveries[0])
    primary = '<button type="submit" class="solid">Try again</button>'
    page = show(http, post.id)
    assert "Failed: it was refused" in page
    assert "Change what was refused" in page, "a retry would be refused again"
    assert f"/deliveries/{post.deliveries[0]}/retry" in page
    assert primary not in page
    core.ledger.change(post.deliveries[0], "error = error || CAST(:e AS jsonb)", e='{"fault": "platform"}')
    assert primary in show(http, post.id)


def test_what_needs_somebody_is_first_open_and_has_the_one_solid_button(
    http: Client, core: CoreFixture
) -> None:
    post = core.ledger.post([core.account(f"{n}") for n in range(3)], due=DAY)
    live, first, second = post.deliveries
    for delivery, state in ((live, State.PUBLISHED), (first, State.FAILED), (second, State.FAILED)):
        core.ledger.put(Post(id=post.id, workspace=post.workspace, deliveries=[delivery]), state)
    for delivery in (first, second):
        words = "The video file you selected is in a format that we don't support."
        set_error(core, delivery, platform_message=words, fault="platform")
    page = show(http, post.id)
    order = re.findall(r'<article class="account( open)?" aria-labelledby="account-([^"]+)"', page)
    assert order == [(" open", str(first)), (" open", str(second)), ("", str(live))]
    assert page.count('class="solid"') == 1
    assert "Partly live: 1 of 3" in page
    assert "TikTok says: “The video file you selected is in a format that we don&#39;t support.”" in page
    shown = hide_details(page)
    for word in ("Rejected", "deliver", "Deliver", "dead letter", "armed", "ingest", str(first), "refused)"):
        assert word not in re.sub(r"<[^>]*>", "", shown), word


def test_own_words_stand_under_their_account(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], due=DAY)
    core.ledger.update(
        "posts", post.id, """tiktok = '{"description": "For <TikTok> alone", "post_mode": "X"}'"""
    )
    page = show(http, post.id)
    assert page.count('TikTok’s own words</small>\n<p dir="auto">For &lt;TikTok&gt; alone</p>') == 2
    assert "post_mode" not in hide_details(page)


def test_a_lost_answer_reads_as_what_may_be_live(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], State.UNKNOWN)
    look = {"class": "Unavailable", "code": "platform_unreachable", "message": "It could not be reached."}
    error = {"class": "Unavailable", "code": "x", "message": "Nothing was sent.", "last_look": look}
    core.ledger.change(post.deliveries[0], "error = CAST(:e AS jsonb)", e=json.dumps(error))
    [delivery] = post.deliveries
    for page in (
        show(http, post.id),
        http.get("/dashboard/queue?state=unknown").text,
        http.get(f"/dashboard/deliveries/{delivery}/decide").text,
    ):
        assert "It may be live." in page
        assert "It could not be reached." in page
        assert "Nothing was sent" not in page


def test_what_is_deleted_or_no_post_is_not_found(http: Client, core: CoreFixture) -> None:
    deleted = core.ledger.post([core.account("one")], due=DAY)
    with core.context.database.begin() as c:
        hide_post(c, deleted.id)
    for name in (deleted.id, ABSENT, "%3Cb%3E"):
        assert "There is nothing at this address" in show(http, name, 404)
