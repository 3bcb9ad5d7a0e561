"""The server process of the sandbox: two listeners, until SIGTERM or SIGINT."""

import asyncio
import errno
import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from adapters.sandbox.context import SandboxContext, SandboxSettings
from adapters.sandbox.control import mount_control
from adapters.sandbox.media_host import make_media_app
from adapters.sandbox.platforms import PLATFORMS
from adapters.sandbox.samples import make_samples

__all__ = ["SandboxSettings", "run"]

_BODY_BYTES = 32 << 20
"""Largest body of a request that is not streamed."""
_SHUTDOWN_S = 1.0
_KEEPALIVE_S = 75.0


def run(settings: SandboxSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises SystemExit with a message (status 1) if a port is in use or another sandbox uses the folder.
    """
    with _lock_folder(settings):
        asyncio.run(_serve(settings))


@contextmanager
def _lock_folder(settings: SandboxSettings) -> Iterator[None]:
    settings.folder.mkdir(parents=True, exist_ok=True)
    with (settings.folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another sandbox already uses the folder {settings.folder}.") from None
        yield


async def _serve(settings: SandboxSettings) -> None:
    context = SandboxContext(settings)
    runners: list[web.AppRunner] = []
    try:
        make_samples(context.media)
        for app, port in (
            (make_platform_app(context), settings.port),
            (make_media_app(context), settings.media_port),
        ):
            runners.append(await _listen(app, settings.host, port))
        context.processing.resume()
        await _wait_for_signal()
    finally:
        for runner in runners:
            await runner.cleanup()
        await context.close()


def make_platform_app(context: SandboxContext) -> web.Application:
    """Return the application of the platform port: every platform of the table, and the control API."""
    app = web.Application(client_max_size=_BODY_BYTES)
    for register in PLATFORMS.values():
        register(app, context)
    mount_control(app, context)
    return app


async def _listen(app: web.Application, host: str, port: int) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_S,
        keepalive_timeout=_KEEPALIVE_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(
                f"Port {port} on {host} is busy: stop what uses it, or choose another."
            ) from None
        raise SystemExit(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    return runner


async def _wait_for_signal() -> None:
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
