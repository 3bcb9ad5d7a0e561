"""Web servers on loopback that behave, or misbehave, as a test configures, and certificates for them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request by the function that the test has set for its path."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append((self.path, dict(self.headers.items())))
        self.close_connection = True
        try:
            site.routes.get(self.path.partition("?")[0], nothing)(self)
        except OSError:
            site.hung_up += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.site.posts.append((self.path, dict(self.headers.items()), body))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass

    def head(self, status: int, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def put(self, data: bytes) -> None:
        self.wfile.write(data)
        self.site.sent += len(data)

    def span(self, size: int) -> tuple[int, int] | None:
        """First offset and end of the requested range."""
        asked = self.headers.get("Range")
        if asked is None:
            return None
        first, last = asked.removeprefix("bytes=").split("-")
        return int(first), min(int(last) + 1, size)


class Server(ThreadingHTTPServer):
    """Takes many connections at once: with the default of five, others wait for the kernel's next attempt."""

    request_queue_size = 128


class Site:
    """One server: its routes and the requests it has received."""

    def __init__(self) -> None:
        self.routes: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.names: list[str | None] = []
        self.sent = 0
        self.hung_up = 0
        self.port = 0
        self.release = threading.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


def nothing(handler: Handler) -> None:
    handler.head(404, Content_Length=0)


def status(code: int, **headers: str | int) -> Answer:
    return lambda handler: handler.head(code, **{"Content_Length": 0, **headers})


def file(
    data: bytes, content_type: str = "application/octet-stream", *, ranges: bool = True, **more: str
) -> Answer:
    """Return the route of a file, with or without support of range requests."""

    def answer(handler: Handler) -> None:
        span = handler.span(len(data)) if ranges else None
        headers = {"Content_Type": content_type, **more}
        if span is None:
            handler.head(200, Content_Length=len(data), **headers)
            handler.put(data)
            return
        first, end = span
        if first >= len(data):
            handler.head(416, Content_Range=f"bytes */{len(data)}", Content_Length=0)
            return
        content_range = f"bytes {first}-{end - 1}/{len(data)}"
        handler.head(206, Content_Length=end - first, Content_Range=content_range, **headers)
        handler.put(data[first:end])

    return answer


def endless(handler: Handler) -> None:
    """Return the route of a body without size and end."""
    handler.head(200, Content_Type="video/mp4")
    while not handler.site.release.is_set():
        handler.put(b"\0\0\0\x18ftypmp42" + bytes(65536))


def drip(preamble: bytes) -> Answer:
    """Return the route that sends ``preamble`` at once, then a byte every tenth of a second."""

    def answer(handler: Handler) -> None:
        handler.put(preamble)
        while not handler.site.release.wait(0.1):
            handler.put(b"x")

    return answer


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    site = Site()
    handler = type("Bound", (Handler,), {"site": site})
    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are what some tests want
    if tls is not None:
        tls.sni_callback = lambda _sock, name, _context: site.names.append(name)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's TLS context for these names, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    signed = builder.sign(key, hashes.SHA256())
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, secret)
    return server, ssl.create_default_context(cafile=str(cert))
