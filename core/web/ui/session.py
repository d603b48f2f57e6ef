"""Who looks at a page: the session cookie, checked in the database at every script run."""

from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Concatenate, ParamSpec
from urllib.parse import urlencode, urlsplit

import streamlit as st

from core import access
from core.access import Principal
from core.web import cookies
from core.web.next_page import HOME, sign_in_address

P = ParamSpec("P")


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


def acting(act: Callable[Concatenate[Principal, P], None]) -> Callable[P, None]:
    """Around a callback or a dialog: who acts is asked for each time, for a tab may have been open for days.

    Whoever is signed out by then does nothing: the page that is drawn next says so. Inside of it, verbs ask for the
    role that they have now.
    """

    @wraps(act)
    def asked(*args: P.args, **named: P.kwargs) -> None:
        who = signed_in_user()
        if who is None:
            st.rerun()  # of a callback the page is drawn anyway
        else:
            act(who, *args, **named)

    return asked


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
    return st.context.cookies.get(cookies.name(cookies.SESSION), "")
