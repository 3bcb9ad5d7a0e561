from __future__ import annotations

import pytest

from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.running_server import Server


@pytest.fixture
def importer(server: Server) -> Importer:
    """A client of a workspace of its own, with two accounts, that also does the worker's steps."""
    return Importer(server=server, tenant=server.tenant())
