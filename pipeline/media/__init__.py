"""User-given media: the one guarded fetcher, probing behind bars, and relay streams. See the README here."""
