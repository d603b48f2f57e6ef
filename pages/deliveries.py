"""Deliveries: where each record went, every attempt of it, and once more for what did not arrive."""

import streamlit as st

from core import health
from core.access import Principal
from core.delivery.history import search
from core.delivery.history.search import Filter, Page
from core.storage.models import State
from core.web import ui
from core.web.ui import delivery_drawer, replays
from core.web.ui.tables import STATE, deliveries_table

TIMES = {"24h": 24, "7d": 168, "30d": 720, "All": None}


def filters(who: Principal, known: list[tuple[str, str, str]]) -> Filter:
    """The title, and what to show: all of it in the address, so that a list can be shared."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Deliveries", anchor=False, width="stretch")
        record = st.text_input(
            "Record",
            key="record",
            type="search",
            placeholder="Id of a scan, case or alert",
            label_visibility="collapsed",
            bind="query-params",
            width=240,
            on_change=newest,
        )
        state = choose("State", "All states", "state", {state: STATE[state][0] for state in State}, 140)
        names = {found: name for found, name, _ in known}
        connection = choose("Connection", "All connections", "connection", names, 210)
        time = st.segmented_control(
            "Queued in the last",
            list(TIMES),
            default="All",
            required=True,
            label_visibility="collapsed",
            key="time",
            bind="query-params",
            on_change=newest,
        )
        replays.button(who)
    return Filter(state, connection, record or None, TIMES[time or "All"])


def choose(label: str, everything: str, key: str, options: dict[str, str], width: int) -> str | None:
    return st.selectbox(
        label,
        list(options),
        index=None,
        format_func=lambda value: options.get(value, value),
        placeholder=everything,
        label_visibility="collapsed",
        key=key,
        bind="query-params",
        width=width,
        on_change=newest,
    )


def newest() -> None:
    """Another filter: begin at the newest again."""
    st.query_params.pop("before", None)


def clear() -> None:
    for key in ("record", "state", "connection"):
        st.session_state[key] = None if key != "record" else ""
    st.session_state["time"] = "All"
    newest()


def listed(page: Page) -> None:
    def opened() -> None:
        delivery_drawer.ask(page.rows[st.session_state["deliveries_open"]["row"]].id)

    with st.container(border=True):
        deliveries_table(page.rows, "deliveries", opened)
        turn(page)


def turn(page: Page) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        shown = "1 delivery" if len(page.rows) == 1 else f"{len(page.rows)} deliveries"
        st.caption(f"{shown}, as of {page.at:%H:%M:%S} UTC.", width="stretch")
        if "before" in st.query_params:
            st.button("Newest", icon=":material/first_page:", key="newest", on_click=newest)
        if page.older is not None and st.button("Older", icon=":material/chevron_right:", key="older"):
            st.query_params["before"] = str(page.older)
            st.rerun()


def nothing(wanted: Filter) -> None:
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        if wanted == Filter():
            st.subheader("Nothing was sent yet", anchor=False, width="content")
            st.caption("Records go out with the next sync of a connection that wants them.", width="content")
            if st.button("See the connections", icon=":material/cable:", key="connections"):
                st.switch_page("pages/connections.py")
        else:
            st.subheader("No delivery matches these filters", anchor=False, width="content")
            st.caption("A record that no connection wants has no delivery.", width="content")
            st.button("Clear the filters", icon=":material/filter_alt_off:", key="clear", on_click=clear)
        st.space("small")


def begin() -> None:
    st.header("Deliveries", anchor=False)
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader("Nothing is connected yet", anchor=False, width="content")
        st.caption("Connect a tool; where each record went is listed here.", width="content")
        if st.button("Open the catalog", type="primary", icon=":material/apps:", key="begin"):
            st.switch_page("pages/catalog.py")
        st.space("small")


who = ui.require_user()
known = health.choices(who)
if not known:
    begin()
else:
    wanted = filters(who, known)
    given = st.query_params.get("before", "")
    page = search.search(who, wanted, before=int(given) if given.isascii() and given.isdigit() else None)
    replays.progress(who)
    if page.rows:
        listed(page)
    else:
        nothing(wanted)
    delivery = delivery_drawer.asked()
    if delivery is not None:
        delivery_drawer.show(who, delivery)
    else:
        replays.show_asked(who, wanted.connection)
