"""The fixture of the restore tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.contract import (
    Account,
    Draft,
    FinalizeResult,
    Published,
)
from config.settings import load
from pipeline.runtime.epoch_file import EpochFile
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.pipeline.core_fixture import make_core
from tests.pipeline.recovery.scene import Scene
from tests.pipeline.scripted_adapter import Script, with_script
from tests.pipeline.store.ledger import Ledger


@pytest.fixture
def scene(environment: dict[str, str], database_url: str, vault_key: str) -> Iterator[Scene]:
    settings = load(environment)
    script = Script()

    def finalize(draft: Draft, _: Account) -> FinalizeResult:
        script.calls.append(("finalize", draft.delivery_id))
        return Published(remote_id=draft.delivery_id)

    script.finalize = finalize
    context = with_script(build_context(settings), script)
    ledger = Ledger(database_url, Vault(vault_key))
    yield Scene(
        core=make_core(context, ledger),
        context=context,
        epoch_file=EpochFile(settings.mark_folder),
        script=script,
        environment=environment,
    )
    ledger.database.close()
    context.database.close()
