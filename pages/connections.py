"""Connections: what is on, how each stands, and everything that can be done to one."""

import streamlit as st

from core import connections
from core.access import Principal
from core.connections import Board, ConnectionRow
from core.web import ui
from core.web.ui import actions, connection_row
from core.web.ui.banner import scheduler_banner, trouble_banner

REFRESH_S = 10
ROWS = 25
STATES = {"attention": "Needs attention", "on": "On", "off": "Off"}


def page(who: Principal) -> None:
    asked = actions.take_asked()
    board = connections.board(who)
    if not board.lines:
        nothing_connected(who)
    else:
        words, state = header(who)
        above = st.container()
        with st.container(horizontal_alignment="center"):
            place = page_number(board, words, state)
        with above:
            ui.say_unknown()
            rows(words, state, place)
    actions.show_asked(who, asked)


def header(who: Principal) -> tuple[str, str | None]:
    """Search words and state; both in the address."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header("Connections", anchor=False, width="stretch")
        words = st.text_input(
            "Search",
            key="q",
            type="search",
            placeholder="Search connections",
            label_visibility="collapsed",
            live=True,
            bind="query-params",
            width=240,
        )
        state = ui.segments_filter("State", "All connections", STATES, key="state")
        if not who.is_viewer and st.button(
            "Connect a tool", type="primary", icon=":material/add:", key="add"
        ):
            st.switch_page("pages/catalog.py")
    return words or "", state


def chosen(board: Board, words: str, state: str | None) -> list[ConnectionRow]:
    return [line for line in board.lines if is_in(line, state) and matches(line, words)]


def is_in(line: ConnectionRow, state: str | None) -> bool:
    if state == "attention":
        return line.standing.needs_attention
    return state is None or line.is_active == (state == "on")


def matches(line: ConnectionRow, words: str) -> bool:
    text = f"{line.name} {line.vendor} {line.category} {line.owner} {line.standing.word}".lower()
    return all(word in text for word in words.lower().split())


@st.fragment(run_every=REFRESH_S)
@ui.guarded()
def rows(words: str, state: str | None, place: int) -> None:
    """Drawn again every few seconds. The page number is outside: typing and turning pages must not be lost."""
    if actions.is_asked():
        st.rerun()
    who = ui.watching_user()
    ui.show_flash()
    board = connections.board(who)
    trouble_banner()
    scheduler_banner(board.scheduler)
    found = chosen(board, words, state)
    if not found:
        st.text("No connection matches. Clear the search or choose another state.")
        return
    with st.container(gap="xsmall"):
        for line in found[(place - 1) * ROWS : place * ROWS]:
            connection_row.line(who, line, board.at)
    ui.muted(f"{len(found):,} of {len(board.lines):,} connections, as of {board.at:%H:%M:%S} UTC.")


def page_number(board: Board, words: str, state: str | None) -> int:
    """Which 25 rows; the control is there when there are more."""
    count = -(-len(chosen(board, words, state)) // ROWS)
    asked = ui.number_asked("page", "page", "the first is")
    if asked is not None and not 0 < asked <= max(1, count):
        ui.unknown("page", str(asked), "the first is")
    if count < 2:
        return 1
    return st.pagination(count, key="page", bind="query-params")


def nothing_connected(who: Principal) -> None:
    st.header("Connections", anchor=False)
    sentence = "Choose a tool; the form tests it and shows the first requests before it sends."
    if who.is_viewer:
        sentence = "As soon as somebody shares a connection with you, it is here."
    with ui.empty_state("Nothing is connected yet", sentence):
        label, icon = "Open the catalog", ":material/apps:"
        if not who.is_viewer and st.button(label, type="primary", icon=icon, key="first"):
            st.switch_page("pages/catalog.py")


page(ui.require_user())
