"""A core on real engines whose database is backed up and restored, and a platform that is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from adapters.contract import CannotTell, LookResult
from pipeline.domain.delivery import State
from pipeline.recovery import restore
from pipeline.recovery.restore import Acceptance
from pipeline.runtime.context import Context
from pipeline.runtime.epoch_file import EpochFile
from pipeline.stages import delay
from pipeline.stages.publish import publish
from pipeline.stages.status import look
from pipeline.store.recovery.epoch import Doubt
from tests.actors import TESTER
from tests.backups import back_up_rows, restore_rows
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.scripted_adapter import Script
from tests.pipeline.store.ledger import Post

LATE = "armed_at = now() - interval '2 hours', armed_deadline = now() - interval '1 hour'"
"""It was due two hours ago, and nothing that was sent before the restore can appear any more."""
LONG_AGO = timedelta(hours=2)
PLAIN = Acceptance()


@dataclass(kw_only=True)
class Scene:
    """A core whose database is backed up and restored, and a platform that is not."""

    core: CoreFixture
    context: Context
    epoch_file: EpochFile
    script: Script
    environment: dict[str, str]

    def back_up(self) -> None:
        assert self.context.send_guard.may_send()
        back_up_rows(self.context.database)

    def put_back(self) -> None:
        restore_rows(self.context.database)
        forget(self)

    def accept(self, word: Acceptance = PLAIN) -> set[UUID]:
        return {one.id for one in restore.accept(self.context, TESTER, self.epoch_file, word)}

    def doubt(self) -> Doubt:
        found = self.context.send_guard.find_doubt()
        assert found is not None
        return found

    def post(self, state: State = State.SCHEDULED, **more: Any) -> Post:
        return self.core.ledger.post([self.core.account("one")], state, **more)

    def goes_out(self, post: Post) -> State | None:
        """Release the post and publish it; return the delivery's state."""
        delay.release_due(self.context)
        delivery = self.core.ledger.delivery(post.deliveries[0])
        return publish(self.context, delivery.id, delivery.generation)

    def sent(self, post: Post) -> int:
        """Return how often the visible call was made."""
        return sum(call == ("finalize", str(post.deliveries[0])) for call in self.script.calls)

    def seen(self, delivery: UUID) -> State | None:
        now = self.core.ledger.delivery(delivery)
        return look(self.context, now.id, now.generation, now.fence)


def doubted(scene: Scene, *posts: Post, seen: LookResult | None = None) -> None:
    """They are in doubt, and a look by handle shows this; what a lost call can still show has been shown."""
    scene.back_up()
    scene.put_back()
    scene.accept()
    scene.script.look = lambda _: seen or CannotTell(reason="?")
    for post in posts:
        scene.core.ledger.change(post.deliveries[0], LATE)


def forget(scene: Scene) -> None:
    """Make the send guard compare again, like a process that has just started."""
    scene.context.send_guard._valid_until = float("-inf")
