"""Our own storage of files taken away for real: a folder renamed, an S3 server stopped.

Their public URLs lead to a closed port, so whatever is read did not come over the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from uuid import UUID

import pytest

from adapters.contract import Account, Draft, FinalizeResult, MediaFacts, Platform, Published, Ready
from adapters.errors import StorageFault
from config.settings import load
from pipeline.actions.explain import explain_post
from pipeline.domain.delivery import State
from pipeline.domain.delivery_error import PLATFORM, STORAGE
from pipeline.domain.explanation import Explanation
from pipeline.domain.explanation_action import Turn
from pipeline.domain.hold import Hold
from pipeline.maintenance.finish_published import follow_up
from pipeline.runtime.context import Context
from pipeline.stages.media_checks import find_unreachable
from pipeline.stages.publish import publish
from pipeline.store.checks import checks
from pipeline.store.counters.counters import STORAGE_FAULT, read_counters
from pipeline.store.deliveries.published import record_follow_ups
from pipeline.wiring import build_context
from tests.conftest import free_ports
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.media import samples
from tests.pipeline.media.bucket import serving_stoppable_bucket
from tests.pipeline.scripted_adapter import CAPABILITIES, Script, raising, with_script
from tests.pipeline.single_check import run_check
from tests.pipeline.stages.test_files import checked, uploaded
from tests.pipeline.store.ledger import HOUR, Post

QUEUED_NOW = "state = 'queued', lease_until = now() + interval '5 minutes'"


@dataclass(frozen=True)
class Storage:
    take_away: Callable[[], object]
    bring_back: Callable[[], object]

    @contextmanager
    def away(self) -> Iterator[None]:
        self.take_away()
        try:
            yield
        finally:
            self.bring_back()


@pytest.fixture(scope="module", params=["folder", "bucket"])
def made(
    request: pytest.FixtureRequest, module_environment: dict[str, str]
) -> Iterator[tuple[Context, Storage]]:
    here = {"SLIPWAY_FILES__PUBLIC_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}
    with ExitStack() as stack:
        if request.param == "bucket":
            server, more = stack.enter_context(serving_stoppable_bucket())
            context = build_context(load(module_environment | here | more))
            storage = Storage(server.stop, server.start)
        else:
            context = build_context(load(module_environment | here))
            folder = context.settings.files_folder
            other = folder.with_name("away")
            storage = Storage(lambda: folder.rename(other), lambda: other.rename(folder))
        yield context, storage
        context.database.close()


@pytest.fixture(scope="module")
def context(made: tuple[Context, Storage]) -> Context:
    return made[0]


@pytest.fixture
def storage(made: tuple[Context, Storage]) -> Storage:
    return made[1]


def queue(core: CoreFixture, url: str) -> Post:
    """Return a queued post with this uploaded video."""
    check = checked(core, url).id
    post = core.ledger.post([core.account("one")], State.QUEUED, checks={0: check})
    core.run(
        "UPDATE posts SET media = jsonb_build_object('type', 'video', 'url', CAST(:u AS text)) WHERE id = :id",
        u=url,
        id=post.id,
    )
    return post


def send(core: CoreFixture, script: Script, post: Post) -> State | None:
    [delivery] = post.deliveries
    core.ledger.change(delivery, QUEUED_NOW)
    return publish(with_script(core.context, script), delivery, 0)


def require_explained(core: CoreFixture, post: Post) -> Explanation:
    """Require that the explanation names the storage, and that it is the operator's turn."""
    found = explain_post(core.context, core.workspace, post.id)
    assert found is not None
    explanation = found.deliveries[0].explanation
    assert explanation.turn is Turn.OPERATOR
    assert "storage of files" in explanation.summary
    return explanation


def count_alarms(context: Context) -> int:
    with context.database.begin() as c:
        return sum(int(one.value) for one in read_counters(c) if one.labels.get("kind") == STORAGE_FAULT)


def sends_all(size: int, seen: list[bytes], then: Callable[[], object] = lambda: None) -> Script:
    """Return a platform whose visible call sends the whole file."""

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        then()
        assert draft.media[0].stream is not None
        seen.append(b"".join(draft.media[0].stream(0, size)))
        return Published(remote_id=draft.delivery_id)

    return Script(prepare=lambda _: Ready(checkpoint={"h": 1}, sends=(0, size)), finalize=finalize)


@pytest.mark.parametrize("noisy", [False, True])  # small: kept in memory; large: copied to disk
def test_storage_away_before_arm_costs_nothing_and_says_so(
    core: CoreFixture, storage: Storage, *, noisy: bool
) -> None:
    data = samples.video(noisy=noisy, frames=20 if noisy else 5)
    post = queue(core, uploaded(core, data))
    [delivery] = post.deliveries
    core.ledger.change(
        delivery, "unavailable_since = jsonb_build_object('platform', now() - interval '5 hours')"
    )
    sent: list[bytes] = []
    script, before = sends_all(len(data), sent), count_alarms(core.context)
    with storage.away():
        for _ in range(7):  # more than there are tries
            assert send(core, script, post) is State.RETRYING
    core.ledger.change(
        delivery, "next_at = now() + interval '1 hour'"
    )  # on a slow machine its pause is over by now
    found = core.ledger.delivery(delivery)
    assert (found.spent, found.armed_at, script.made("finalize")) == (0, None, 0)
    assert (found.error["fault"], found.error["code"]) in {
        ("us", "storage_unavailable"),
        ("us", "spool_failed"),
    }
    assert count_alarms(core.context) == before + 7
    streaks = core.ledger.read_claimed(delivery).streaks
    assert set(streaks) == {PLATFORM, STORAGE}
    assert found.now - streaks[PLATFORM] < 5 * HOUR, "the patience with the platform does not run meanwhile"
    assert require_explained(core, post).next_at == found.next_at
    assert send(core, script, post) is State.PUBLISHED
    assert sent == [data]
    assert core.ledger.delivery(delivery).spent == 1


