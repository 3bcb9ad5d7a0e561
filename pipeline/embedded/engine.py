"""The error of both embedded engines."""


class EngineError(Exception):
    """An engine could not be started. The message says why, with the end of its log."""
