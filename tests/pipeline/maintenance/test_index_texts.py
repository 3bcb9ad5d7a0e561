"""A text is found in every post that holds it, however old, by the index and in what the job has not read yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.actions.cancel_delete_retry import delete
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.delivery import State
from pipeline.maintenance.read_moves import index_texts
from pipeline.store.database import require_row, row, rows
from pipeline.store.deliveries import queue
from pipeline.store.deliveries.queue import Within
from pipeline.store.deliveries.queue_posts import PostPage, build_post_page, list_queued_posts
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts import texts
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import is_done
from tests.pipeline.maintenance.receipted import nodes_of
from tests.pipeline.store.ledger import HOUR, Ledger, Post, together
from tests.pipeline.store.plans import count_read
from tests.stack import until

CORPUS = (
    "Straßenfest in Köln: ÜBERGRÖẞE für alle, täglich ab 9 Uhr",
    "STRASSENFEST in Koeln",
    "مرحبا بكم في متجرنا الجديد",
    "春の新作コレクション、今日から発売です",
    "今日の東京タワー",
    "Party 🎉🎉🎉 with 👩‍👩‍👧 and 🇩🇪",
    '100%_off: it\'s "now" or\tnever\\ever',
    "100 x off",
    "a" * 300,
    "x",
    "",
    "line one\nline two",
    "İstanbul ΣΊΣΥΦΟΣ ﬁn",
)
NEEDLES = (
    *("straßen", "STRASSENFEST", "größe", "ÜBERGRÖẞE", "köln", "koeln", "üb"),
    *("متجرنا", "بكم في", "コレクション", "東京タ", "今日", "日", "🎉🎉🎉", "👩‍👩‍👧", "🇩🇪"),
    *("100%", "%_o", "0_0", "___", "%%%", "it's", '"now"', "\\ev", "\tnever", "a" * 200, "a" * 201, "aaab"),
    *(
        "e\nl",
        "istanbul",
        "İstanbul",
        "σίσυφος",
        "ΣΎΦ",
        "ﬁn",
        "fin",
        "nowhere",
        "  ",
        "'; DROP TABLE posts; --",
    ),
)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page walk so few rows that it needs the index."""
    monkeypatch.setattr(queue, "CAP", 2)


@pytest.fixture
def corpus(core: CoreFixture) -> dict[str, Post]:
    return {caption: write(core, caption) for caption in CORPUS}


def write(core: CoreFixture, caption: str, *more: UUID, **columns: Any) -> Post:
    """Add a post with this caption, to one account or to *more* ones."""
    post = core.ledger.post(more or [core.accounts["one"]])
    values = {"caption": caption, **columns}
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    core.ledger.update("posts", post.id, assignments, **values)
    return post


def read(ledger: Ledger, text: str, within: Within = None, **more: Any) -> PostPage:
    with ledger.database.begin() as c:
        return list_queued_posts(c, ListFilter(text=text, **more), within, limit=50)


def found(ledger: Ledger, text: str, within: Within = None, **more: Any) -> set[UUID]:
    page = read(ledger, text, within, **more)
    assert not page.is_cut
    return set(page.posts)


def turn_pages(ledger: Ledger, text: str, limit: int, **more: Any) -> Iterator[Sequence[UUID]]:
    """Yield the posts of each page."""
    after = None
    while True:
        with ledger.database.begin() as c:
            page = list_queued_posts(c, ListFilter(text=text, **more), None, limit=limit, after=after)
        yield page.posts
        if (after := page.after) is None:
            return


def read_texts(core: CoreFixture) -> dict[UUID, str]:
    with core.context.database.begin() as c:
        return {r.post_id: r.text for r in rows(c, "SELECT post_id, text FROM post_texts")}


def index_all(core: CoreFixture) -> None:
    until(lambda: (index_texts(core.context), is_done(core, "texts"))[1], 20)


# --- what is found ---------------------------------------------------------------------------------------------------


