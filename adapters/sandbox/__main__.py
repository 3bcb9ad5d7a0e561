"""`python -m adapters.sandbox`: run the sandbox by itself."""

import argparse
import os
from pathlib import Path

from adapters.sandbox.server import SandboxSettings, run

_EXAMPLE = """example:
  SLIPWAY_SANDBOX_CONTROL_TOKEN=$(openssl rand -hex 16) \\
    python -m adapters.sandbox --port 9100 --media-port 9101 --folder ./sandbox
"""


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m adapters.sandbox",
        description="Local stand-ins of the platforms, with faults on demand and a ledger of what went live.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port of the platforms and the control API")
    parser.add_argument("--media-port", type=int, required=True, help="port of the media host")
    parser.add_argument(
        "--uploads", default="", metavar="URL", help="what URLs begin with that can be pulled, too"
    )
    parser.add_argument("--folder", type=Path, required=True, help="where ledger, state and media are kept")
    parser.add_argument("--pace", choices=("real", "instant"), default="real", help="(default: %(default)s)")
    parser.add_argument("--no-quotas", action="store_true", help="lift rate limits and daily caps")
    parser.add_argument(
        "--processing", type=float, default=1.0, metavar="SECONDS", help="time a platform works"
    )
    parser.add_argument(
        "--moderation", type=float, default=0.5, metavar="SECONDS", help="time until a public id"
    )
    arguments = parser.parse_args()
    token = os.environ.get("SLIPWAY_SANDBOX_CONTROL_TOKEN", "")
    if not token:
        raise SystemExit("Set SLIPWAY_SANDBOX_CONTROL_TOKEN: the control API needs a token.")
    run(
        SandboxSettings(
            host=arguments.host,
            port=arguments.port,
            media_port=arguments.media_port,
            folder=arguments.folder,
            uploads=arguments.uploads,
            control_token=token,
            quotas=not arguments.no_quotas,
            pace=arguments.pace,
            processing_s=arguments.processing,
            moderation_s=arguments.moderation,
        )
    )


if __name__ == "__main__":
    main()
