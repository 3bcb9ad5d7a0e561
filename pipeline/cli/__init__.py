"""`slipway …`: one file per noun, found by walking this package, imported when it is called for.

A module offers ``command`` (named like the module) or ``commands`` (several). Modules import what they work with inside
their functions, so that ``--help`` stays fast. Lists take ``--json``. Settings that cannot be used end the command with
exit status 2 and one plain sentence each.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import click

EXAMPLE = "Example:\n\n\b\n  "
"""Start of a command's epilog; click keeps the lines after it as they are."""


class Nouns(click.Group):
    """The commands of this package's modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name, for --help."""
        return sorted(self._all())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, importing no other module than its own where the names agree."""
        if cmd_name.replace("-", "_") in _modules():
            return _commands_of(cmd_name.replace("-", "_")).get(cmd_name)
        return self._all().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the nearest known one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            near = get_close_matches(args[0], self._all(), n=1)
            hint = f" Did you mean `slipway {near[0]}`?" if near else " `slipway --help` lists them."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from None

    def _all(self) -> dict[str, click.Command]:
        return {name: found for module in _modules() for name, found in _commands_of(module).items()}


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="slipway")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """One post, six platforms, once each, on time."""
    if ctx.invoked_subcommand != "up":
        attach()


def attach() -> None:
    """Let a command in another terminal speak to the running `slipway up` of this folder, unless told otherwise."""
    if os.environ.keys() & {"SLIPWAY_SETTINGS_FILE", "SLIPWAY_STORE__URL"}:
        return
    running = Path(os.environ.get("SLIPWAY_FOLDER", ".slipway")) / "run" / "settings.env"
    if running.is_file():
        os.environ["SLIPWAY_SETTINGS_FILE"] = str(running)


def main() -> None:
    """The console script: runs a command; settings that cannot be used are sentences, not a traceback."""
    try:
        cli()
    except Exception as error:
        from config.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        click.echo(str(error), err=True)
        sys.exit(2)


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


def _commands_of(module: str) -> dict[str, click.Command]:
    found = import_module(f"{__name__}.{module}")
    if single := getattr(found, "command", None):
        return {module.replace("_", "-"): single}
    return {command.name: command for command in getattr(found, "commands", ())}
