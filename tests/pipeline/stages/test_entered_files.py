"""How many files of the product one reads to follow a post from its handler to the INSERT."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

from pipeline.store.auth.keys import create_key
from tests.pipeline.core_fixture import VIDEO, CoreFixture

MOST = 43
"""The wish is 15. What joins two of these files lowers it; nothing raises it."""


def test_a_new_post_enters_no_more_files_than_it_did(
    core: CoreFixture, module_environment: dict[str, str]
) -> None:
    core.account("one")
    core.decided()
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "tests")
    body = {
        "media": {"type": "video", "url": VIDEO},
        "accounts": [{"id": str(core.accounts["one"])}],
        "scheduled_at": (core.now() + timedelta(hours=1)).isoformat(),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.entered_files"],
        input=json.dumps({"key": key, "body": body}),
        env=module_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    entered = json.loads(ended.stdout)
    assert {"pipeline/api/posts/routes.py", "pipeline/stages/ingest.py"} <= set(entered)
    assert len(entered) <= MOST, "\n".join(entered)
