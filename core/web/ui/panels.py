"""The panel on a page that has nothing to show: what is missing, and the way on."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.web.ui.markup import muted


@contextmanager
def empty_state(title: str, sentence: str) -> Iterator[None]:
    """Draw the panel; what is drawn inside the block, such as a button, is the way on."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader(title, anchor=False, width="content", text_alignment="center")
        muted(sentence, width="content")
        yield
        st.space("small")
