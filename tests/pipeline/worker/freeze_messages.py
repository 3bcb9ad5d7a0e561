"""Freeze messages this code sends and no version sent before.

``python -m tests.pipeline.worker.freeze_messages 2`` adds them to v2.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet

from config.settings import load
from pipeline.embedded.valkey import Valkey
from tests.conftest import environment_of
from tests.pipeline.worker.broker_messages import FROZEN, BrokerMessage, frozen, sent, shape


def main(version: str) -> None:
    """Return one message of each new shape, those with several deliveries included."""
    known = {shape(message) for message in frozen()}
    new: dict[str, BrokerMessage] = {}
    with tempfile.TemporaryDirectory(prefix="freeze-", dir="/tmp") as folder, Valkey(Path(folder)) as valkey:
        key = Fernet.generate_key().decode()
        for message in sent(load(environment_of("postgresql+psycopg://", valkey.url, key, Path(folder)))):
            if shape(message) not in known:
                new.setdefault(shape(message) + str(len(str(message["body"]))), message)
    file = FROZEN / f"v{version}.json"
    had = json.loads(file.read_text()) if file.is_file() else []
    lines = ",\n".join(json.dumps(m) for m in [*had, *map(_plain, new.values())])
    file.write_text(f"[\n{lines}\n]\n")
    print(f"{file}: {len(new)} added")


def _plain(message: BrokerMessage) -> BrokerMessage:
    """Return the message without the machine's name and random ids."""
    ids = [message["headers"]["id"], message["properties"]["reply_to"], message["properties"]["delivery_tag"]]
    text = json.dumps({**message, "headers": {**message["headers"], "origin": "gen1@host"}})
    for n, identity in enumerate(ids):
        text = text.replace(identity, str(UUID(int=n)))
    plain: Any = json.loads(text)
    return dict(plain)


if __name__ == "__main__":
    main(sys.argv[1])
