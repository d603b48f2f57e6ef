"""What every page must say when it is so: nothing is being sent, because the hub itself cannot."""

import streamlit as st

from core.delivery.heartbeat import Scheduler
from core.delivery.workers import Workers
from core.health import self_check
from core.records import source
from core.web.ui.markup import escaped


def scheduler_banner(scheduler: Scheduler) -> None:
    if not scheduler.is_silent:
        return
    body = "Nothing is sent until it runs. Start it with `hub scheduler`, or everything with `hub up`."
    st.warning(body, title=scheduler.sentence, icon=":material/timer_off:")


def trouble_banner() -> None:
    """The disk, the key ring, the database, the source: nothing that a connection could be blamed for."""
    for found in self_check.standing():
        st.error(escaped(found.sentence), title=found.title, icon=":material/error:")


def workers_line(found: Workers | None) -> None:
    """Who runs what is due, where that is not the scheduler; that nobody does stands above already."""
    if found and found.number:
        st.caption(f"{found.sentence}.")


def source_line() -> None:
    """How the FootprintIQ database is read, where there is one; what is wrong with it stands above already."""
    found = source.state()
    if found and not found.error:
        st.caption(escaped(found.sentence))