@pytest.mark.parametrize("noisy", [False, True])
def test_storage_taken_away_at_arm_is_not_needed(core: CoreFixture, storage: Storage, *, noisy: bool) -> None:
    data = samples.video(noisy=noisy, frames=20 if noisy else 5)
    post, sent = queue(core, uploaded(core, data)), list[bytes]()
    try:
        assert send(core, sends_all(len(data), sent, storage.take_away), post) is State.PUBLISHED
    finally:
        storage.bring_back()
    assert sent == [data]


def test_a_platform_that_fetches_from_us_is_not_asked_while_storage_is_away(
    core: CoreFixture, storage: Storage
) -> None:
    post = queue(core, uploaded(core, samples.video()))
    script = Script(can=replace(CAPABILITIES, pulls_media=True))
    with storage.away():
        assert send(core, script, post) is State.RETRYING
    found = core.ledger.delivery(post.deliveries[0])
    assert (found.held_for, found.spent, script.made("prepare")) == (Hold.STORAGE, 0, 0)
    assert send(core, script, post) is State.PUBLISHED


def test_a_check_waits_for_storage_however_late_its_post_is(core: CoreFixture, storage: Storage) -> None:
    url = uploaded(core, samples.video())
    with core.context.database.begin() as c:
        check = checks.open_check(c, core.workspace, "video", url).id
    late = core.ledger.post([core.account("one")], State.ACCEPTED, due=-24 * HOUR, checks={0: check})
    before = count_alarms(core.context)
    core.run("UPDATE checks SET due_at = now() - interval '1 day' WHERE id = :id", id=check)
    with storage.away():
        assert run_check(core.context, check) == "postponed"
    found = read_check(core, check)
    assert (found.verdict, found.seen) == (None, None)
    assert list(find_unreachable({0: found})) == []
    assert core.ledger.states(late) == [State.ACCEPTED]
    require_explained(core, late)
    assert count_alarms(core.context) == before + 1
    assert run_check(core.context, check) == "good"


def test_only_its_expiry_ends_a_post_whose_check_waits_for_storage(
    core: CoreFixture, storage: Storage
) -> None:
    """Its author has said so: `on_late` skip. One that was retried after that is wanted late."""
    url, account = uploaded(core, samples.video()), core.account("one")
    with core.context.database.begin() as c:
        check = checks.open_check(c, core.workspace, "video", url).id

    def make(due: timedelta, on_late: str) -> Post:
        times = {"due": due, "expires": due + HOUR}
        return core.ledger.post([account], State.ACCEPTED, checks={0: check}, on_late=on_late, **times)

    expired, retried = make(-3 * HOUR, "skip"), make(-3 * HOUR, "skip")
    core.ledger.change(retried.deliveries[0], """error = '{"code": "expired"}'""")
    others = [make(-3 * HOUR, "hold"), make(-3 * HOUR, "publish"), make(HOUR, "skip")]
    with storage.away():
        assert run_check(core.context, check) == "postponed"
    [delivery] = core.deliveries(expired.id)
    assert (delivery.state, delivery.error["code"]) == (State.FAILED, "expired")
    for post in (retried, *others):
        assert core.ledger.states(post) == [State.ACCEPTED]
    assert run_check(core.context, check) == "good"


def read_check(core: CoreFixture, check: UUID) -> checks.Check:
    with core.context.database.begin() as c:
        return checks.read_checks(c, [check])[check]


def test_a_post_with_a_file_whose_facts_are_known_needs_no_storage(
    core: CoreFixture, storage: Storage
) -> None:
    """However old the check is; it holds no longer than the file is stored."""
    url, account = uploaded(core, samples.video()), core.account("one", Platform.YOUTUBE)
    known = checked(core, url).id
    old = core.with_settings(reachability={"fresh": 1e-6})
    with storage.away():
        post = old.accept(media={"type": "video", "url": url}, account_ids=[account])
    assert [d.state for d in core.deliveries(post.id)] == [State.SCHEDULED]
    assert core.check_ids(url) == [known]
    with core.context.database.begin() as c:
        c.exec_driver_sql("UPDATE files SET removed_at = now() WHERE url = %(u)s", {"u": url})
        own = core.context.files.addresses.public_url("")
        assert not checks.find_good(c, [(core.workspace, "video", url)], 0 * HOUR, own)


def test_a_cover_waits_for_storage_beyond_its_day(core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], State.PUBLISHED)
    [delivery] = post.deliveries
    core.ledger.change(delivery, "remote_id = 'v1', published_at = now() - interval '2 days'")
    with core.context.database.begin() as c:
        facts = asdict(MediaFacts(content_type="image/png", bytes=9))
        wanted = {"url": "https://media.example/c.png", "facts": facts}
        record_follow_ups(c, delivery, {"cover": wanted})
    before = count_alarms(core.context)
    away = Script(set_cover=raising(StorageFault("away")))
    assert follow_up(with_script(core.context, away)) == 0
    assert count_alarms(core.context) == before + 1
    core.run("UPDATE follow_ups SET next_at = now() WHERE delivery_id = :id", id=delivery)
    assert follow_up(with_script(core.context, Script())) == 1
