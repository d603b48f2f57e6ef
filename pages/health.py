"""Health: is everything arriving, and if not, what is not, since when, and what to do."""

import streamlit as st

from core import health, ui
from core.health import Overview
from core.models import Category
from core.ui import charts, words
from core.ui.cards import cards
from core.ui.tables import runs_table

RANGES = {"24h": 24, "7d": 168, "30d": 720}
CATEGORIES = {Category.SIEM: "SIEM", Category.TICKETING: "Ticketing", Category.COMMUNICATION: "Communication"}
REFRESH_S = 5
SILENT_S = 15  # the scheduler beats every 5 s
NEEDS_YOU_ROWS = 4


def filters(known: list[tuple[str, str, str]]) -> tuple[int, str | None, str | None]:
    """The title, and what to show: hours, category, connection. In the address, so a view can be shared."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Health", anchor=False, width="stretch")
        category = choose("Category", "All categories", "category", dict(CATEGORIES), 160)
        names = {found: name for found, name, of in known if category in (None, of)}
        connection = choose("Connection", "All connections", "connection", names, 230)
        shown = st.segmented_control(
            "Range",
            list(RANGES),
            default="24h",
            required=True,
            label_visibility="collapsed",
            key="range",
            bind="query-params",
        )
    return RANGES[shown or "24h"], category, connection


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
    )


@st.fragment(run_every=REFRESH_S)
def live(hours: int, category: str | None, connection: str | None) -> None:
    """All but the filters: drawn again every few seconds, so nothing to type into is in here."""
    view = health.overview(ui.watching_user(), hours, category, connection)
    scheduler_banner(view)
    if not view.connections:
        st.text("No connection matches these filters. Clear one of them to see more.")
        return
    cards(view)
    left, right = st.columns([2, 1], gap="small")
    with left.container(border=True, height="stretch"):
        failures(view)
    with right.container(border=True, height="stretch"):
        needs_you(view)
    with st.container(border=True):
        connections(view)
    with st.container(border=True):
        runs(view)
    beat = f"{health.duration(view.heartbeat_age_s)} ago" if view.heartbeat_age_s is not None else "never"
    st.caption(
        f"As of {view.at:%H:%M:%S} UTC, again every {REFRESH_S} s. Last sign of the scheduler: {beat}."
    )


def scheduler_banner(view: Overview) -> None:
    if view.heartbeat_age_s is None:
        title = "The scheduler has not run yet"
    elif view.heartbeat_age_s > SILENT_S:
        title = f"The scheduler has been silent for {health.duration(view.heartbeat_age_s)}"
    else:
        return
    body = "Nothing is sent until it runs. Start it with `hub scheduler`, or everything with `hub up`."
    st.warning(body, title=title, icon=":material/timer_off:")


def failures(view: Overview) -> None:
    st.subheader("Failures over time", anchor=False)
    if not any(trouble.failed_runs or trouble.dead for trouble in view.timeline):
        st.caption(f"No run failed and no record was refused in the last {words.span(view.hours)}.")
        return
    st.caption(f"Failed runs and undeliverable records per {words.bucket(view.bucket_h)}, by connection")
    st.altair_chart(charts.failures(view, ui.palette()), key="failures", alt=charts.failures_alt(view))


def needs_you(view: Overview) -> None:
    st.subheader("Needs you", anchor=False)
    if not view.needs_you:
        st.caption("Nothing. Every connection runs as it should.")
    for strip in view.needs_you[:NEEDS_YOU_ROWS]:
        word = strip.standing.word
        with st.container(gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.text(strip.name, width="stretch")
                st.badge(word, color=ui.STATE_COLOR[word], icon=ui.STATE_ICON[word])
            st.text(strip.standing.sentence)  # as written: Markdown would make links of what a vendor said
    left_out = len(view.needs_you) - NEEDS_YOU_ROWS
    if left_out > 0:
        st.caption(f"And {left_out} more: they are first in the list below.")


def connections(view: Overview) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Connections", anchor=False, width="stretch")
        st.caption("Last 60 runs, newest at the right", width="content")
    st.altair_chart(charts.strips(view, ui.palette()), key="strips", alt=charts.strips_alt(view))
    if view.connections > len(view.strips):
        st.caption(f"The worst {len(view.strips)} of {view.connections:,}. Filter to see the others.")


def runs(view: Overview) -> None:
    recent, failed = st.tabs(["Recent runs", "Recent failures"])
    with recent:
        if view.recent_runs:
            runs_table(view.recent_runs, "runs", "The newest runs")
        else:
            st.caption(f"No run had anything to send in the last {words.span(view.hours)}.")
    with failed:
        if view.recent_failures:
            runs_table(view.recent_failures, "failed_runs", "The newest runs that failed")
        else:
            st.caption(f"No run failed in the last {words.span(view.hours)}.")


@st.fragment(run_every=REFRESH_S)
def nothing_connected() -> None:
    """Two ways on; the page goes over to the real one by itself when the first connection is there."""
    if health.choices(ui.watching_user()):
        st.rerun()
    st.header("Health", anchor=False)
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader("Nothing is connected yet", anchor=False, text_alignment="center", width="content")
        st.caption("Two ways to begin, both in a terminal on the hub's machine:", text_alignment="center")
        with st.container(horizontal=True, horizontal_alignment="center", gap="large"):
            way("Look around first", "Local stand-ins of the tools, with sample records.", "make demo")
            way("Connect a tool", "Asks for its address and credentials, and tests them.", "hub connect")
        st.space("small")


def way(title: str, explained: str, command: str) -> None:
    with st.container(width=340, gap="xsmall"):
        st.markdown(f"**{title}**")
        st.caption(explained)
        st.code(command, language=None)


who = ui.require_user()
known = health.choices(who)
if known:
    live(*filters(known))
else:
    nothing_connected()
