"""Messages outlive the broker they came from: what is done with them then is no error of the worker."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES

from pipeline.broker.celery_app import TRANSPORTS
from tests.broker_outages import dead
from tests.conftest import Engines


def test_a_message_that_is_done_while_its_broker_is_away_is_passed_over_in_one_line(
    engines: Engines, broker_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRANSPORT_ALIASES, "redis", TRANSPORTS["redis"])
    connection: Any = Connection(broker_url)  # type: ignore[no-untyped-call]
    queue = connection.SimpleQueue("asked")
    queue.put("a body")
    message = queue.get(timeout=60)
    with dead(engines.valkey):
        message.ack_log_error(logging.getLogger("celery"), connection.connection_errors)
    [line] = caplog.records
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert "the broker delivers it again" in line.getMessage()
    assert not message.acknowledged
    connection.release()
