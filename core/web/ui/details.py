"""One connection in words: where it sends, what it takes and when, what it does next."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from core import integrations
from core.connections import ConnectionView
from core.delivery.backlog import Backlog
from core.delivery.history.search import Found
from core.delivery.retry import Policy
from core.health import duration
from core.storage.models import Category, State
from core.web.ui.entry import CATEGORY
from core.web.ui.markup import escaped
from core.web.ui.tables import STATE
from core.web.ui.words import capital, exact, within

_WAIT = {
    "throttled": "The tool asked to slow down: the next call is made {when}.",
    "backoff": "Calls failed: the next one is made {when}.",
    "misconfigured": "The tool refuses these settings: it is asked again {when}.",
}
_LABEL = {
    "every": "Sync every",
    "batch_limit": "New records per sync",
    "order": "What goes first",
    "min_severity": "From severity",
    "high_risk_threshold": "High-risk findings from",
    "start_from": "Records received from",
    "scope": "Whose records",
    "realtime": "At once, without waiting for the interval",
    "drain": "Repeat until nothing is left",
    "include_raw": "With the whole record",
    "notify_via": "Who tells when it fails",
    "storm": "One digest when there are more than",
    "retry": "Own retry schedule",
    "mapping": "Own mapping",
}


def category(view: ConnectionView) -> str:
    return CATEGORY[Category(view.category)][0]


def config(view: ConnectionView) -> None:
    """Each field under its title; a secret is a mask."""
    fields = integrations.get(view.slug).config["properties"]
    facts({field.get("title", name): view.config.get(name) for name, field in fields.items()})


def options(view: ConnectionView, told_via: str | None) -> None:
    """`told_via`: the name of the connection that tells when this one fails."""
    chosen = view.options | {"notify_via": told_via}
    facts({label: chosen.get(name) for name, label in _LABEL.items()})
    st.caption(plan(Policy.of(view.options.get("retry", {}))))


def facts(known: Mapping[str, Any]) -> None:
    """Label and value; what is not set is left out."""
    for label, value in known.items():
        if value not in (None, "", {}, []):
            with st.container(horizontal=True, gap="small"):
                st.caption(escaped(label), width=220)
                st.text(_said(value), width="stretch")


def next_steps(view: ConnectionView, upcoming: Sequence[Found], now: datetime, backlog: Backlog) -> None:
    """The next sync, what it waits for, and the deliveries that are tried next."""
    if not view.is_active:
        st.text("It is switched off: nothing comes until somebody switches it on.")
    elif view.running:
        st.text("A sync is running.")
    elif view.next_sync:
        st.text(f"The next sync is due {within(view.next_sync, now)}.", help=exact(view.next_sync))
    if view.is_active and view.next_call_at and view.next_call_at > now and view.wait_reason in _WAIT:
        st.text(_WAIT[view.wait_reason].format(when=within(view.next_call_at, now)))
    if upcoming:
        st.caption(f"The first of {view.waiting:,} that wait")
    for each in upcoming:
        with st.container(gap=None):
            st.text(each.title, wrap=False)
            due = f" · {within(each.next_attempt_at, now)}" if each.next_attempt_at else ""
            st.caption(f"{STATE[State(each.state)][0]}{due}")
    if view.held:
        st.caption(f"{view.held:,} wait for your word.")
    elif backlog:
        st.caption(f"{capital(backlog.text)} it wants are not in its queue yet: each sync takes some.")
    elif not upcoming:
        st.caption("Nothing waits: every record it wants has been sent or is decided.")
    st.caption(plan(Policy.of(view.options.get("retry", {}))))


def plan(policy: Policy) -> str:
    """How often a record that did not arrive is tried, and how long in all."""
    waits = policy.waits_s[1 : policy.attempts]
    if not waits:
        return "A record that does not arrive is not tried again."
    first = ", ".join(duration(wait) for wait in waits[:4])
    more = " …" if len(waits) > 4 else ""
    total_s = min(sum(waits), policy.give_up_after_s or sum(waits))
    return (
        f"A record that does not arrive is tried again after {first}{more}: "
        f"{len(waits)} times within {duration(total_s)}."
    )


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
