"""In which order a worker takes messages from its queues, where more stand in them than it can do at once."""

from __future__ import annotations

from kombu.utils.scheduling import round_robin_cycle

from pipeline.queues import STATUS


class BegunFirst(round_robin_cycle):
    """Round robin, but after each message of another queue the next may be a look: half of all, at the most.

    A look is what finishes a delivery that was begun. In turn with seven platforms' queues it would be an eighth, and
    under a load for hours (57,000 were seen) more and more would be begun, and held open over there, than finished.
    """

    def rotate(self, last_used: str) -> str:
        """Who was served goes to the end of the line; then looks go to its head, unless one of them was just served."""
        super().rotate(last_used)  # type: ignore[no-untyped-call]
        if last_used != STATUS and STATUS in self.items:
            self.items.insert(0, self.items.pop(self.items.index(STATUS)))
        return last_used
