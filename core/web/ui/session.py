"""Who looks at a page: the session cookie, checked in the database at every script run."""

import streamlit as st

from core import access
from core.access import Principal
from core.web import cookies


def require_user() -> Principal:
    """First line of every page. Counts as activity; without a session the page stops here."""
    who = watching_user()
    access.stay_signed_in(_token())
    return who


def watching_user() -> Principal:
    """The same check for a part that refreshes itself: an unattended screen must still time out."""
    who = access.signed_in(_token())
    if who is None:
        st.subheader("You are signed out", anchor=False)
        st.text("Your session has ended, or somebody ended it. Nothing on the hub has changed.")
        st.link_button("Sign in", "/auth/login", type="primary", icon=":material/login:")
        st.stop()
    return who


def sign_out_button() -> None:
    """A real form: the cookie can only be removed by an answer of the server."""
    st.html(
        '<form method="post" action="/auth/logout">'
        '<button type="submit" style="all:unset;cursor:pointer;text-decoration:underline;'
        'text-underline-offset:3px;font-size:0.9rem">Sign out</button></form>'
    )


def _token() -> str:
    # A snapshot from when the tab connected: it may have been ended since, so only the database counts.
    return st.context.cookies.get(cookies.name(cookies.SESSION), "")
