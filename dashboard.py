"""Navigation: the frame that every page is drawn in."""

from pathlib import Path
from typing import Literal

import streamlit as st

from core.web import ui
from core.web.ui import links

HERE = Path(__file__).parent / "pages"

st.set_page_config(
    page_title="FootprintIQ Hub", page_icon=ui.icon(), layout="wide", initial_sidebar_state=220
)
if ui.is_dark():
    st.html(ui.DARK_STYLE)
st.logo(ui.logo("#E4E9F0" if ui.is_dark() else "#1B2430"), size="large")

PAGES = [
    st.Page(
        HERE / "health.py",
        title="Health",
        icon=":material/monitor_heart:",
        default=True,
        help="Is everything arriving? What is not, since when, and what to do.",
    ),
    st.Page(
        HERE / "connections.py",
        title="Connections",
        icon=":material/cable:",
        help="What is on and how each stands; sync, test, edit, pause, delete.",
    ),
    st.Page(
        HERE / "deliveries.py",
        title="Deliveries",
        icon=":material/outbox:",
        help="Where each record went: every attempt, request and answer.",
    ),
    st.Page(
        HERE / "catalog.py",
        title="Catalog",
        icon=":material/apps:",
        help="What can be connected, what it needs and what it gets.",
    ),
    st.Page(HERE / "connect.py", title="Connect", visibility="hidden"),
    st.Page(HERE / "connection.py", title="Connection", visibility="hidden"),
    # where the links in tickets, events and messages lead
    st.Page(HERE / "records.py", title="Record", visibility="hidden"),
]
with ui.guarded():
    position: Literal["sidebar", "hidden"] = "sidebar" if ui.signed_in_user() else "hidden"
    page = st.navigation(PAGES, position=position)
    who = ui.require_user()
    with st.sidebar, st.container(gap="xxsmall"):
        st.text(who.email)
        ui.muted(who.role.capitalize())
        ui.sign_out_button()
        links.follow()
    page.run()
ui.show_flash()  # after the page: one that is not there says only that
