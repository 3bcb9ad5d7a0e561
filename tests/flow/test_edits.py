"""Edit, cancel and retry posts again and again around their due second, with real workers.

Judged as a chaos run is, whose storms these are: no old version goes live after its edit was answered, no post twice or
early, none that was cancelled, and none is lost. What a refused edit leaves: tests/pipeline/actions/test_edit.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.chaos.drain import SETTLED
from tests.chaos.judge import ExpectedDelivery, History, ReportedState, judge
from tests.chaos.plan import Planned
from tests.chaos.storm import EDITS, Storms, Target
from tests.stack import Stack, until

POSTS, CLIENTS = 24, 6
AHEAD = timedelta(seconds=33)
"""A due time nearer than 30 s counts as immediate."""
SITES = (("tiktok",), ("instagram",), ("tiktok", "instagram"))


def test_nothing_old_goes_live_nothing_twice_and_nothing_that_was_taken_back(stack: Stack) -> None:
    run, storms = f"chaos-{uuid4().hex[:8]}", Storms(f"{stack.api}/api/partner/v1/posts", stack.key)
    for n in range(CLIENTS):
        for site in ("tiktok", "instagram"):
            stack.accounts[f"{site} {n}"] = stack.connect(site, f"{stack.owner}{n}", name=f"{site} {n}")
    targets: dict[str, Target] = {}
    expected: list[ExpectedDelivery] = []
    for n in range(POSTS):
        word, sites, history = f"{run}-{n:07d}", SITES[n % len(SITES)], History()
        names = [f"{site} {n // len(SITES) % CLIENTS}" for site in sites]
        post = stack.create_post(word, *names, scheduled_at=(datetime.now(UTC) + AHEAD).isoformat())
        due = datetime.fromisoformat(stack.read(post)["scheduled_at"])
        planned = Planned(number=n, at=0, due=None, kind="video", sites=sites, account=0, fresh=False)
        targets[post] = Target(id=post, caption=word, planned=planned, due=due, history=history)
        storms.add(targets[post])
        for site, name in zip(sites, names, strict=True):
            one = ExpectedDelivery(
                word=word,
                site=site,
                account=stack.remote[name],
                kind="video",
                taken=True,
                due=due,
                history=history,
            )
            expected.append(one)

    def read_states() -> dict[tuple[str, str, str], ReportedState]:
        return {
            (target.caption, s["platform"], account_of[s["account_id"]]): ReportedState(state=s["state"])
            for post, target in targets.items()
            for s in stack.read(post)["accounts"]["states"]
        }

    account_of = {str(stack.accounts[name]): remote for name, remote in stack.remote.items()}
    until(lambda: all(s.state in SETTLED for s in read_states().values()), 120, lambda: str(read_states()), 1)
    storms.stop()
    verdict = judge(expected, stack.live(run), read_states())
    assert verdict.violations == []
    # without each of these answers the run would prove nothing
    histories = [target.history for target in targets.values()]
    edits = [revision for history in histories for revision in history.revisions if revision.done_at]
    assert 0 < len(edits) < EDITS * POSTS, "some are done, and some refused"
    assert any(history.cancelled_at for history in histories)
