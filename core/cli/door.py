"""The terminal's own verbs. Sentences come from rooms below, where nobody knows who reads them, and are written for
the pages, which have buttons; here each becomes the command that does the same. JSON stays as it is.
"""

_COMMANDS = {
    "press Test": "run `hub test`",
    "Press Test": "Run `hub test`",
    "Test the connection and correct": "Run `hub test` and correct",
    "then switch it on.": "then run `hub enable`.",
    "until somebody switches it on.": "until somebody runs `hub enable`.",
    "then enable the connection.": "then run `hub enable`.",
    "Enable it to send": "Run `hub enable` to send",
    "enable it to send": "run `hub enable` to send",
    "Enable it, then sync.": "Run `hub enable`, then `hub sync`.",
    "Enable it with backlog=send": "Run `hub enable --backlog send`",
    "or backlog=skip to drop": "or `hub enable --backlog skip` to drop",
    "Release or discard them.": "Run `hub release` or `hub discard`.",
    "release or discard them.": "run `hub release` or `hub discard`.",
    "Release them, or discard them.": "Run `hub release` or `hub discard`.",
    "until you release them": "until you run `hub release`",
    "then replay.": "then run `hub replay`.",
}


def at_terminal(text: str) -> str:
    """A sentence with the commands that stand here in place of the pages' buttons."""
    for button, command in _COMMANDS.items():
        text = text.replace(button, command)
    return text


def before_saving(text: str) -> str:
    """The same while connecting, where there is no connection yet that could be tested by its name."""
    return text.replace("press Test", "run this again")
