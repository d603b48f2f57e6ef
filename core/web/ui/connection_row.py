"""One connection as one row: how it stands, why, when it syncs, what it sent, and what can be done."""

from datetime import datetime

import streamlit as st

from core import integrations
from core.access import Principal
from core.connections import ConnectionRow
from core.health import FAILURES, duration
from core.web.ui import actions
from core.web.ui.markup import escaped, muted
from core.web.ui.run_strip import strip
from core.web.ui.session import acting
from core.web.ui.theme import STATE_COLOR, STATE_ICON
from core.web.ui.words import ago, compact

WIDTHS = [1.35, 4.75, 1.4, 1.35, 1.15, 1.1]
_LINK_PADDING_PX = 8


def line(who: Principal, shown: ConnectionRow, now: datetime) -> None:
    with st.container(border=True, key=f"line_{shown.id}"):
        state, what, when, sent, runs, do = st.columns(WIDTHS, vertical_alignment="center")
        word = shown.standing.word
        with state:
            st.badge(word, color=STATE_COLOR[word], icon=STATE_ICON[word])
        with what, st.container(gap=None):
            _name(shown)
            with st.container(horizontal=True, gap=None, wrap=False):
                st.space(_LINK_PADDING_PX)
                st.text(shown.standing.sentence, width="stretch", wrap=True)
        with when, st.container(gap=None):
            st.text(_last(shown, now))
            muted(_next(shown, now))
        with sent, st.container(gap=None):
            st.text(f"{compact(shown.delivered_today)} in 24 h")
            muted(_left(shown))
        with runs:
            strip(shown.recent)
        with do:
            if shown.is_changeable:
                _controls(who, shown)


def _name(shown: ConnectionRow) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall"):
        name = f":blue[**{escaped(shown.name)}**]"
        st.page_link("pages/connection.py", label=name, icon="", query_params={"id": shown.id}, help="")
        owner = "" if shown.is_changeable else f" · {shown.owner}"
        muted(escaped(f"{shown.vendor}{owner}"), width="content")


def _last(shown: ConnectionRow, now: datetime) -> str:
    if shown.last_sync is None:
        return "Not yet"
    worked = not shown.recent or shown.recent[-1][1] not in FAILURES
    return f"{'Synced' if worked else 'Tried'} {ago(shown.last_sync, now)}"


def _next(shown: ConnectionRow, now: datetime) -> str:
    if not shown.is_active:
        return "Switched off"
    if shown.next_sync is None or shown.next_sync <= now:
        return "Due now"
    return f"Again in {duration((shown.next_sync - now).total_seconds())}"


def _left(shown: ConnectionRow) -> str:
    known = shown.facts
    parts = [f"{known.unsent.text} waiting"] if known.unsent else []
    parts += [f"{known.held:,} held"] if known.held else []
    parts += [f"{known.dead:,} refused"] if known.dead else []
    return ", ".join(parts) or "none waiting"


def _controls(who: Principal, shown: ConnectionRow) -> None:
    key = f"on_{shown.id}"
    st.session_state[key] = shown.is_active  # what the database says, whatever another tab did
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.toggle(
            f"{shown.name} is on",  # not drawn, but read aloud
            key=key,
            label_visibility="collapsed",
            on_change=_switch,
            args=(shown.id, not shown.is_active),
        )
        actions.menu(who, shown.id, shown.is_active, is_known=shown.slug in integrations.manifests())


@acting
def _switch(who: Principal, connection_id: str, is_on: bool) -> None:
    actions.switch(who, connection_id, is_on)
