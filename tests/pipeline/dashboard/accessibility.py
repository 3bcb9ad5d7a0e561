"""What every page is checked for in the browser: axe-core, the keyboard, a narrow and a wide window, light and dark."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Locator, Page

SERIOUS = {"serious", "critical"}
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1400, "height": 900}
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe-core that the colour scheme can change: the elements of a page are the same in both."""
_IS_FOCUSED = "element => (element.isConnected ? element === document.activeElement : null)"
"""Null: something else stands in its place."""
MAX_TABS = 200
"""Presses of the Tab key until a control must have been reached."""
SCREENSHOTS = "DASHBOARD_SCREENSHOTS"
"""Environment variable: a folder for a picture of each page that is checked, to be looked at."""


def check_accessibility(page: Page, name: str = "") -> None:
    """Check the page as it is now, in both window sizes and colour schemes. *name*: of its screenshots."""
    for size in (NARROW, WIDE):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        assert_everything_is_within(page, f"{size['width']} px")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="light" if scheme == "light" else "dark", reduced_motion="reduce")
            assert_no_serious_finding(
                page, f"{size['width']} px, {scheme}", OF_COLOURS if scheme == "dark" else ()
            )
            if (folder := os.environ.get(SCREENSHOTS)) and name:
                page.screenshot(path=Path(folder) / f"{name}-{size['width']}-{scheme}.png", full_page=True)


def press_tab_until(page: Page, control: Locator) -> None:
    """Press Tab until *control* has the focus, and check that the focus can be seen."""
    element = control.element_handle()
    for _ in range(MAX_TABS):
        try:
            is_focused = element.evaluate(_IS_FOCUSED)
        except Error:  # its page was left
            is_focused = None
        if is_focused is None:
            element = control.element_handle()
        elif is_focused:
            outline = control.evaluate("element => getComputedStyle(element).outlineStyle")
            shadow = control.evaluate("element => getComputedStyle(element).boxShadow")
            assert outline != "none" or shadow != "none", "the focus cannot be seen"
            return
        else:
            page.keyboard.press("Tab")
    raise AssertionError(f"{control} is not reached with the Tab key")


def assert_no_serious_finding(
    page: Page, where: str, only: Sequence[str] = (), without: Sequence[str] = ()
) -> None:
    """Run axe-core, or *only* these of its rules."""
    if not page.evaluate("window.axe !== undefined"):
        page.evaluate(_load("vendor/axe.min.js"))
    rules = {name: {"enabled": False} for name in without}
    options = {"resultTypes": ["violations"], "rules": rules, **({"runOnly": [*only]} if only else {})}
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    serious = [_describe(one) for one in found["violations"] if one["impact"] in SERIOUS]
    assert serious == [], f"{where}: {json.dumps(serious, indent=2)}"


def assert_everything_is_within(page: Page, where: str) -> None:
    """Assert that the page does not scroll sideways, and that no text or control leaves its card or covers another.

    A table in a region of its own may scroll. Menus are opened one by one.
    """
    excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert excess <= 0, f"{where}: {excess} px wider than the window"
    found: list[str] = page.evaluate(_load("find_overflow.js"))
    assert found == [], f"{where}: {json.dumps(found, indent=2, ensure_ascii=False)}"


def assert_contrast(page: Page, where: str) -> None:
    """Assert that text of every style that is seen has the contrast that WCAG AA asks for."""
    page.evaluate(_load("vendor/axe.min.js"))
    found: dict[str, Any] = page.evaluate(_load("check_contrast.js"))
    bad = [_describe(one) for one in found["violations"]]
    assert bad == [], f"{where}: {json.dumps(bad, indent=2)}"


def _describe(finding: dict[str, Any]) -> dict[str, Any]:
    places = [{"html": node["html"], "why": node["failureSummary"]} for node in finding["nodes"][:5]]
    return {"rule": finding["id"], "impact": finding["impact"], "places": places}


@cache
def _load(script: str) -> str:
    return (Path(__file__).parent / script).read_text()
