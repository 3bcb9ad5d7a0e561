"""YouTube: a resumable upload whose last bytes publish the video; see README.md."""

from adapters.youtube.adapter import YouTube

__all__ = ["YouTube"]
