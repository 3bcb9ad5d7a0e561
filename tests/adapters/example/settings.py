"""Step 1: the class for ``config/platforms.py``, and the lines for ``config/settings.py`` and ``SANDBOX_HOSTS``."""

from __future__ import annotations

from pydantic import Field

from config.platforms import App
from config.settings import Settings


class Mammoth(App):
    """mammoth.example."""

    api: str = Field(default="https://mammoth.example", description="REST API.")
    www: str = Field(default="https://mammoth.example", description="Consent page.")


class WithMammoth(Settings):
    """The program's settings with Mammoth's."""

    mammoth: Mammoth = Mammoth()


HOSTS = {"api": "/mammoth", "www": "/mammoth"}
