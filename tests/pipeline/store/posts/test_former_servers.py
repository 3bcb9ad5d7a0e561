"""Whether a server of the release before may serve a database is decided by the migration."""

from __future__ import annotations

import pytest

from tests.pipeline.store.upgraded_database import Upgraded


@pytest.mark.parametrize("has_key", [True, False])
def test_a_database_in_which_no_key_lies_was_never_served(empty_database_url: str, has_key: bool) -> None:
    upgraded = Upgraded(empty_database_url, "0022")
    with upgraded.engine.begin() as c:
        if has_key:
            c.exec_driver_sql(
                """INSERT INTO keys (id, workspace_id, public_id, secret_sha256, name)
                   VALUES (gen_random_uuid(), %(w)s, 'k', sha256(''), 'k')""",
                {"w": upgraded.workspace},
            )
    upgraded.to("0023")
    with upgraded.engine.begin() as c:
        assert c.exec_driver_sql("SELECT has_former_servers FROM mark").scalar() is has_key
    upgraded.engine.dispose()
