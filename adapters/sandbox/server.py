"""Runs the sandbox: two listeners, one process, until it is told to stop."""

import asyncio
import errno
import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from adapters.sandbox.context import SandboxContext
from adapters.sandbox.control import mount_control
from adapters.sandbox.media_host import media_app
from adapters.sandbox.platforms import PLATFORMS
from adapters.sandbox.samples import make_samples
from adapters.sandbox.settings import SandboxSettings

__all__ = ["SandboxSettings", "run"]

_BODY_BYTES = 32 << 20
"""Of a request that is not streamed."""
_GOODBYE_S = 1.0
_KEEPALIVE_S = 75.0


def run(settings: SandboxSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises SystemExit with a sentence (status 1) when a port is busy or another sandbox uses the folder.
    """
    with _locked(settings):
        asyncio.run(_serve(settings))


@contextmanager
def _locked(settings: SandboxSettings) -> Iterator[None]:
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
        for app, port in ((platform_app(context), settings.port), (media_app(context), settings.media_port)):
            runners.append(await _listen(app, settings.host, port))
        context.processing.resume()
        await _told_to_stop()
    finally:
        for runner in runners:
            await runner.cleanup()
        await context.close()


def platform_app(context: SandboxContext) -> web.Application:
    """The application of the platform port: every platform of the table, and the control API."""
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
        shutdown_timeout=_GOODBYE_S,
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


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
