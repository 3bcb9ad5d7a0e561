from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos import plan, scorecard
from tests.chaos.aim import ALONE, MET
from tests.chaos.fault_injector import Tally
from tests.chaos.judge import (
    ExpectedDelivery,
    History,
    ReportedState,
    Revision,
    Verdict,
    find_doubles,
    judge,
    percentile,
    read_comment,
)

DUE = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WORD = "chaos-a1-0000007"


def promised(**more: Any) -> ExpectedDelivery:
    given = {"word": WORD, "site": "tiktok", "account": "them", "kind": "video", "taken": True, "since": DUE}
    return ExpectedDelivery(**{**given, "due": DUE, **more})


def line(seconds: float = 1, **more: Any) -> dict[str, Any]:
    at = (DUE + timedelta(seconds=seconds)).isoformat()
    return {"at": at, "platform": "tiktok", "account": "them", "caption": f"{WORD} video", **more}


def judged(
    ledger: Sequence[dict[str, Any]], state: str = "published", reason: str | None = None, **more: Any
) -> Verdict:
    expected = promised(**more)
    reported = {(expected.word, expected.site, expected.account): ReportedState(state=state, reason=reason)}
    return judge([expected], ledger, reported)


def test_once_and_on_time_is_what_was_promised() -> None:
    verdict = judged([line(1.5)])
    assert verdict.stands
    assert (verdict.accepted, verdict.live_once, verdict.lateness) == (1, 1, [1.5])


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ("lost", judged([])),
        ("lost", judged([], "failed")),
        ("lost", judge([promised()], [], {})),
        ("duplicated", judged([line(1), line(2)])),
        ("duplicated", judged([line(1), line(2)], taken=False)),
        ("early", judged([line(-0.001)])),
        ("stuck", judged([], "queued")),
        ("stuck", judged([], "unknown")),
        ("stuck", judged([line()], "unknown")),
        ("stuck", judged([], "blocked", "person_needed")),
        ("misreported", judged([line()], "failed")),
        ("misreported", judge([promised()], [line()], {})),
        ("unasked", judged([line(), line(caption="something else")])),
        ("unasked", judged([line(), line(account="others")])),
        ("unasked", judged([line(), line(platform="facebook")])),
        ("unasked", judged([line()], taken=False, refused=True)),
    ],
)
def test_every_broken_promise_is_flagged_and_nothing_else(what: str, verdict: Verdict) -> None:
    assert [fault.what for fault in verdict.violations] == [what]
    assert not verdict.stands


def test_a_post_at_two_accounts_is_two_promises() -> None:
    both = [promised(), promised(account="us")]
    reported = {(WORD, "tiktok", name): ReportedState(state="published") for name in ("them", "us")}
    verdict = judge(both, [line(), line(account="us")], reported)
    assert verdict.stands
    verdict = judge(both, [line(), line()], reported)
    assert {fault.what for fault in verdict.violations} == {"duplicated", "lost"}


def test_one_that_was_never_answered_may_be_live_or_not_but_not_twice() -> None:
    for ledger in ([], [line()]):
        verdict = judged(ledger, taken=False)
        assert verdict.stands
        assert (verdict.accepted, verdict.unanswered, verdict.live_once) == (0, 1, 0)


def test_only_where_the_platform_cannot_tell_a_person_may_be_left_with_it() -> None:
    pin: dict[str, Any] = {"platform": "pinterest"}
    assert sum(judged([], "unknown", site="pinterest").left.values()) == 1
    assert sum(judged([], "blocked", "is_it_live", kind="photo").left.values()) == 1
    assert judged([], "unknown", site="youtube").count("stuck") == 1
    assert judged([line(**pin)], "unknown", site="pinterest").count("stuck") == 1


def at(seconds: float) -> datetime:
    return DUE + timedelta(seconds=seconds)


CANCELLED = History(cancelled_at=at(0.5), may_be_cancelled=True)
EDITED = History(revisions=[Revision(number=1, done_at=at(0.2)), Revision(number=2, done_at=None)])


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ([], judged([], "canceled", history=CANCELLED)),
        ([], judged([], "canceled", history=History(may_be_cancelled=True))),
        ([], judged([line()], history=History(may_be_cancelled=True))),
        ([], judged([line(0.4)], history=CANCELLED)),  # at another account it was cancelled later
        (["lost"], judged([], "canceled")),
        (["unasked"], judged([line(0.6)], history=CANCELLED)),
        (["misreported"], judged([line(0.4)], "canceled", history=CANCELLED)),
        ([], judged([line(0.1)], history=EDITED)),
        ([], judged([line(1, caption=f"{WORD} revision 1")], history=EDITED)),
        ([], judged([line(1, caption=f"{WORD} revision 2")], history=EDITED)),
        (["outdated"], judged([line(1)], history=EDITED)),
    ],
)
def test_what_was_cancelled_stays_away_and_what_was_edited_is_the_new_text(
    what: list[str], verdict: Verdict
) -> None:
    assert [fault.what for fault in verdict.violations] == what


def test_an_unanswered_edit_may_be_done_after_the_next_one() -> None:
    unclear = [Revision(number=1, done_at=None), Revision(number=2, done_at=at(0.2))]
    assert judged([line(1, caption=f"{WORD} revision 1")], history=History(revisions=unclear)).stands


