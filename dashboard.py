"""Navigation: the frame that every page is drawn in."""

from pathlib import Path

import streamlit as st

from core import ui

PAGES = Path(__file__).parent / "pages"

st.set_page_config(
    page_title="FootprintIQ Hub", page_icon=ui.icon(), layout="wide", initial_sidebar_state=220
)
st.logo(ui.logo("#E4E9F0" if ui.is_dark() else "#1B2430"), size="large")

page = st.navigation(
    {
        "Overview": [
            st.Page(
                PAGES / "health.py",
                title="Health",
                icon=":material/monitor_heart:",
                default=True,
                help="Is everything arriving? What is not, since when, and what to do.",
            )
        ]
    }
)
who = ui.require_user()
with st.sidebar:
    st.caption(who.role.capitalize())
    st.text(who.email)
    ui.sign_out_button()
page.run()
