"""One name for one verb: each button and each link that looks like one begins with a word of this table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from pipeline.dashboard.actions import BUTTONS, OF_JOBS
from tests.assets import ROOT

FOLDER = ROOT / "pipeline" / "dashboard"
VERBS: Mapping[str, str] = {
    "Move": "gives a post another time",
    "To tomorrow": "moves by a day",
    "Spread": "moves many, evenly over a span",
    "Leave it there": "moves nothing",
    "Try": "sends again what failed; to a platform that is down, at once",
    "Approve": "lets out what waits for it",
    "Send back": "asks the author for a change",
    "Make a link": "lets a client answer without a login",
    "Copy": "takes along what is shown once",
    "Take back": "ends a link or a key",
    "Pause": "holds what is not sent yet",
    "Resume": "ends a pause, of whatever it is",
    "Let it go on": "ends what a post that needs somebody waits for",
    "Cancel": "keeps a post from going out",
    "Leave out": "gives up what failed",
    "It is": "says that a post is live, or is not",
    "Connect": "gets access to an account, also again",
    "Read": "checks a file and plans it",
    "Drop": "begins another import",
    "Schedule": "applies the plan of an import, or of drafts",
    "Change": "applies the plan of an import that only changes posts",
    "Stop": "ends a change or an import that runs, and leaves the rest",
    "Roll back": "cancels what an import made",
    "Throw away": "deletes a file and its rows",
    "Undo": "brings back what was before a change",
    "Select": "chooses all that match",
    "Show": "leads to a list, or narrows it",
    "Search": "goes on with a search",
    "Clear": "drops the conditions of a list",
    "Next": "goes on by a page, a day, a week or a month",
    "Previous": "goes back by a day, a week or a month",
    "First": "goes to the beginning of a list",
    "Back": "leads to where one came from",
    "Go to": "opens a platform",
    "Close": "closes a panel or a dialog",
    "Use it": "chooses the clock",
    "End": "ends a sign-in of somebody",
    "Sign in": "begins one's own",
    "Sign out": "ends one's own",
    "Yes": "does what the page asks",
    "No": "does not",
    "More": "unfolds what is wanted less often",
    "Open": "leads to the post and what can be done with it",
    "Look": "asks the platform now",
    "New": "leads to the form of a post",
    "Begin": "throws away what was typed",
    "Keep": "goes on with what is typed here",
    "Take": "goes on with what is typed elsewhere",
    "Save": "keeps a post without a time, or what a page's fields say",
    "Edit": "leads to the form of a post that is stored",
    "Duplicate": "leads to the form of a new post like this one",
    "Ask": "sends a post to those who approve",
    "Publish": "sends a post at once",
    "Make": "makes a key or a webhook",
    "Add": "adds a client, or an address of notices",
    "Send a test": "tries a webhook or an address of notices",
    "Send again": "sends an event a second time",
    "Delete": "asks before a webhook or an address is gone for good",
    "Keep it": "ends no key",
    "Invite": "adds a person",
    "Give": "gives a person a role, or takes it",
    "Turn on": "asks for a code at each sign-in; sends events",
    "Turn off": "asks for no code any more; keeps events",
    "Shut out": "keeps a person out",
    "Let in": "lets a person in again",
    "Fill the week": "plans drafts on free times, and asks",
    "Decide": "leads to what has to be said",
}
THINGS = {
    *(
        "Filter",
        "Any",
        "All",
        "All platforms",
        "Today",
        "Span…",
        "Client",
        "Keys",
        "Groups",
        "Needs you",
        "Going out now",
        "Late",
        "Failed today",
        "CSV",
        "Sample file",
        "New key",
        "New password",
        "New webhook",
        "New secret",
        "New notice",
        "New client",
        "Address and events",
        "New recovery codes",
        "Limits",
    ),
    *(
        "Posting times of",
        "Accounts",
        "Pauses",
        "Changes",
        "This account",
        "All accounts of",
        "How the file was read",
        "new",
    ),
    *("As a table", "Details", "of", "rows", "… more", "more that differ in text, kind, media or time"),
    *("Words", "Account", "Error", "Given up", "From", "Before", "Late from", "Late before"),
    *("… more", "Own words for one account", "First comment and labels", "to mend own words cut fits"),
    "As usual. Other choices need a post for alone. Change",
    "When : from before : from today on",
    "no version: another file of the same size would not be noticed.",
    "more live post of the account: text, kind, media or time differ",
}
"""What a button is called that opens, names or narrows something."""
_CONTROL = re.compile(
    r"<(button|summary|a)\b((?:[^<>\"{]|\"[^\"]*\"|\{\{.*?\}\}|\{%.*?%\})*)>(.*?)</\1>", re.DOTALL
)
_OF_JINJA = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]+>", re.DOTALL)
_WORDS = re.compile(r"\"([A-Z][^\"{}%/:=_]*)(?: \{[^\"]*)?\"")
_OF_CALL = re.compile(r"\{\{ verb\((.*?)\) \}\}")
_OF_ATTENTION = re.compile(r"(?:label=|: \()\"([A-Z][^\"]*)\"")


def list_labels() -> Iterator[tuple[str, str]]:
    """Yield the file and the label of each control; of one that is chosen by a condition, each of its labels."""
    for path in sorted((FOLDER / "templates").glob("*.html")):
        text = path.read_text()
        found = [label for control in _CONTROL.findall(text) for label in _read_labels(*control)]
        called = [label for arguments in _OF_CALL.findall(text) for label in _WORDS.findall(arguments)]
        yield from ((path.name, label) for label in (*found, *called))
    labels = [one.label for one in OF_JOBS.values()] + [one.label for one in BUTTONS]
    yield from (("actions.py", label) for label in labels)
    yield from (("attention.py", one) for one in _OF_ATTENTION.findall((FOLDER / "attention.py").read_text()))


def _read_labels(tag: str, attributes: str, inner: str) -> list[str]:
    if tag == "a" and "button" not in attributes:
        return []
    words = re.sub(r"<kbd>.*?</kbd>|\{\{ icon\(.*?\) \}\}", "", inner)
    if plain := " ".join(_OF_JINJA.sub(" ", words).split()).strip(" :"):
        return [plain]
    named = re.findall(r'aria-label="([A-Z][^"{]*)', attributes)
    return [label.strip(" :") for label in _WORDS.findall(words) or named]


def test_the_labels_are_found() -> None:
    found = {label for _, label in list_labels()}
    assert {
        "Roll back…",
        "To tomorrow",
        "Sign out",
        "Try again",
        "Show pauses",
        "Resume",
        "Throw away",
        "Schedule",
        "Open post",
    } <= found
    assert len(found) > 60


def test_each_begins_with_a_verb_of_the_table_or_names_a_thing() -> None:
    others = [(place, label) for place, label in list_labels() if not any(map(begins(label), VERBS))]
    assert [one for one in others if one[1] not in THINGS] == []


def test_no_verb_of_the_table_is_unused() -> None:
    labels = [label for _, label in list_labels()]
    assert [verb for verb in VERBS if not any(begins(label)(verb) for label in labels)] == []


def begins(label: str) -> Callable[[str], bool]:
    return lambda verb: re.match(rf"{re.escape(verb)}\b", label) is not None
