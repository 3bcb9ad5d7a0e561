"""Two sites: plain http, allowed as the sandbox's media host, and TLS under public names."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.media.fetch import Fetcher, FetchPolicy
from tests.pipeline.media.servers import Site, certificate, serving

PUBLIC = "93.184.215.14"


@dataclass
class Internet:
    """A TLS site under public names. Resolver and TCP dial are replaced, everything else is real."""

    site: Site
    tls: ssl.SSLContext
    answers: dict[str, list[list[str]]] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)

    def resolve(self, host: str) -> list[str]:
        self.looked_up.append(host)
        answers = self.answers.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def dial(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        return socket.create_connection(("127.0.0.1", self.site.port), seconds)

    def fetcher(self, policy: FetchPolicy | None = None) -> Fetcher:
        return Fetcher(policy or FetchPolicy(), resolver=self.resolve, dial=self.dial, tls=self.tls)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


@pytest.fixture
def fetcher(site: Site) -> Fetcher:
    return Fetcher(FetchPolicy(allowed_origins=frozenset({site.origin})))


@pytest.fixture
def internet(tmp_path: Path) -> Iterator[Internet]:
    server, client = certificate(tmp_path, "media.example.com", "xn--bcher-kva.example")
    with serving(server) as running:
        names = ("media.example.com", "other.example.com", "xn--bcher-kva.example")
        yield Internet(running, client, answers={name: [[PUBLIC]] for name in names})
