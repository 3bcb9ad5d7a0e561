"""Signals: the consumers of moves (``maintenance/read_moves.py``), and the sender of webhooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from pipeline.store.moves import MoveFacts
from pipeline.webhooks.count_moves import count_moves, count_settled, log_moves
from pipeline.webhooks.make_events import make_events

Consumer = Callable[[Connection, Sequence[MoveFacts]], None]
"""Takes a batch of moves, in order, in the transaction that stores the position: it does no more than write rows.

If that transaction dies, the same batch comes again. So what a consumer does elsewhere, as a line in a log, can happen
twice, with the same id of the move.
"""

CONSUMERS: Sequence[Consumer] = (count_moves, count_settled, log_moves, make_events)
"""Every consumer gets every batch."""
