"""Instagram: containers, then one ``media_publish``; see README.md."""

from adapters.instagram.adapter import Instagram

__all__ = ["Instagram"]
