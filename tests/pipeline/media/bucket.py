"""An S3 server for tests: moto, over HTTP on loopback, with its objects in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from pydantic import SecretStr

from pipeline.media.storage import BucketStorage

NAME = "slipway-tests"


class BucketServer:
    """The server. It can be stopped and started again on its port; its objects stay."""

    def __init__(self) -> None:
        self._port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        from moto.server import ThreadedMotoServer  # half a second that few test processes need

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        self._server.stop()


@contextmanager
def serving_bucket() -> Iterator[dict[str, str]]:
    """Start a server with an empty bucket; yield the settings that name it."""
    with serving_stoppable_bucket() as (_, settings):
        yield settings


@contextmanager
def serving_stoppable_bucket() -> Iterator[tuple[BucketServer, dict[str, str]]]:
    """Start a server with an empty bucket; yield it and the settings that name it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = BucketServer()
    try:
        endpoint = server.endpoint
        requests.post(f"{endpoint}/moto-api/reset", timeout=60).raise_for_status()
        requests.put(f"{endpoint}/{NAME}", timeout=60).raise_for_status()
        yield (
            server,
            {
                "SLIPWAY_FILES__STORE": "s3",
                "SLIPWAY_FILES__BUCKET": NAME,
                "SLIPWAY_FILES__ENDPOINT": endpoint,
                "SLIPWAY_FILES__ACCESS_KEY": "tester",
                "SLIPWAY_FILES__SECRET_KEY": "a secret of the tests",
            },
        )
    finally:
        server.stop()


def bucket_of(settings: dict[str, str]) -> BucketStorage:
    """Return the storage for these settings."""
    return BucketStorage(
        bucket=settings["SLIPWAY_FILES__BUCKET"],
        endpoint=settings["SLIPWAY_FILES__ENDPOINT"],
        region="us-east-1",
        access_key=settings["SLIPWAY_FILES__ACCESS_KEY"],
        secret_key=SecretStr(settings["SLIPWAY_FILES__SECRET_KEY"]),
        path_style=True,
    )


def objects_in(settings: dict[str, str]) -> list[str]:
    """Return every key in the bucket, from the server itself."""
    answer = requests.get(
        f"{settings['SLIPWAY_FILES__ENDPOINT']}/{NAME}", params={"list-type": "2"}, timeout=60
    )
    return [part.partition("</Key>")[0] for part in answer.text.split("<Key>")[1:]]
