"""What the two embedded engines have in common: how they fail."""


class EngineError(Exception):
    """An engine could not be started; the message says why, with the end of its log."""
