"""Two ways to use a page: a mouse, whose clicks are counted, and the keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from playwright.sync_api import Locator, Page, expect

from tests.pipeline.dashboard.accessibility import press_tab_until

MAX_ROWS = 100
"""Presses of a key until a row must have been reached."""
_STEPS = """(field, option) =>
    [...field.options].findIndex((one) => one.label === option) - field.selectedIndex"""
_ROW = "xpath=ancestor-or-self::li[contains(concat(' ', @class, ' '), ' row ')]"


class Hand(Protocol):
    """What a task is done with."""

    page: Page
    clicks: int

    def press(self, control: Locator) -> None:
        """Press a button, follow a link, or open a menu."""

    def tick(self, row: Locator) -> None:
        """Select a row of a list."""

    def check(self, box: Locator) -> None:
        """Tick a box."""

    def open(self, row: Locator) -> None:
        """Open what a row of a list is about."""

    def find(self, words: str) -> None:
        """Type words into the field of the sidebar."""

    def choose(self, field: Locator, option: str) -> None:
        """Choose one of the options of a field."""

    def pick_file(self, field: Locator, file: Path) -> None:
        """Choose a file."""


class Mouse:
    """A mouse. Only what is typed comes from the keyboard."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def press(self, control: Locator) -> None:
        control.click()
        self.clicks += 1

    def tick(self, row: Locator) -> None:
        self.press(row.get_by_role("checkbox"))

    def check(self, box: Locator) -> None:
        self.press(box)

    def open(self, row: Locator) -> None:
        self.press(row.get_by_role("link").first)

    def find(self, words: str) -> None:
        self.press(self.page.get_by_label("Find posts"))
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")

    def choose(self, field: Locator, option: str) -> None:
        field.select_option(label=option)
        self.clicks += 1

    def pick_file(self, field: Locator, file: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.press(field)
        chooser.value.set_files(file)


class Keys:
    """The keyboard: Tab, Enter and Space, and the keys that the pages have."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def press(self, control: Locator) -> None:
        expect(control).to_be_visible()
        if (row := control.locator(_ROW)).count():
            self._walk(row)
        press_tab_until(self.page, control)
        self.page.keyboard.press("Enter")

    def tick(self, row: Locator) -> None:
        self._walk(row)
        self.page.keyboard.press("x")

    def check(self, box: Locator) -> None:
        press_tab_until(self.page, box)
        self.page.keyboard.press("Space")

    def open(self, row: Locator) -> None:
        self._walk(row)
        self.page.keyboard.press("Enter")

    def find(self, words: str) -> None:
        self.page.keyboard.press("/")
        self.page.keyboard.type(words)
        self.page.keyboard.press("Enter")

    def choose(self, field: Locator, option: str) -> None:
        press_tab_until(self.page, field)
        # a name that is typed slowly ends at its first blank, which opens the list
        for _ in range(MAX_ROWS):
            if not (steps := field.evaluate(_STEPS, option)):
                return
            self.page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
        raise AssertionError(f"{option} is not reached with the arrows")

    def pick_file(self, field: Locator, file: Path) -> None:
        # the browser is told to hand over its dialog first: told just before the key, it may hear of it too late
        with self.page.expect_file_chooser() as chooser:
            press_tab_until(self.page, field)
            self.page.keyboard.press("Space")
        chooser.value.set_files(file)

    def _walk(self, row: Locator) -> None:
        """Press j until the row is the one that the keys act on."""
        expect(row).to_have_count(1)
        for _ in range(MAX_ROWS):
            if row.evaluate("row => row.classList.contains('here')"):
                return
            self.page.keyboard.press("j")
        raise AssertionError(f"{row} is not reached with the key j")
