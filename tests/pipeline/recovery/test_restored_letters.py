"""Dead letters and restores: what was never sent is not in doubt, what was sent again since is."""

from __future__ import annotations

import pytest

from adapters.contract import (
    Account,
    Draft,
    FinalizeResult,
    Published,
)
from pipeline.actions import cancel_delete_retry as steer
from pipeline.actions import resolve as decide
from pipeline.domain.delivery import State
from pipeline.domain.steering import Verb
from pipeline.stages import reachability
from pipeline.store.database import row, rows
from pipeline.store.deliveries.ownership import OPERATOR
from tests.actors import TESTER
from tests.pipeline.actions.test_dead_letters import act
from tests.pipeline.recovery.scene import Scene
from tests.pipeline.store.ledger import HOUR, Post

# --- what went out is not sent again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["its author", "an operator"])
def test_what_had_failed_and_was_sent_again_since_is_in_doubt_too(scene: Scene, by: str) -> None:
    scene.core.decided()
    post, other = scene.post(State.FAILED), scene.post(State.FAILED)
    [delivery] = post.deliveries
    scene.core.ledger.change(delivery, 'error = \'{"code": "x"}\'')
    scene.back_up()
    if by == "its author":
        assert steer.retry(scene.context, scene.core.caller, [post.id]).ids == [post.id]
    else:
        assert act(scene.context, Verb.REPLAY, OPERATOR, [delivery]).done == [delivery]
    _good(scene, post)
    assert scene.goes_out(post) is State.PUBLISHED
    scene.put_back()
    assert scene.accept() == {delivery}
    assert scene.core.ledger.moves(delivery)[-1] == ("restore", "failed", "unknown")
    assert scene.core.ledger.status(post) == "pending"
    assert scene.core.ledger.states(other) == [State.FAILED]


@pytest.mark.parametrize("by", ["resume", "replay"])
def test_a_dead_letter_that_was_never_sent_is_in_doubt_only_if_it_was_resumed_since(
    scene: Scene, by: str
) -> None:
    never, resumed, asked = (scene.post(State.BLOCKED, due=-HOUR) for _ in range(3))
    scene.core.ledger.change(asked.deliveries[0], "reason = 'is_it_live', armed_at = now()")
    scene.back_up()
    [delivery] = resumed.deliveries
    if by == "resume":
        decide.resume(scene.context, TESTER, delivery)
    else:
        assert act(scene.context, Verb.REPLAY, OPERATOR, [delivery]).done == [delivery]
    noted: list[bool] = []

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        noted.append(delivery in scene.epoch_file.list_brought_forward(None))
        return Published(remote_id=draft.delivery_id)

    scene.script.finalize = finalize
    scene.core.ledger.change(delivery, "next_at = now()")
    assert scene.goes_out(resumed) is State.PUBLISHED
    assert noted == [True], "the epoch file has it before the visible call"
    scene.put_back()
    assert scene.accept() == {delivery, *asked.deliveries}
    assert scene.core.ledger.states(never) == [State.BLOCKED]
    assert scene.core.ledger.moves(delivery)[-1] == ("restore", "blocked", "unknown")


def _good(scene: Scene, post: Post) -> None:
    """Its media are checked, and it waits for its time."""
    with scene.context.database.begin() as c:
        for one in rows(c, "SELECT id FROM checks WHERE verdict IS NULL"):
            row(
                c,
                """UPDATE checks SET verdict = 'good', facts = '{"content_type": "video/mp4", "bytes": 10}',
                          decided_at = now() WHERE id = :id RETURNING id""",
                id=one.id,
            )
        reachability.advance_post(scene.context, c, post.id)
    scene.core.ledger.change(post.deliveries[0], "next_at = now()")
