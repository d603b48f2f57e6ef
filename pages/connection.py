"""Connection: everything about one. How it stands, its runs, its deliveries, its settings."""

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from core import access, connections, health
from core.access import Principal
from core.connections import ConnectionView
from core.delivery import history
from core.delivery.history import search
from core.delivery.history.search import DeliveryFilter
from core.health import Overview, Strip
from core.storage.models import State
from core.web import ui
from core.web.ui import actions, charts, delivery_drawer, details, notices, words
from core.web.ui.banner import scheduler_banner, trouble_banner
from core.web.ui.cards import connection_cards
from core.web.ui.heartbeats import heartbeats
from core.web.ui.runs import logs_table
from core.web.ui.tables import STATE, deliveries_table

REFRESH_S = 5


def page(who: Principal) -> None:
    ref = st.query_params.get("id", "")
    if not ref:
        return which()
    view = connections.find(who, ref)
    top(view.id)
    tabs = st.tabs(["Overview", "Runs", "Deliveries", "Settings"], key="tab", bind="query-params")
    drawn: tuple[Callable[[], None], ...] = (
        lambda: overview(who, view),
        lambda: runs(who, view.id),
        lambda: sent(who, view),
        lambda: settings(who, view),
    )
    for tab, draw in zip(tabs, drawn, strict=True):
        if tab.open:
            with tab:
                draw()
    delivery = ui.number_asked("delivery", "delivery", "only the connection is")
    ui.say_unknown()
    if delivery is not None:
        delivery_drawer.show(delivery)
    actions.show_asked(who)


@st.fragment(run_every=REFRESH_S)
@ui.refreshing()
def top(ref: str) -> None:
    """Its name, how it stands, and what can be done; drawn again every few seconds."""
    who = ui.watching_user()
    view, strip = connections.find(who, ref), standing(ref)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(ui.escaped(view.name), anchor=False, width="content")
        word = strip.standing.word
        st.badge(word, color=ui.STATE_COLOR[word], icon=ui.STATE_ICON[word])
        st.space("stretch")
        if access.may_change(who, view.owner):
            for action in (actions.SYNC, actions.TEST):
                icon = actions.MENU_ICON[action]
                if st.button(action, key=action, icon=icon, disabled=not view.is_active):
                    actions.act(who, action, view.id)
            actions.menu(who, view.id, view.is_active)
    st.text(strip.standing.sentence)
    owner = "" if view.owner == who.email else f" · {view.owner}"
    st.caption(ui.escaped(f"{view.vendor} · {details.category(view)}{owner}"))
    notices.held_banner(who, view, may_change=access.may_change(who, view.owner))
    notices.backlog_banner(who, view, may_change=access.may_change(who, view.owner))
    notices.failing_banner(who, view, datetime.now(UTC))


def standing(ref: str) -> Strip:
    (strip,) = health.overview(ui.watching_user(), 24, connection=ref).strips
    return strip


def overview(who: Principal, view: ConnectionView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            if access.may_change(who, view.owner):
                notices.left_out_line(who, view)
        hours = ui.range_picker("Range", ui.RANGES, key="range", default="24h")
    figures(view.id, hours)


@st.fragment(run_every=REFRESH_S)
@ui.refreshing()
def figures(ref: str, hours: int) -> None:
    who = ui.watching_user()
    view, found = connections.find(who, ref), health.overview(who, hours, connection=ref)
    trouble_banner()
    scheduler_banner(found.scheduler)
    connection_cards(found, view)
    left, right = st.columns([2, 1], gap="small")
    with left.container(border=True, height="stretch"):
        failures(found)
    with right.container(border=True, height="stretch"):
        st.subheader("What comes next", anchor=False)
        details.next_steps(view, search.upcoming(who, ref), found.at, found.strips[0].facts.backlog)
    with st.container(border=True):
        st.subheader("Last 60 runs", anchor=False)
        heartbeats(found)


def failures(found: Overview) -> None:
    st.subheader("Failures over time", anchor=False)
    if any(trouble.bad_runs or trouble.dead for trouble in found.timeline):
        st.caption(f"Failed and blocked runs and undeliverable records per {words.bucket(found.bucket_h)}")
        st.altair_chart(charts.failures(found, ui.palette()), key="failures", alt=charts.failures_alt(found))
    else:
        st.caption(
            f"No run failed or was blocked and no record was refused in the last {words.span(found.hours)}."
        )


def runs(who: Principal, ref: str) -> None:
    before = st.session_state.get("runs_before")
    found = history.logs(who, ref, before=before)
    if not found:
        st.caption("No run had anything to send yet. A run that finds nothing to do leaves no line here.")
        return
    logs_table(found, datetime.now(UTC), f"{len(found)} runs, newest first")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if before is not None:
            st.button("Newest", key="runs_newest", on_click=st.session_state.pop, args=("runs_before", None))
        if len(found) == search.LIST_ROWS:
            st.button("Older", key="runs_older", on_click=older_runs, args=(found[-1].id,))


def older_runs(last: int) -> None:
    st.session_state["runs_before"] = last


def sent(who: Principal, view: ConnectionView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        names = {state: STATE[state][0] for state in State}
        state = ui.select_filter("State", "All states", names, key="state", width=160)
        st.space("stretch")
        st.page_link(
            "pages/deliveries.py",
            label="Search in all of them",
            icon=":material/outbox:",
            query_params={"connection": view.id},
        )
    found = search.search(who, DeliveryFilter(state, view.id))
    if not found.rows:
        st.caption("No delivery here. Records go out with the next sync that finds some it wants.")
        return
    deliveries_table(found.rows, "/connection", found.at, with_connection=False)


def settings(who: Principal, view: ConnectionView) -> None:
    if access.may_change(who, view.owner):
        with st.container(horizontal=True, gap="small"):
            for action in (actions.EDIT, actions.SECRETS, actions.DELETE):
                if st.button(action, key=f"settings_{action}", icon=actions.MENU_ICON[action]):
                    actions.act(who, action, view.id)
    left, right = st.columns(2, gap="small")
    with left.container(border=True, height="stretch"):
        st.subheader("Where it sends", anchor=False)
        details.config(view)
    with right.container(border=True, height="stretch"):
        st.subheader("What and when", anchor=False)
        details.options(view, connections.name_of(who, str(view.options.get("notify_via") or "")))


def which() -> None:
    st.header("Connection", anchor=False)
    with ui.empty_state("Which one?", "Open a connection from the list."):
        st.page_link("pages/connections.py", label="See the connections", icon=":material/cable:")


page(ui.require_user())
