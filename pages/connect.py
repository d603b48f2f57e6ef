"""Connect a tool, or change a connection: fill in, test, choose, look at the first requests, save."""

import streamlit as st

from core import connections
from core.access import Principal
from core.web import ui
from core.web.ui import connect_form, entry
from core.web.ui.connect_form import Choice, Draft


def page(who: Principal) -> None:
    draft = connect_form.asked_for(who)
    if draft is None:
        choose_first()
    elif who.is_viewer:
        st.header("Connect a tool", anchor=False)
        st.text("You may look, but not connect anything. Ask an admin for the role member.")
    else:
        goal = header(draft)
        form, beside = st.columns([5, 3], gap="medium")
        with beside, st.container(border=True):
            entry.guide(draft.manifest)
        with form:
            steps(draft)
        if goal:  # only now, so that what was typed last is kept
            st.switch_page(goal)


def choose_first() -> None:
    st.header("Connect a tool", anchor=False)
    if reason := connections.why_off(st.query_params.get("entry", "")):
        st.text(reason)
    with ui.empty_state("Which tool?", "The catalog has every tool the hub can send to."):
        st.page_link("pages/catalog.py", label="Open the catalog", icon=":material/apps:")


def header(draft: Draft) -> str | None:
    """Returns the page that somebody wants to go back to."""
    icon, name = f":material/{draft.manifest.icon}:", draft.manifest.name
    back, title = "Catalog", f"Connect {name}"
    if draft.view is not None:
        doing = "New credentials for" if draft.only_secrets else "Edit"
        back, title = "Connections", f"{doing} {ui.escaped(draft.view.name)}"
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            leaves = st.button(back, type="tertiary", icon=":material/arrow_back:", key="back")
            st.space("stretch")
            connect_form.start_again(draft)
        st.header(f"{icon} {title}", anchor=False)
    return f"pages/{back.lower()}.py" if leaves else None


def steps(draft: Draft) -> None:
    with st.container(border=True):
        values = connect_form.fill_in(draft)
    with st.container(border=True):
        current = connect_form.test(draft, values)
    choice = Choice()
    if not draft.only_secrets:
        with st.container(border=True):
            choice = connect_form.choose(draft, values)
        with st.container(border=True):
            connect_form.look(draft, values, choice.options or {}, current)
    connect_form.save(draft, values, choice, current)


page(ui.require_user())
