"""Who looks at a page: the session cookie, checked in the database at every script run."""

from html import escape
from urllib.parse import urlencode, urlsplit

import streamlit as st

from core import access
from core.access import Principal
from core.web.next_page import HOME, sign_in_address


def require_user() -> Principal:
    """First line of every page. Counts as activity; without a session the page ends here, with the way back in."""
    who = signed_in_user()
    if who is None:
        _signed_out()
        st.stop()
    access.stay_signed_in(_token())
    return who


def watching_user() -> Principal:
    """The same check for a part that refreshes itself: an unattended screen must still time out.

    Without a session the whole page is drawn again, as one that nobody is signed in to.
    """
    who = signed_in_user()
    if who is None:
        st.rerun()
    return who


def signed_in_user() -> Principal | None:
    return access.signed_in(_token())


def _signed_out() -> None:
    """As HTML, like the sign-out button: the server gives nobody who is signed out another part of the page."""
    back = sign_in_address(urlsplit(st.context.url or HOME).path, urlencode(st.query_params.to_dict(), True))
    st.html(
        '<p style="font-size:1.2rem">You are signed out: '
        f'<a href="{escape(back)}" target="_self" style="text-decoration:underline">sign in again</a></p>'
    )


def sign_out_button() -> None:
    """A real form: the cookie can only be removed by an answer of the server."""
    st.html(
        '<form method="post" action="/auth/logout">'
        '<button type="submit" style="all:unset;cursor:pointer;text-decoration:underline;'
        'text-underline-offset:3px;font-size:0.9rem">Sign out</button></form>'
    )


def _token() -> str:
    # A snapshot from when the tab connected: it may have been ended since, so only the database counts.
    return st.context.cookies.get(access.COOKIE, "")
