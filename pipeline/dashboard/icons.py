"""The icons and marks of the pages: one sprite in each page, which its parts refer to by name."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from markupsafe import Markup

from adapters.contract import Platform
from pipeline.domain.account import PLATFORM_NAMES

_FOLDER = files("pipeline.dashboard") / "static"
_SVG = re.compile(r"<svg[^>]*>(?:<title>[^<]*</title>)?(.*)</svg>", re.DOTALL)


@cache
def load_sprite() -> Markup:
    """Return the symbols of all icons and marks, for the beginning of a page."""
    icons = [
        _build_symbol(one) for one in (_FOLDER / "vendor" / "icons").iterdir() if one.name.endswith(".svg")
    ]
    marks = [_build_symbol(one) for one in (_FOLDER / "slipway.svg", *map(_find_mark, Platform))]
    return Markup('<svg hidden aria-hidden="true">{}</svg>').format(Markup("").join(sorted(icons + marks)))


def show_icon(name: str, label: str = "") -> Markup:
    """Return an icon; with a *label* it is read out."""
    named = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="#icon-{}"/></svg>').format(named, name)


def show_mark(platform: str) -> Markup:
    """Return the mark of a platform."""
    return Markup('<svg class="logo" role="img" aria-label="{}"><use href="#icon-{}"/></svg>').format(
        name_platform(platform), platform
    )


def name_platform(platform: str) -> str:
    """Return the name of a platform as it writes itself."""
    return PLATFORM_NAMES.get(platform, platform)


def _find_mark(platform: Platform) -> Traversable:
    """Return the file of a mark: Simple Icons has none of LinkedIn, so that one is our own."""
    vendored = _FOLDER / "vendor" / "marks" / f"{platform}.svg"
    return vendored if vendored.is_file() else _FOLDER / f"{platform}.svg"


def _build_symbol(file: Traversable) -> Markup:
    found = _SVG.search(file.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{file.name} is no SVG.")
    name = file.name.removesuffix(".svg")
    # the files are those of the package
    inner = Markup(re.sub(r"\s+", " ", found[1]).strip())  # noqa: S704
    return Markup('<symbol id="icon-{}" viewBox="0 0 24 24">{}</symbol>').format(name, inner)
