"""A worker that dies on its way to the visible call, in it, and after it."""

from __future__ import annotations

from uuid import uuid4

from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.queues import DELAY, PUBLISH
from tests.proof.fleet import Fleet
from tests.proof.points import NEVER_TELLS, NEVER_TELLS_ABSENCE
from tests.proof.ways import WAYS
from tests.stack import FAST

EACH_ALONE = {"SLIPWAY_DELAY__BATCH": "1"}
"""One message a look: in one with others, who hangs would stand in their way."""
SHORT = {name: FAST[name] for name in FAST if name.endswith(("__LEASE", "__SLICE", "__CALL"))}
"""A lease that has to be written again while a file is sent."""
DUE = "due_at = now(), next_at = now()"


def test_before_arm(fleet: Fleet) -> None:
    fleet.post()
    fleet.dies("delay.released", queues=[DELAY])
    fleet.dies("publish.claimed", "publish.prepared", "publish.checkpointed")
    fleet.ends()


def test_uploads(fleet: Fleet) -> None:
    """The files come late, so that the lease is written again while they are sent."""
    fleet.post()
    fleet.stack.fault("media", "media", "latency", times=None, delay_ms=1200)
    fleet.dies("publish.beat", settings=SHORT)
    fleet.stack.control("DELETE", "faults")
    fleet.ends()


def test_armed(fleet: Fleet) -> None:
    """Nothing was sent. Where that cannot be seen, a person says so, and their command dies too."""
    fleet.post()
    fleet.dies("publish.armed")
    assert fleet.ends(among=NEVER_TELLS_ABSENCE) == NEVER_TELLS_ABSENCE
    assert not any(fleet.live(way) for way in NEVER_TELLS_ABSENCE)
    fleet.command_dies("decide.again", NEVER_TELLS_ABSENCE, "decide", "--again")
    fleet.ends()


def test_answered(fleet: Fleet) -> None:
    """It is live, and the worker that knew is dead; then who looks dies, too."""
    fleet.post()
    fleet.dies("publish.answered", "status.looked", "status.settled", settings=EACH_ALONE)
    assert fleet.ends(among=NEVER_TELLS) == NEVER_TELLS
    fleet.person_decides(NEVER_TELLS)
    fleet.ends()


def test_lost_answers(fleet: Fleet) -> None:
    """The platform has acted, its answer is lost, and the worker that saw that dies; then who rings for a look."""
    for way, site in WAYS.items():
        account = fleet.stack.remote[way]
        fleet.stack.fault(site.platform, "finalize", "effect-then-drop", account=account)
    fleet.post("upkeep")
    fleet.dies("publish.raised")
    fleet.dies("delay.looks-rung", queues=[DELAY])
    fleet.aim("status.claimed")
    fleet.start()  # only where somebody takes what stands in their queue can a look that stands in none be told
    fleet.change(
        "next_at = now(), lease_until = now() + interval '290 s', updated_at = now() - interval '11 s'"
    )
    fleet.dies("rescue.looks-found", group="upkeep")
    fleet.come("status.claimed")
    fleet.fall("status.claimed")
    assert fleet.ends(among=NEVER_TELLS) == NEVER_TELLS
    fleet.stack.control(
        "DELETE", "faults"
    )  # not all have struck: LinkedIn may have refused media it still worked on
    fleet.person_decides(NEVER_TELLS)
    fleet.ends()


def test_handfuls(fleet: Fleet) -> None:
    """Several in one message, claimed together; later, where there is one, the handle that can be asked at once."""
    fleet.post()
    fleet.aim("publish.claimed-several")
    fleet.change(f"state = 'queued', lease_until = now() + interval '5 minutes', {DUE}")
    fleet.start()
    for platform, queue in PUBLISH.items():
        mine = [str(d) for way, d in fleet.deliveries.items() if WAYS[way].platform.startswith(platform)]
        several = [[d, 0] for d in mine] + [[str(uuid4()), 0]]  # of YouTube there is only one
        fleet.stack.context.dispatcher._app.send_task("publish.step", args=[platform, several], queue=queue)
    fleet.come("publish.claimed-several")
    fleet.fall("publish.claimed-several")
    fleet.dies("publish.handle-stored")
    fleet.ends()


def test_settling(fleet: Fleet) -> None:
    """Upkeep dies over what a worker dropped; a person's command; the worker that has something to say of it."""
    fleet.post("upkeep")
    fleet.change(f"state = 'publishing', fence = fence + 1, lease_until = now() - interval '1 s', {DUE}")
    fleet.dies("rescue.moved", "rescue.found", group="upkeep")
    fleet.change("state = 'blocked', reason = 'person_needed', lease_until = NULL")
    fleet.command_dies("decide.resumed", WAYS, "resume")
    fleet.dies("publish.settling")
    left = fleet.ends(among=NEVER_TELLS)  # where the first thing to store was how the visible call went
    fleet.person_decides(left)
    fleet.ends()


def test_late_workers(fleet: Fleet) -> None:
    """They stood still at the answer for so long that they were taken for dead; they go on, and then they die."""
    fleet.post("upkeep")
    fleet.aim("publish.answered", "settling.lost")
    fleet.start()
    fleet.come("publish.answered")
    fleet.time_passes()
    rescue_expired_leases(fleet.stack.context)
    fleet.go_on("publish.answered")
    fleet.come("settling.lost")
    fleet.fall("settling.lost")
    assert fleet.ends(among=NEVER_TELLS) == NEVER_TELLS
    fleet.person_decides(NEVER_TELLS)
    fleet.ends()
