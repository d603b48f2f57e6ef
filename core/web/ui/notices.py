"""What a connection's page says before anything else: what is held for a person, and how failing will end."""

from datetime import datetime

import streamlit as st

from core import connections
from core.access import Principal
from core.connections import ConnectionView
from core.delivery import history
from core.delivery.auto_disable import NOTICE_DAYS, next_day
from core.health import Status, duration
from core.web.ui import actions
from core.web.ui.errors import doing
from core.web.ui.markup import escaped
from core.web.ui.words import capital

_DAY_S = 86_400


def held_banner(who: Principal, view: ConnectionView, *, may_change: bool) -> None:
    """With the two ways on. Nothing goes out until one of them is pressed."""
    if not view.held:
        return
    with st.container(border=True, gap="small", key="held"):
        st.markdown(":material/pan_tool: **Tickets wait for your word**")
        st.text(
            "One sync would have created them all. Nothing is created until you say so; "
            "cases that come a few at a time go out as ever."
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if may_change:
                _decide(who, view)
            st.page_link(
                "pages/deliveries.py",
                label="See which",
                icon=":material/list:",
                query_params={"connection": view.id, "state": "held"},
            )


def backlog_banner(who: Principal, view: ConnectionView, *, may_change: bool) -> None:
    """What it wants and has not taken yet, where that is more than one sync takes; with the way to send it at once."""
    if not view.is_active or view.standing.word is not Status.CATCHING_UP or not view.backlog:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", border=True, key="backlog"):
        st.text(
            f"{capital(view.unsent)} records wait. They go out bit by bit, or all at once.", width="stretch"
        )
        if may_change and st.button(
            actions.SEND_ALL, type="primary", key="send_all", icon=actions.MENU_ICON[actions.SEND_ALL]
        ):
            actions.act(who, actions.SEND_ALL, view.id)


def left_out_line(who: Principal, view: ConnectionView) -> None:
    """What it does not send, and why; nothing where it sends everything."""
    sentence = connections.left_out(who, view.id).sentence
    if sentence:
        st.caption(escaped(sentence))


def _decide(who: Principal, view: ConnectionView) -> None:
    release = st.button(f"Create {view.held:,}", type="primary", key="release", icon=":material/send:")
    if st.button("Discard", key="discard", help="Asks first, and says what is lost."):
        actions.act(who, actions.DISCARD, view.id)
    if release:
        with doing("They are sent."):
            history.release(who, view.id)
        st.rerun()


def failing_banner(who: Principal, view: ConnectionView, now: datetime) -> None:
    """From the first day of failing on: for how long, and who was told. Its sentence says how it ends."""
    if view.failing_since is None:
        return
    failing_s = (now - view.failing_since).total_seconds()
    if failing_s < NOTICE_DAYS[0] * _DAY_S and view.is_active:
        return
    st.warning(
        _told(view, connections.name_of(who, str(view.options.get("notify_via") or ""))),
        title=f"Nothing was delivered for {duration(failing_s)}",
        icon=":material/notification_important:",
    )


def _told(view: ConnectionView, channel: str | None) -> str:
    if channel is None:
        return "Nobody is told about it but these pages: choose a channel under Edit, More options."
    name = escaped(f"“{channel}”")
    if not view.told_day:
        return f"{name} could not be told yet: it fails itself, or is switched off."
    if not view.is_active:
        return f"{name} was told."
    following = next_day(view.told_day)
    return f"{name} was told on day {view.told_day}" + (
        f", and is again on day {following}." if following else "."
    )
