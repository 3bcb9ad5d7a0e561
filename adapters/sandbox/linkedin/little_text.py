r"""LinkedIn's "little text" format: the visible text of a commentary.

Reserved characters need a backslash: | { } @ [ ] ( ) < > # \ * _ ~. An unescaped one that starts no mention or hashtag
truncates the text there, although the response is 201: github.com/ComposioHQ/composio issue 2710, read 2026-11-24.
"""

import re

_PART = re.compile(
    r"\\(?P<plain>[|{}@\[\]()<>#\\*_~])"
    r"|@\[(?P<name>(?:\\.|[^\\\]])+)\]\(urn:li:\w+:[\w-]+\)"
    r"|\{hashtag\|\\?#\|(?P<tag>[^|{}]+)\}"
    r"|(?P<hash>#\w+)"
    r"|(?P<text>[^|{}@\[\]()<>#\\*_~]+)"
)


def render(commentary: str) -> str:
    """Return the visible text, truncated at the first unescaped reserved character."""
    text, place = "", 0
    while (match := _PART.match(commentary, place)) is not None:
        place = match.end()
        tag = match["tag"]
        text += f"#{tag}" if tag else match["plain"] or match["name"] or match["hash"] or match["text"]
    return text
