"""How many files of the product one reads to follow a post to the INSERT, and from a claim to the platform."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

from pipeline.domain.delivery import State
from pipeline.stages.publish import publish
from pipeline.store.auth.keys import create_key
from tests.entered_files import Recorder
from tests.pipeline.core_fixture import VIDEO, CoreFixture
from tests.pipeline.scripted_adapter import Script, with_script

MOST, MOST_OF_A_CLAIM = 43, 19
"""The wish is 15 each; the second counts no adapter. What joins two of these files lowers it; nothing raises it."""


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


def test_a_claimed_delivery_enters_no_more_files_than_it_did(core: CoreFixture) -> None:
    core.account("one")
    context, record = with_script(core.context, Script()), Recorder("claim_batch", "finalize")
    for record.is_armed in (False, True):
        [delivery] = core.ledger.post([core.accounts["one"]], State.QUEUED).deliveries
        sys.setprofile(record)
        try:
            assert publish(context, delivery, core.ledger.delivery(delivery).generation) is State.PUBLISHED
        finally:
            sys.setprofile(None)
    assert "pipeline/store/deliveries/arm.py" in record.files
    assert len(record.files) <= MOST_OF_A_CLAIM, "\n".join(record.files)
