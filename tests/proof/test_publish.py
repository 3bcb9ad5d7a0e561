"""Crash workers before, during and after the visible call."""

from __future__ import annotations

from uuid import uuid4

from pipeline.broker.queues import DELAY, PUBLISH
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from tests.proof.points import CANNOT_PROVE_ABSENCE, CANNOT_SHOW_POSTS
from tests.proof.scenario import ONE_PER_MESSAGE, CrashScenario
from tests.proof.targets import TARGETS
from tests.stack import FAST

SHORT = {name: FAST[name] for name in FAST if name.endswith(("__LEASE", "__SLICE", "__CALL"))}
"""Settings with a lease that must be renewed during an upload."""
DUE = "due_at = now(), next_at = now()"


def test_before_arm(scenario: CrashScenario) -> None:
    scenario.post()
    scenario.crash_workers("delay.released", queues=[DELAY])
    scenario.crash_workers("publish.claimed", "publish.prepared", "publish.checkpointed")
    scenario.finish()


def test_uploads(scenario: CrashScenario) -> None:
    """The media host is slow, so that the lease is renewed during the upload."""
    scenario.post()
    scenario.stack.fault("media", "media", "latency", times=None, delay_ms=1200)
    scenario.crash_workers("publish.beat", settings=SHORT)
    scenario.stack.control("DELETE", "faults")
    scenario.finish()


def test_armed(scenario: CrashScenario) -> None:
    """Nothing was sent. Where the platform cannot prove that, an operator decides, and the command crashes too."""
    scenario.post()
    scenario.crash_workers("publish.armed")
    assert scenario.finish(among=CANNOT_PROVE_ABSENCE) == CANNOT_PROVE_ABSENCE
    assert not any(scenario.find_live(target) for target in CANNOT_PROVE_ABSENCE)
    scenario.crash_command("decide.again", CANNOT_PROVE_ABSENCE, "decide", "--again")
    scenario.finish()


def test_answered(scenario: CrashScenario) -> None:
    """The post is live and its worker crashed; then workers crash during the look."""
    scenario.post()
    scenario.crash_workers("publish.answered", "status.looked", "status.settled", settings=ONE_PER_MESSAGE)
    assert scenario.finish(among=CANNOT_SHOW_POSTS) == CANNOT_SHOW_POSTS
    scenario.resolve_by_ledger(CANNOT_SHOW_POSTS)
    scenario.finish()


def test_lost_answers(scenario: CrashScenario) -> None:
    """The platform acted, the answer is lost, and the worker crashes; then workers crash that dispatch the look."""
    for target, product in TARGETS.items():
        account = scenario.stack.remote[target]
        scenario.stack.fault(product.platform, "finalize", "effect-then-drop", account=account)
    scenario.post("upkeep")
    scenario.crash_workers("publish.raised")
    scenario.crash_workers("delay.looks-rung", queues=[DELAY])
    scenario.arm("status.claimed")
    scenario.start()  # rescue dispatches looks again only while a worker consumes the queue
    scenario.update_deliveries(
        "next_at = now(), lease_until = now() + interval '290 s', updated_at = now() - interval '11 s'"
    )
    scenario.crash_workers("rescue.looks-found", group="upkeep")
    scenario.await_hung("status.claimed")
    scenario.kill_worker("status.claimed")
    assert scenario.finish(among=CANNOT_SHOW_POSTS) == CANNOT_SHOW_POSTS
    scenario.stack.control(
        "DELETE", "faults"
    )  # some faults may be unused: LinkedIn may have refused media in processing
    scenario.resolve_by_ledger(CANNOT_SHOW_POSTS)
    scenario.finish()


def test_handfuls(scenario: CrashScenario) -> None:
    """Deliveries claimed as a batch; then, where the platform returns one, the handle of the visible call."""
    scenario.post()
    scenario.arm("publish.claimed-several")
    scenario.update_deliveries(f"state = 'queued', lease_until = now() + interval '5 minutes', {DUE}")
    scenario.start()
    for platform, queue in PUBLISH.items():
        mine = [
            str(d)
            for target, d in scenario.deliveries.items()
            if TARGETS[target].platform.startswith(platform)
        ]
        several = [[d, 0] for d in mine] + [[str(uuid4()), 0]]  # YouTube has only one delivery
        scenario.stack.context.dispatcher._app.send_task(
            "publish.step", args=[platform, several], queue=queue
        )
    scenario.await_hung("publish.claimed-several")
    scenario.kill_worker("publish.claimed-several")
    scenario.crash_workers("publish.handle-stored")
    scenario.finish()


def test_settling(scenario: CrashScenario) -> None:
    """Crash maintenance during a rescue, then a resume command, then a worker that settles."""
    scenario.post("upkeep")
    scenario.update_deliveries(
        f"state = 'publishing', fence = fence + 1, lease_until = now() - interval '1 s', {DUE}"
    )
    scenario.crash_workers("rescue.moved", "rescue.found", group="upkeep")
    scenario.update_deliveries("state = 'blocked', reason = 'person_needed', lease_until = NULL")
    scenario.crash_command("decide.resumed", TARGETS, "resume")
    scenario.crash_workers("publish.settling")
    left = scenario.finish(
        among=CANNOT_SHOW_POSTS
    )  # targets whose first result to settle was that of the visible call
    scenario.resolve_by_ledger(left)
    scenario.finish()


def test_late_workers(scenario: CrashScenario) -> None:
    """Workers pause at the answer until their deliveries are rescued, then continue with a late result and crash."""
    scenario.post("upkeep")
    scenario.arm("publish.answered", "settling.lost")
    scenario.start()
    scenario.await_hung("publish.answered")
    scenario.expire_leases()
    rescue_expired_leases(scenario.stack.context)
    scenario.release("publish.answered")
    scenario.await_hung("settling.lost")
    scenario.kill_worker("settling.lost")
    assert scenario.finish(among=CANNOT_SHOW_POSTS) == CANNOT_SHOW_POSTS
    scenario.resolve_by_ledger(CANNOT_SHOW_POSTS)
    scenario.finish()