def test_a_text_is_found_wherever_strpos_finds_it(core: CoreFixture, corpus: dict[str, Post]) -> None:
    for indexed in (0, len(CORPUS) // 2, len(CORPUS)):
        if indexed == len(CORPUS):
            index_all(core)
        elif indexed:
            index_texts(core.context, span=1, most=indexed)
        assert len(read_texts(core)) == indexed
        for needle in NEEDLES:
            sql = "SELECT id FROM posts WHERE strpos(lower(caption), lower(:t)) > 0"
            with core.context.database.begin() as c:
                wanted = {r.id for r in rows(c, sql, t=needle)}
            got = {post for page in turn_pages(core.ledger, needle, 50) for post in page}
            assert got == {p.id for p in corpus.values()} & wanted, needle
            if len(needle) >= texts.LENGTH:
                assert found(core.ledger, needle) == wanted, (needle, "in one request")


def test_external_ids_and_titles_are_found_too(core: CoreFixture) -> None:
    named = write(core, "plain", external_id="SPRING-0815")
    titled = write(core, "plain")
    core.ledger.update("posts", titled.id, """pinterest = '{"title": "Nagelneue Jacken"}'""")
    for _ in range(2):
        assert found(core.ledger, "ing-081") == {named.id}
        assert found(core.ledger, "neue jacken") == {titled.id}
        write(core, "plain")
        index_all(core)


def test_a_short_text_walks_and_goes_on_from_page_to_page(core: CoreFixture) -> None:
    old = write(core, "東京")
    core.ledger.posts(5, [core.accounts["one"]])
    index_all(core)
    page = read(core.ledger, "東京")
    assert (page.posts, page.is_cut) == ([], True)
    assert [post for found in turn_pages(core.ledger, "東京", 50) for post in found] == [old.id]


def test_a_visitor_finds_what_is_theirs_and_what_the_other_conditions_select(core: CoreFixture) -> None:
    account = core.account("pin", Platform.PINTEREST)
    mine = write(core, "needle mine", core.accounts["one"], account)
    core.ledger.put(failed := write(core, "needle failed"), State.FAILED)
    elsewhere = core.ledger.fresh()
    core.ledger.update("posts", elsewhere.id, "caption = 'a needle'")
    core.ledger.posts(5, [core.accounts["one"]])
    for _ in range(2):
        assert found(core.ledger, "needle") == {mine.id, failed.id, elsewhere.id}
        assert found(core.ledger, "needle", [core.workspace]) == {mine.id, failed.id}
        assert found(core.ledger, "needle", [elsewhere.workspace]) == {elsewhere.id}
        assert found(core.ledger, "needle", []) == set()
        assert found(core.ledger, "needle", workspace=elsewhere.workspace) == {elsewhere.id}
        assert found(core.ledger, "needle", state=State.FAILED) == {failed.id}
        assert found(core.ledger, "needle", account=account) == {mine.id}
        page = read(core.ledger, "needle", account=core.accounts["one"])
        assert set(page.posts) == {mine.id, failed.id}
        index_all(core)


def test_pages_have_each_post_once_in_one_order(core: CoreFixture) -> None:
    accounts = [core.accounts["one"], core.account("two")]
    posts = [write(core, f"needle {n}" if n % 3 else "other", *accounts) for n in range(20)]
    wanted = [post.id for n, post in enumerate(posts) if n % 3]
    chosen: list[dict[str, Any]] = [{}, {"state": State.SCHEDULED}, {"platform": "tiktok"}]
    for _ in range(2):
        for more, within in product(chosen, (None, core.workspace)):
            [whole] = turn_pages(core.ledger, "needle", 50, workspace=within, **more)
            assert sorted(whole) == sorted(wanted)
            pages = [*turn_pages(core.ledger, "needle", 3, workspace=within, **more)]
            assert [post for page in pages for post in page] == whole
        index_all(core)


# --- what the job has not read ---------------------------------------------------------------------------------------


def edit_caption(core: CoreFixture, post: UUID, caption: str) -> None:
    edit(core.context, core.caller, post, Change(given=frozenset({"caption"}), caption=caption))


def test_a_post_is_found_before_and_after_the_job_and_an_edit_and_never_after_its_end(
    core: CoreFixture,
) -> None:
    core.decided()
    post = core.accept(caption="First Words", scheduled_at=core.now() + HOUR).id
    core.ledger.posts(5, [core.accounts["one"]])
    assert found(core.ledger, "first words") == {post}
    index_all(core)
    assert found(core.ledger, "first words") == {post}
    edit_caption(core, post, "Second Words")
    for _ in range(2):
        assert found(core.ledger, "second words") == {post}
        assert found(core.ledger, "first words") == set()
        assert found(core.ledger, " words") == {post}
        index_all(core)
    assert read_texts(core)[post] == "second words"
    delete(core.context, core.caller, [post])
    for _ in range(2):
        assert found(core.ledger, " words") == set()
        assert post not in read_texts(core)
        index_all(core)


def test_an_edit_that_only_takes_an_account_off_is_read_too(core: CoreFixture) -> None:
    one, two = core.accounts["one"], core.account("two")
    post = core.ledger.post([one, two], due=HOUR)
    core.ledger.put(
        Post(id=post.id, workspace=post.workspace, deliveries=post.deliveries[:1]), State.PUBLISHED
    )
    core.ledger.posts(5, [one])
    index_all(core)
    given = frozenset({"caption", "accounts"})
    edit(core.context, core.caller, post.id, Change(given=given, caption="New Words", account_ids=[one]))
    assert {mover for d in post.deliveries for mover, *_ in core.ledger.moves(d)} == {"ingest", "cancel"}
    for _ in range(2):
        assert found(core.ledger, "new words") == {post.id}
        index_all(core)


def test_a_post_that_commits_after_later_ones_is_not_passed_over(core: CoreFixture) -> None:
    post = core.ledger.post([core.accounts["one"]])
    index_all(core)
    with core.context.database.begin() as c:
        row(c, "UPDATE posts SET caption = 'slow words' WHERE id = :id RETURNING id", id=post.id)
        row(
            c,
            """INSERT INTO moves (delivery_id, mover, origin, target, generation, fence)
               VALUES (:d, 'edit', 'scheduled', 'scheduled', 1, 0) RETURNING id""",
            d=post.deliveries[0],
        )  # its id is given; later ones commit earlier
        fast = [write(core, f"fast words {n}").id for n in range(5)]
        index_texts(core.context)
        assert not is_done(core, "texts")
        assert found(core.ledger, " words") == set(fast), "what the job may not read yet is found"
    assert found(core.ledger, " words") == {post.id, *fast}
    index_all(core)
    assert found(core.ledger, " words") == {post.id, *fast}
    assert read_texts(core)[post.id] == "slow words"


def test_where_the_job_is_far_behind_the_page_walks_on(
    core: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(core, "needle")
    core.ledger.posts(5, [core.accounts["one"]])
    monkeypatch.setattr(texts, "UNREAD", 5)
    assert read(core.ledger, "needle").is_cut
    assert [post for page in turn_pages(core.ledger, "needle", 50) for post in page] == [old.id]
    index_texts(core.context, span=1, most=1)
    assert found(core.ledger, "needle") == {old.id}


# --- the job ---------------------------------------------------------------------------------------------------------


def test_two_at_once_save_each_text_once(core: CoreFixture) -> None:
    posts = [write(core, f"needle {n}") for n in range(60)]
    saved = together(*[lambda: index_texts(core.context, span=7)] * 4)
    saved.append(index_texts(core.context))
    assert sum(saved) == len(posts)
    assert set(read_texts(core)) == {post.id for post in posts}
    assert is_done(core, "texts")


@pytest.mark.parametrize("point", get_points("test_a_job_that_dies_leaves_out_no_text"))
def test_a_job_that_dies_leaves_out_no_text(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    first = write(core, "first needle").id
    crashes.crash(environment, point, "run_job", "texts")
    assert set(read_texts(core)) == ({first} if point == "texts.committed" else set())
    assert found(core.ledger, "needle") == {first}
    second = write(core, "second needle").id
    index_all(core)
    assert set(read_texts(core)) == {first, second}


# --- what it costs ---------------------------------------------------------------------------------------------------

FILLED = (
    """INSERT INTO posts (id, workspace_id, caption, media, due_at, status)
       SELECT md5(n::text)::uuid, (SELECT id FROM workspaces LIMIT 1), 'common ' || n, '{}', now(), 'posted'
       FROM generate_series(1, 5000) n""",
    """INSERT INTO deliveries (id, post_id, workspace_id, account_id, platform, state, due_at, next_at, published_at)
       SELECT p.id, p.id, p.workspace_id, (SELECT id FROM accounts LIMIT 1), 'tiktok', 'published', now(), now(), now()
       FROM posts p""",
    """INSERT INTO moves (delivery_id, mover, target, generation, fence)
       SELECT id, 'ingest', 'scheduled', 0, 0 FROM deliveries""",
)


def explain_search(
    core: CoreFixture, text: str, within: Within
) -> tuple[Collection[UUID] | None, list[dict[str, Any]]]:
    """Return what a search finds, and the nodes of its plans that read a table or an index."""
    nodes: list[dict[str, Any]] = []

    def explain(c: Connection, missing: str, sql: str, /, **values: Any) -> Any:
        [plan] = rows(c, f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", **values)[0][0]
        nodes.extend(dict(n) for n in nodes_of(plan["Plan"]) if "Relation Name" in n or "Index Name" in n)
        return require_row(c, missing, sql, **values)

    with pytest.MonkeyPatch.context() as patch, core.context.database.begin() as c:
        patch.setattr(texts, "require_row", explain)
        return texts.find_posts(c, text, within), nodes


def test_a_search_reads_no_table_from_end_to_end_whatever_is_known_of_it(
    core: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with core.context.database.begin() as c:
        for sql in FILLED:
            c.exec_driver_sql(sql)
    index_all(core)
    new = write(core, "common and new").id
    monkeypatch.setattr(texts, "MOST", 100)
    for counted in (False, True):
        if counted:
            with core.context.database.once() as c:
                c.exec_driver_sql("VACUUM ANALYZE")
        for within in (
            None,
            [core.workspace],
            [core.workspace, *(core.ledger.workspace() for _ in range(20))],
        ):
            for text, wanted in (
                ("common 4321", 1),
                ("nowhere", 0),
                ("a" * 200, 0),
                ("and new", 1),
                ("common 49", None),  # in 111
                ("common", None),
            ):
                posts, nodes = explain_search(core, text, within)
                assert (None if posts is None else len(posts)) == wanted, (text, within)
                assert not [
                    n for n in nodes if n["Node Type"] == "Seq Scan" and n["Relation Name"] != "move_progress"
                ]
                assert "post_texts_trigrams" in {n.get("Index Name") for n in nodes}
                read = [n for n in nodes if n.get("Relation Name") in {"post_texts", "posts", "deliveries"}]
                assert sum(looked_at(n) for n in read) < 110, (text, within, counted)
        require_posts_read_one_by_one(core)
    posts, _ = explain_search(core, "and new", None)
    assert posts == {new}


def require_posts_read_one_by_one(core: CoreFixture) -> None:
    """Search for a text that few posts have, and read a page of them."""
    chosen = ListFilter(text="common 432", state=State.PUBLISHED)
    with core.context.database.begin() as c:
        posts = texts.find_posts(c, "common 432", None)
    assert posts is not None
    walk = queue.narrow(queue.choose_walk(chosen, None), posts)
    sql, values = build_post_page(walk, chosen, None, None)
    assert count_read(core.ledger, sql, **values, n=50) < len(posts) * 12


def looked_at(node: dict[str, Any]) -> int:
    passed = sum(n for name, n in node.items() if name.startswith("Rows Removed"))
    return int((node["Actual Rows"] + passed) * node["Actual Loops"])
