"""The `slipway` command: the modules of its nouns, each imported when one of its commands is called.

Command modules import what they work with by `lazy_imports`, so that ``--help`` and commands that only read the
database stay fast (``tests/pipeline/cli/test_help.py``). Every command takes ``--json``. Settings that cannot be
used end a command with exit status 2 and one sentence for each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from types import ModuleType

import click

from pipeline.runtime.interpreter import collect_rarely

COMMANDS: Mapping[str, str] = {
    "account": "account:command",
    "api": "serve:api",
    "archive": "archive:command",
    "attention": "health:attention",
    "audit": "audit:audit",
    "backup": "backup:backup",
    "beat": "serve:beat",
    "broker": "settings:broker",
    "dead-letter": "dead_letter:command",
    "delivery": "delivery:command",
    "demo": "demo:command",
    "doctor": "health:doctor",
    "explain": "delivery:explain",
    "flower": "serve:flower",
    "forecast": "forecast:command",
    "import": "imports:command",
    "key": "key:command",
    "live-check": "health:live_check",
    "live-post": "live_post:live_post",
    "mcp": "serve:mcp",
    "migrate": "serve:migrate",
    "notice": "webhook:notice",
    "pause": "steer:pause",
    "post": "post:command",
    "receipts": "audit:receipts",
    "restore": "restore:command",
    "sandbox": "serve:sandbox",
    "settings": "settings:settings",
    "steer": "steer:steer",
    "top": "health:top",
    "up": "serve:up",
    "user": "workspace:user",
    "vault": "settings:vault",
    "webhook": "webhook:command",
    "worker": "serve:worker",
    "workspace": "workspace:workspace",
}
"""Name of a command -> module of this package and attribute. A table, so that a command imports its own module only."""
OURS = frozenset({"adapters", "config", "pipeline"})


class LazyFinder(MetaPathFinder):
    """Finds our own modules as Python does; each is loaded when one of its names is first used, a package at once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec, with a loader that waits."""
        if fullname.partition(".")[0] not in OURS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lazy_imports() -> Iterator[None]:
    """Import modules inside the block lazily. Two threads that first use a module at once may find it half loaded."""
    finder = LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class Commands(click.Group):
    """The commands of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names for --help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command; imports its module and no other."""
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; the error for an unknown command suggests the most similar name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean `slipway {near[0]}`?" if near else " `slipway --help` lists them."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="slipway")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Publish one post to six platforms, once each, on time."""
    if ctx.invoked_subcommand != "up":
        use_running_stack()


def use_running_stack() -> None:
    """Read the settings of the `slipway up` that runs in this folder, unless the environment names others."""
    if os.environ.keys() & {"SLIPWAY_SETTINGS_FILE", "SLIPWAY_STORE__URL"}:
        return
    running = Path(os.environ.get("SLIPWAY_FOLDER", ".slipway")) / "run" / "settings.env"
    try:
        is_there = running.is_file()
    except PermissionError:
        is_there = True  # a command that needs settings names the file; the others do without
    if is_there:
        os.environ["SLIPWAY_SETTINGS_FILE"] = str(running)


def main() -> None:
    """The console script. Settings that cannot be used are printed as sentences, not as a traceback."""
    collect_rarely()
    try:
        cli()
    except Exception as error:
        from config.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        click.echo(str(error), err=True)
        sys.exit(2)
