"""Pinterest: media first where it is a video, then one ``POST /pins``; see README.md."""

from adapters.pinterest.adapter import Pinterest

__all__ = ["Pinterest"]
