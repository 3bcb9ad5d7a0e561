from __future__ import annotations

import pytest

from pipeline.store.auth.workspaces import create_workspace
from pipeline.store.database import Database, Unreachable, row
from tests.chaos.system import IMPATIENT


def test_the_runs_own_connections_wait_for_nobody_who_holds_a_row(database_url: str) -> None:
    """The lock may belong to a worker that this run has stopped and would resume only afterwards."""
    stopped, ours = Database(database_url, pool=1), Database(database_url + IMPATIENT, pool=1)
    sql = "UPDATE workspaces SET name = 'other' WHERE id = :id RETURNING id"
    with stopped.begin() as c:
        workspace = create_workspace(c, name="Tests")
    with stopped.begin() as c:
        row(c, sql, id=workspace)
        with pytest.raises(Unreachable, match="OperationalError"), ours.begin() as waiting:
            row(waiting, sql, id=workspace)
    stopped.close()
    ours.close()
