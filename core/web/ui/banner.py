"""What every page must say when it is so: nothing is being sent, because the hub itself cannot."""

import streamlit as st

from core.delivery import heartbeat
from core.health import duration, self_check
from core.records import source
from core.web.ui.markup import escaped


def scheduler_banner(heartbeat_age_s: float | None) -> None:
    if not heartbeat.is_silent(heartbeat_age_s):
        return
    title = "The scheduler has not run yet"
    if heartbeat_age_s is not None:
        title = f"The scheduler has been silent for {duration(heartbeat_age_s)}"
    body = "Nothing is sent until it runs. Start it with `hub scheduler`, or everything with `hub up`."
    st.warning(body, title=title, icon=":material/timer_off:")


def trouble_banner() -> None:
    """The disk, the key ring, the database, the source: nothing that a connection could be blamed for."""
    for found in self_check.standing():
        st.error(escaped(found.sentence), title=found.title, icon=":material/error:")


def source_line() -> None:
    """How the FootprintIQ database is read, where there is one; what is wrong with it stands above already."""
    found = source.state()
    if found and not found.error:
        st.caption(escaped(found.sentence))
