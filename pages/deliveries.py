"""Deliveries: where each record went, every attempt of it, and once more for what did not arrive."""

import streamlit as st

from core import health
from core.access import Principal
from core.delivery.history import search
from core.delivery.history.search import DeliveryFilter, DeliveryPage
from core.storage.models import State
from core.web import ui
from core.web.ui import delivery_drawer, replays
from core.web.ui.tables import STATE, deliveries_table

TIMES = {**ui.RANGES, "All": None}


def page(who: Principal) -> None:
    known = health.choices(who)
    if not known:
        return begin()
    wanted = filters(who, known)
    before = ui.number_asked("before", "delivery", "the newest are")
    delivery = ui.number_asked("delivery", "delivery", "only the list is")
    ui.say_unknown()
    found = search.search(who, wanted, before=before)
    replays.progress(who)
    if found.rows:
        listed(found)
    else:
        nothing(found, wanted, before)
    if delivery is not None:
        delivery_drawer.show(delivery)
    else:
        replays.show_asked(wanted.connection)


def filters(who: Principal, known: list[tuple[str, str, str]]) -> DeliveryFilter:
    """The title, and what to show: all of it in the address, so that a list can be shared."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Deliveries", anchor=False, width="stretch")
        record = st.text_input(
            "Record",
            key="record",
            type="search",
            placeholder="Subject, id or ticket",
            label_visibility="collapsed",
            bind="query-params",
            width=240,
            on_change=newest,
        )
        words = {state: STATE[state][0] for state in State}
        state = ui.select_filter("State", "All states", words, key="state", width=140, on_change=newest)
        names = {found: name for found, name, _ in known}
        connection = ui.select_filter(
            "Connection", "All connections", names, key="connection", width=210, on_change=newest
        )
        hours = ui.range_picker("Queued in the last", TIMES, key="time", default="All", on_change=newest)
        replays.button(who)
    return DeliveryFilter(state, connection, record or None, hours)


def newest() -> None:
    """Another filter: begin at the newest again."""
    st.query_params.pop("before", None)


def clear() -> None:
    st.session_state["record"] = ""
    for key in ("state", "connection", "time"):
        st.query_params.pop(key, None)
    newest()


def listed(found: DeliveryPage) -> None:
    with st.container(border=True):
        deliveries_table(found.rows, "/deliveries", found.at)
        turn(found)


def turn(found: DeliveryPage) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        shown = "1 delivery" if len(found.rows) == 1 else f"{len(found.rows)} deliveries"
        st.caption(f"{shown}, as of {found.at:%H:%M:%S} UTC.", width="stretch")
        if "before" in st.query_params:
            st.button("Newest", icon=":material/first_page:", key="newest", on_click=newest)
        if found.older is not None and st.button("Older", icon=":material/chevron_right:", key="older"):
            st.query_params["before"] = str(found.older)
            st.rerun()


def nothing(found: DeliveryPage, wanted: DeliveryFilter, before: int | None) -> None:
    if found.older is not None:
        sentence = f"Not among {search.LOOKED_AT:,} deliveries. Older ones may have it."
        with ui.empty_state("No delivery has these words", sentence):
            turn(found)
    elif before is not None:
        with ui.empty_state("Nothing older", "No delivery before these fits."):
            st.button("Newest", icon=":material/first_page:", key="newest", on_click=newest)
    elif wanted == DeliveryFilter():
        sentence = "Records go out with the next sync of a connection that wants them."
        with ui.empty_state("Nothing was sent yet", sentence):
            if st.button("See the connections", icon=":material/cable:", key="connections"):
                st.switch_page("pages/connections.py")
    else:
        sentence = "A record that no connection wants has no delivery."
        with ui.empty_state("No delivery matches these filters", sentence):
            st.button("Clear the filters", icon=":material/filter_alt_off:", key="clear", on_click=clear)


def begin() -> None:
    st.header("Deliveries", anchor=False)
    sentence = "Connect a tool; where each record went is listed here."
    with ui.empty_state("Nothing is connected yet", sentence):
        if st.button("Open the catalog", type="primary", icon=":material/apps:", key="begin"):
            st.switch_page("pages/catalog.py")


page(ui.require_user())
