"""`python -m adapters.sandbox`: run the sandbox as a process of its own."""

import argparse
import os
from pathlib import Path

from adapters.sandbox.server import SandboxSettings, run

_EXAMPLE = """example:
  SLIPWAY_SANDBOX_CONTROL_TOKEN=$(openssl rand -hex 16) \\
    python -m adapters.sandbox --port 9100 --media-port 9101 --folder ./sandbox
"""


def main() -> None:
    """Parse the command line and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.sandbox",
        description="Fake platforms on this machine, with fault injection and a ledger of live posts.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port of the platforms and the control API")
    parser.add_argument("--media-port", type=int, required=True, help="port of the media host")
    parser.add_argument(
        "--uploads",
        default="",
        metavar="URL",
        help="URL prefix of uploaded files that platforms may fetch, besides the media host",
    )
    parser.add_argument("--folder", type=Path, required=True, help="folder of ledger, state and media")
    parser.add_argument(
        "--pace",
        choices=("real", "instant"),
        default="real",
        help="instant: processing ends before the request is answered (default: %(default)s)",
    )
    parser.add_argument(
        "--no-quotas",
        dest="quotas",
        action="store_false",
        help="do not enforce rate limits and daily caps",
    )
    parser.add_argument(
        "--processing",
        dest="processing_s",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="processing time of a post (default: %(default)s)",
    )
    parser.add_argument(
        "--moderation",
        dest="moderation_s",
        type=float,
        default=0.5,
        metavar="SECONDS",
        help="time from processing to the public id (default: %(default)s)",
    )
    settings = vars(parser.parse_args())
    token = os.environ.get("SLIPWAY_SANDBOX_CONTROL_TOKEN", "")
    if not token:
        raise SystemExit("Set SLIPWAY_SANDBOX_CONTROL_TOKEN: the control API requires a token.")
    run(SandboxSettings(control_token=token, **settings))


if __name__ == "__main__":
    main()
