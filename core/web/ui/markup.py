"""Words from outside (names, a vendor's answers) inside labels, which Streamlit reads as Markdown."""

import re
from typing import Literal

import streamlit as st

#: invisible, and no part of any link, e-mail address, emoji code or directive
_JOINER = "\u2060"
#: every ASCII mark, but those that mean nothing where they stand in a sentence
_MARKS = re.compile(r"""[,'"();?/%]|(?<=\w)-(?=\w)|(?<=[^\W\d])\.(?=\s|$)|([!-/:-@\[-`{-~])""")


def escaped(text: str) -> str:
    """Markdown that shows `text` as it was written.

    A backslash alone does not do: Streamlit looks for bare links, `:emoji:` and arrows after Markdown has
    taken the backslashes away, so each mark is also parted from what stands before it.
    """
    one_line = " ".join(text.split())
    return _MARKS.sub(lambda found: f"{_JOINER}\\{found[1]}" if found[1] else found[0], one_line)


def muted(markdown: str, width: Literal["stretch", "content"] = "stretch") -> None:
    """An aside in small. `st.caption` fades the text to a contrast below WCAG's 4.5 to 1."""
    st.markdown(f":small[:gray[{markdown}]]", width=width)