def test_a_double_is_found_in_the_ledger_alone() -> None:
    assert find_doubles([line(), line(2), line(caption="something else"), line(account="us")]) == [WORD]
    assert find_doubles([line(), line(account="us")]) == []


def test_percentiles_are_of_the_nearest_rank() -> None:
    row = [float(n) for n in range(1, 101)]
    assert [percentile(row, part) for part in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([], 0.5) == 0
    assert percentile([7.0], 0.99) == 7


def scored(armed: int, met: int = 3) -> Tally:
    tally = Tally(pauses={"publish.armed": Counter({MET: met, ALONE: 9})})
    for _ in range(armed):
        tally.kill("kill publish", {"armed": 1, "unarmed": 4})
    tally.kill("kill publish", {"unarmed": 1})
    for kind in ("stop postgres", "restart publish", "pause of a worker"):
        tally.kill(kind, {"armed": 3})
    return tally


def test_kills_count_by_the_worst_state_they_found_and_only_those_of_workers() -> None:
    tally = scored(3)
    assert tally.armed == 3
    assert tally.states["kill publish"] == {"armed": 3, "unarmed": 1}
    assert Tally().kill("kill publish", None) == "unseen"
    assert Tally().kill("kill publish", {}) == "none"


def test_too_few_kills_between_arm_and_answer_are_no_run() -> None:
    assert scorecard.build_report(judged([line()]), scored(19), {})["verdict"] == "no run"
    assert scorecard.build_report(judged([line()]), scored(20, met=2), {})["verdict"] == "no run"
    assert scorecard.build_report(judged([line()]), scored(20), {})["verdict"] == "kept"
    assert scorecard.build_report(judged([line()]), scored(0), {}, only=scorecard.AIMS)["verdict"] == "kept"
    assert (
        scorecard.build_report(judged([line()]), scored(0, 2), {}, only=scorecard.AIMS)["verdict"] == "no run"
    )
    assert scorecard.build_report(judged([line()]), Tally(), {}, only=scorecard.SANDBOX)["verdict"] == "kept"
    found = scorecard.build_report(judged([]), scored(20), {"seed": 1})
    assert found["verdict"] == "broken"
    assert "1 lost" in scorecard.summarize(found)
    assert scorecard.build_report(judged([]), scored(0), {})["verdict"] == "broken"


def test_the_page_stands_alone_and_escapes() -> None:
    found = scorecard.build_report(
        judged([line(caption="<script>alert(1)</script>")]), scored(20), {"seed": 5}
    )
    page = scorecard.render_html(found)
    assert "<script" not in page
    assert "http" not in page
    assert "seed" in "\n".join(scorecard.format_lines(found))


def test_a_seed_is_a_run() -> None:
    sites = ["facebook", "tiktok", "youtube"]
    assert plan.plan_posts(7, 50, 120, sites) == plan.plan_posts(7, 50, 120, sites)
    assert plan.plan_posts(7, 50, 120, sites) != plan.plan_posts(8, 50, 120, sites)
    assert plan.plan_system_faults(7, 300, 120) == plan.plan_system_faults(7, 300, 120)
    kinds = Counter(fault.kind for fault in plan.plan_system_faults(7, 300, 120))
    assert kinds.pop("kill everything") == plan.EVERYTHING
    assert kinds.keys() == plan.SYSTEM_FAULTS.keys()
    few, many = (len(plan.plan_system_faults(7, n, 3000)) - plan.EVERYTHING for n in (5 * plan.MANY, 300))
    assert few * 5 == many
    assert plan.plan_sandbox_faults(7, 60, sites, 1) == plan.plan_sandbox_faults(7, 60, sites, 1)
    for post in plan.plan_posts(7, 50, 120, sites):
        assert post.due is None or post.due - post.at >= plan.SOONEST
        assert "youtube" not in post.sites or post.kind == "video"
        assert post.due is not None or not post.stormy
    assert any(post.stormy for post in plan.plan_posts(7, 50, 120, sites))
    assert sum(post.stormy for post in plan.plan_posts(7, 30_000, 120, sites)) < 2 * plan.STORMS


def test_a_first_comment_is_judged_apart_from_its_post() -> None:
    expected = [promised(site="facebook"), promised(site="facebook comment", since=None)]
    reported = {
        (WORD, "facebook", "them"): ReportedState(state="published"),
        (WORD, "facebook comment", "them"): read_comment({"status": "posted", "error": None}),
    }
    post, comment = line(platform="facebook"), line(platform="facebook", kind="comment")
    assert judge(expected, [post, comment], reported).stands
    twice = judge(expected, [post, comment, comment], reported)
    assert [(v.what, v.site) for v in twice.violations] == [("duplicated", "facebook comment")]
    assert find_doubles([post, comment, comment]) == [WORD]
    assert [v.what for v in judge(expected, [post], reported).violations] == ["lost"]
    reported[WORD, "facebook comment", "them"] = read_comment({"status": "pending", "error": None})
    assert judge(expected, [post], reported).stands, "nobody can prove that a comment is not there"
    assert [v.what for v in judge(expected[:1], [post, comment], reported).violations] == ["unasked"]
