"""Words from outside (names, a vendor's answers) inside labels, which Streamlit reads as Markdown."""

import re
from typing import Literal

import streamlit as st

#: every ASCII mark, but those that mean nothing where they stand in a sentence
_MARKS = re.compile(r"""[,'"();?%]|(?<=\w)-(?=\w)|(?<=[^\W\d])\.(?=\s|$)|([!-/:-@\[-`{-~])""")
#: Inside these, Streamlit makes a link, an arrow or a picture out of what it has read as plain text already.
_READ_TWICE = re.compile(
    r"""(?<=www)(?=\.) | (?<=http)(?=://) | (?<=https)(?=://) | (?<=[\w.+-])(?=@)
    | (?<=[<>~=-])(?=[<>~=-]) | :[\w+/-]+(?=:)""",
    re.IGNORECASE | re.VERBOSE,
)
#: Words in small, but none: it parts what stands on its two sides, and nothing of it is shown or copied.
PART = ":small[]"


def escaped(text: str) -> str:
    """Markdown that shows `text` as it was written, and is copied as it was written.

    A backslash alone does not do: Streamlit looks for bare links, `:emoji:` and arrows after Markdown has
    taken the backslashes away, so these are also parted in the middle.
    """
    one_line = " ".join(text.split())
    ends = [found.end() for found in _READ_TWICE.finditer(one_line)]
    pieces = [one_line[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True)]
    return PART.join(
        _MARKS.sub(lambda found: f"\\{found[1]}" if found[1] else found[0], piece) for piece in pieces
    )


def muted(markdown: str, width: Literal["stretch", "content"] = "stretch") -> None:
    """An aside in small. `st.caption` fades the text to a contrast below WCAG's 4.5 to 1."""
    st.markdown(f":small[:gray[{markdown}]]", width=width)
