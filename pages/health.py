"""Health: is everything arriving, and if not, what is not, since when, and what to do."""

import streamlit as st

from core import health
from core.access import Principal
from core.health import Overview, Status, Strip
from core.storage.models import Category
from core.web import ui
from core.web.ui import charts, words
from core.web.ui.banner import scheduler_banner, source_line, trouble_banner, workers_line
from core.web.ui.cards import cards
from core.web.ui.heartbeats import heartbeats
from core.web.ui.runs import runs_table

CATEGORIES = {Category.SIEM: "SIEM", Category.TICKETING: "Ticketing", Category.COMMUNICATION: "Communication"}
REFRESH_S = 5
NEEDS_YOU_ROWS, MOST_ROWS = 4, 24
#: on a phone columns stand below each other, and who needs somebody comes first
PHONE_STYLE = """<style>@media (max-width: 640px) {
.st-key-trouble > * > .stHorizontalBlock {flex-wrap: wrap-reverse}
}</style>"""


def page(who: Principal) -> None:
    known = health.choices(who)
    if known:
        st.html(PHONE_STYLE)
        live(*filters(known))
    else:
        nothing_connected()


def filters(known: list[tuple[str, str, str]]) -> tuple[int, str | None, str | None]:
    """The title, and what to show: hours, category, connection. In the address, so a view can be shared."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Health", anchor=False, width="stretch")
        category = ui.select_filter("Category", "All categories", CATEGORIES, key="category", width=160)
        names = {found: name for found, name, of in known if category in (None, of)}
        connection = ui.select_filter("Connection", "All connections", names, key="connection", width=230)
        hours = ui.range_picker("Range", ui.RANGES, key="range", default="24h")
    ui.say_unknown()
    return hours, category, connection


@st.fragment(run_every=REFRESH_S)
@ui.guarded()
def live(hours: int, category: str | None, connection: str | None) -> None:
    """All but the filters: drawn again every few seconds, so nothing to type into is in here."""
    view = health.overview(ui.watching_user(), hours, category, connection)
    trouble_banner()
    scheduler_banner(view.scheduler)
    if not view.connections:
        st.text("No connection matches these filters. Clear one of them to see more.")
        return
    cards(view)
    with st.container(key="trouble"):
        left, right = st.columns([2, 1], gap="small")
    with left.container(border=True, height="stretch"):
        failures(view)
    with right.container(border=True, height="stretch", key="needs_you"):
        needs_you(view)
    with st.container(border=True):
        connections(view)
    with st.container(border=True):
        runs(view)
    st.caption(f"As of {view.at:%H:%M:%S} UTC, again every {REFRESH_S} s. {view.scheduler.sentence}.")
    workers_line(view.workers)
    source_line()


def failures(view: Overview) -> None:
    st.subheader("Failures over time", anchor=False)
    if not any(trouble.bad_runs or trouble.dead for trouble in view.timeline):
        st.caption(
            f"No run failed or was blocked and no record was refused in the last {words.span(view.hours)}."
        )
        return
    st.caption(
        f"Failed and blocked runs and undeliverable records per {words.bucket(view.bucket_h)}, by connection"
    )
    st.altair_chart(charts.failures(view, ui.palette()), key="failures", alt=charts.failures_alt(view))


def needs_you(view: Overview) -> None:
    st.subheader("Needs you", anchor=False)
    if not view.needs_you and not view.scheduler.is_silent:
        st.caption("Nothing. Every connection runs as it should.")
    elif not view.needs_you:
        st.caption(f"{view.scheduler.sentence}. Nothing was due since.")
    for strip in view.needs_you[:NEEDS_YOU_ROWS]:
        needy(strip)
    more = view.needs_you[NEEDS_YOU_ROWS:]
    if more:
        with st.expander(f"And {len(more)} more", key="more_need_you"):
            for strip in more[:MOST_ROWS]:
                needy(strip)
            if len(more) > MOST_ROWS:
                query = {"state": "attention"}
                st.page_link("pages/connections.py", label="All of them", query_params=query)


def needy(strip: Strip) -> None:
    """What is wrong, as it was written (Markdown would make links of what a vendor said), and the way on."""
    word = strip.standing.word
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(strip.name, width="stretch")
            st.badge(word, color=ui.STATE_COLOR[word], icon=ui.STATE_ICON[word])
            label = "Decide" if strip.facts.held else "Fix" if word is Status.NEEDS_YOU else "Look"
            if st.button(label, key=f"see_{strip.connection_id}", help=f"Open {ui.escaped(strip.name)}"):
                st.switch_page("pages/connection.py", query_params={"id": strip.connection_id})
        st.text(strip.standing.sentence)


def connections(view: Overview) -> None:
    st.subheader("Connections", anchor=False)
    last, over_time = st.tabs(["Last 60 runs", "Heat map"], key="shown", on_change="rerun")
    if last.open:
        with last:
            heartbeats(view)
            left_out(view, len(view.strips))
    if over_time.open:
        with over_time:
            heat(view)


def heat(view: Overview) -> None:
    if not view.heat:
        st.caption(f"No connection ran in the last {words.span(view.hours)}.")
        return
    st.caption(f"Share of runs that did not deliver everything, per {words.bucket(view.bucket_h)}")
    st.altair_chart(charts.heat(view, ui.palette()), key="heat", alt=charts.heat_alt(view))
    left_out(view, len(view.heat))


def left_out(view: Overview, shown: int) -> None:
    if view.connections > shown:
        st.caption(f"The worst {shown} of {view.connections:,}. Filter to see the others.")


def runs(view: Overview) -> None:
    recent, failed = st.tabs(["Recent runs", "Recent failures"], key="listed", on_change="rerun")
    if recent.open:
        with recent:
            if view.recent_runs:
                runs_table(view.recent_runs, view.at, "The newest runs")
            else:
                st.caption(f"No run had anything to send in the last {words.span(view.hours)}.")
    if failed.open:
        with failed:
            if view.recent_failures:
                runs_table(view.recent_failures, view.at, "The newest runs that failed")
            else:
                st.caption(f"No run failed in the last {words.span(view.hours)}.")


@st.fragment(run_every=REFRESH_S)
@ui.guarded()
def nothing_connected() -> None:
    """Two ways on; the page goes over to the real one by itself when the first connection is there."""
    if health.choices(ui.watching_user()):
        st.rerun()
    st.header("Health", anchor=False)
    sentence = "Connect a tool you have, or look around with local stand-ins first."
    with (
        ui.empty_state("Nothing is connected yet", sentence),
        st.container(horizontal=True, horizontal_alignment="center", gap="large"),
    ):
        with st.container(width=340, gap="xsmall"):
            st.markdown("**Connect a tool**")
            st.caption("Asks for its address and credentials, tests them, and shows the first requests.")
            if st.button("Open the catalog", type="primary", icon=":material/apps:", key="begin"):
                st.switch_page("pages/catalog.py")
        with st.container(width=340, gap="xsmall"):
            st.markdown("**Look around first**")
            st.caption("Sample records and four stand-ins, with one command on the hub's machine:")
            st.code("make demo", language=None)


page(ui.require_user())
