"""What the hub refuses becomes one sentence with a way on: on the page, or as a toast after an action."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.http.errors import DeliveryError
from core.platform.errors import Gone, HubError, NotFound
from core.web.ui.markup import escaped

_FLASH = "flash"


@contextmanager
def guarded() -> Iterator[None]:
    """Around a page, a dialog or a fragment (`with`, or as a decorator): no refusal becomes a stack."""
    try:
        yield
    except NotFound as error:
        absent(error)
    except (HubError, DeliveryError) as error:
        st.error(escaped(error.message), icon=":material/error:")


@contextmanager
def refreshing() -> Iterator[None]:
    """Around a fragment: what is not there any more is for the whole page to say, once, instead of all its parts."""
    with guarded():
        try:
            yield
        except NotFound:
            st.rerun()


def absent(error: NotFound) -> None:
    """What the address or the button meant is not there, or is somebody else's: this and nothing else is said."""
    title, sentence = "Not found", "There is nothing of that name or id here, or it is not yours to see."
    if isinstance(error, Gone):
        title, sentence = "This was deleted", "Somebody deleted it, perhaps in another tab."
    st.session_state.pop(_FLASH, None)
    with st.container(border=True, gap="small"):
        st.subheader(title, anchor=False)
        st.text(sentence)
        st.page_link("pages/connections.py", label="Back to connections", icon=":material/arrow_back:")


@contextmanager
def doing(done: str = "") -> Iterator[None]:
    """Around a verb in a callback: says `done`, or why not, when the page is drawn again."""
    try:
        yield
    except NotFound:
        flash("It is not there any more: somebody deleted it, perhaps in another tab.", failed=True)
    except (HubError, DeliveryError) as error:
        flash(error.message, failed=True)
    else:
        if done:
            flash(done)


def flash(sentence: str, *, failed: bool = False) -> None:
    """Said once, on whatever is drawn next: this page again, or the one that follows."""
    st.session_state[_FLASH] = (sentence, failed)


def show_flash() -> None:
    """A failure stays until it is closed; a success goes by itself."""
    found = st.session_state.pop(_FLASH, None)
    if found is None:
        return
    sentence, failed = found
    icon = ":material/error:" if failed else ":material/check_circle:"
    st.toast(escaped(sentence), icon=icon, duration="infinite" if failed else "short")
