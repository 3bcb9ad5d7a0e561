r"""LinkedIn's "little text": what people see of a commentary.

Reserved characters need a backslash: | { } @ [ ] ( ) < > # \ * _ ~. One that has none, and is no mention or hashtag,
cuts the text off there, though the answer is 201: github.com/ComposioHQ/composio issue 2710, read 2026-11-24.
"""

import re

_PART = re.compile(
    r"\\(?P<plain>[|{}@\[\]()<>#\\*_~])"
    r"|@\[(?P<name>(?:\\.|[^\\\]])+)\]\(urn:li:\w+:[\w-]+\)"
    r"|\{hashtag\|\\?#\|(?P<tag>[^|{}]+)\}"
    r"|(?P<hash>#\w+)"
    r"|(?P<text>[^|{}@\[\]()<>#\\*_~]+)"
)


def shown(commentary: str) -> str:
    """The text as it appears, cut where a reserved character stands unescaped."""
    text, place = "", 0
    while (match := _PART.match(commentary, place)) is not None:
        place = match.end()
        tag = match["tag"]
        text += f"#{tag}" if tag else match["plain"] or match["name"] or match["hash"] or match["text"]
    return text
