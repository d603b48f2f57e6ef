"""One delivery from the beginning: what was asked, what was answered, what comes next, and once more."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from core import connections, integrations
from core.access import Principal
from core.delivery import history
from core.delivery.history import search
from core.delivery.history.held import lost
from core.delivery.history.states import StateFacts, sentence
from core.delivery.history.views import AttemptView, DeliveryDetails
from core.integrations.in_doubt import WHEN_SENT_AGAIN
from core.platform.durations import precise
from core.platform.errors import NotFound
from core.storage.models import AttemptOutcome, HubMessageKind, Kind, State
from core.web.ui.errors import doing, flash, guarded
from core.web.ui.markup import escaped
from core.web.ui.requests import pretty
from core.web.ui.session import acting
from core.web.ui.tables import STATE
from core.web.ui.words import ago, exact, size, within

_MOST_LINES, _MOST_PX = 14, 300
_MOST_MOMENTS = 6
_PARAMETER = "delivery"


def close() -> None:
    st.query_params.pop(_PARAMETER, None)


@st.dialog("Delivery", width=820, position="right", icon=":material/outbox:", on_dismiss=close)
@guarded()
@acting
def show(who: Principal, delivery_id: int) -> None:
    """A drawer over the list."""
    found, title = history.one(who, delivery_id), search.title(who, delivery_id)
    now = datetime.now(UTC)
    _heading(found, title, now)
    _plan(found.next_attempts, now)
    _replay(who, found)
    _decide(who, found)
    _together(found)
    _attempts(found.attempts, now)
    if found.payload:
        with st.expander("The record as it is sent", icon=":material/data_object:"):
            _code(pretty(found.payload), "json")


def _heading(found: DeliveryDetails, title: str, now: datetime) -> None:
    word, color = STATE[State(found.state)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(word, color=color)
        if State(found.state) is State.DELIVERED and found.reason:
            st.badge("Maybe twice", color="yellow")
        st.text(title, width="stretch")
    st.text(sentence(_standing(found, now)), wrap=True)
    with st.container(horizontal=True, gap="medium"):
        st.page_link(
            "pages/connection.py",
            label=escaped(found.connection),
            icon=":material/cable:",
            query_params={"id": found.connection_id},
        )
        if found.ticket_url:
            st.link_button(
                escaped(found.vendor_id or "The ticket"),
                found.ticket_url,
                icon=":material/open_in_new:",
            )
    record = f"{found.kind.capitalize()} {found.record_id or found.key}"
    queued = f"Queued {ago(found.created_at, now)}, {exact(found.created_at)}"
    st.caption(escaped(f"{record}. {queued}."))


def _standing(found: DeliveryDetails, now: datetime) -> StateFacts:
    return StateFacts(
        State(found.state),
        found.reason or "",
        vendor_id=found.vendor_id,
        delivered=ago(found.delivered_at, now) if found.delivered_at else "",
        due=within(found.next_attempt_at, now) if found.next_attempt_at else None,
        digest="in a digest" if found.digest_id is not None else "",
        holding=found.holding,
    )


def _plan(moments: Sequence[datetime], now: datetime) -> None:
    """The attempts that are left, each if the one before it fails."""
    if not moments:
        return
    first = ", ".join(within(moment, now) for moment in moments[:_MOST_MOMENTS])
    more = " …" if len(moments) > _MOST_MOMENTS else ""
    left = "the last attempt" if len(moments) == 1 else f"{len(moments)} attempts are left, about"
    last = f". Given up after {exact(moments[-1])}" if len(moments) > 1 else ""
    st.caption(f"{left[:1].upper()}{left[1:]} {first}{more}{last}.")


def _replay(who: Principal, found: DeliveryDetails) -> None:
    """What it will do first; then the button."""
    state, is_ticket = State(found.state), found.kind == Kind.CASE
    if found.kind == HubMessageKind.DIGEST:
        return
    if who.is_viewer or state not in (State.DEAD, State.SKIPPED, State.DELIVERED):
        return
    if state is State.DELIVERED and is_ticket:
        return
    slug = _slug(who, found.connection_id)
    if slug is None:
        st.caption("Its connection was deleted: connect the tool again to send the record again.")
        return
    with st.container(border=True, gap="small"):
        again = state is State.DELIVERED
        st.text(_what_it_does(found, slug, again=again), wrap=True)
        label = "Send it again" if again else "Replay"
        if st.button(label, icon=":material/replay:", key="replay", type="secondary" if again else "primary"):
            with doing():
                flash(history.replay_one(who, found.id, again=again))
            st.rerun()


def _decide(who: Principal, found: DeliveryDetails) -> None:
    """One of those that are held; all of them are decided on the connection's page. A discard is asked twice."""
    if found.state != State.HELD or who.is_viewer:
        return
    asked = f"discarding_{found.id}"
    is_sure = st.session_state.get(asked, False)
    if is_sure:
        st.text(lost(1, connections.find(who, found.connection_id).vendor), wrap=True)
    with st.container(horizontal=True, gap="small"):
        release = st.button("Send it", type="primary", key="release_one", icon=":material/send:")
        if is_sure:
            discard = st.button("Discard it", key="really_discard_one")
        else:
            discard = False
            st.button("Discard", key="discard_one", on_click=st.session_state.update, args=({asked: True},))
    if release or discard:
        verb, done = (history.release, "sent") if release else (history.discard, "discarded")
        with doing(f"It is {done}."):
            verb(who, found.connection_id, found.id)
        st.rerun()


def _together(found: DeliveryDetails) -> None:
    """From a record to its digest, and from a digest to its records."""
    if found.kind == HubMessageKind.DIGEST:
        st.page_link(
            "pages/deliveries.py",
            label="The records in it",
            icon=":material/list:",
            query_params={"record": found.key},
        )
    elif found.digest_id is not None:
        st.page_link(
            "pages/deliveries.py",
            label="It is in a digest",
            icon=":material/inventory_2:",
            query_params={_PARAMETER: str(found.digest_id)},
        )


def _what_it_does(found: DeliveryDetails, slug: str, *, again: bool) -> str:
    first = (
        f"The tool has this record already, since {exact(found.delivered_at)}. "
        if again and found.delivered_at
        else ""
    )
    queued = f"Replay puts it back in the queue under the same key, {found.key}, its attempts counted again."
    return f"{first}{queued} {WHEN_SENT_AGAIN[integrations.get(slug).in_doubt]}"


def _slug(who: Principal, connection_id: str) -> str | None:
    try:
        return connections.find(who, connection_id).slug
    except NotFound:
        return None


def _attempts(attempts: Sequence[AttemptView], now: datetime) -> None:
    st.markdown("**Attempts**")
    if not attempts:
        st.caption("None yet: no request has been made for it.")
    for number, attempt in enumerate(attempts, 1):
        with st.container(border=True, gap="small"):
            st.markdown(f"**Attempt {number}** · {_outcome(attempt)} · {ago(attempt.started_at, now)}")
            st.caption(f"{exact(attempt.started_at)}, {_company(attempt.items)}.")
            for exchange in attempt.exchanges:
                _exchange(exchange, is_last=number == len(attempts))
            if not attempt.exchanges:
                st.caption("No request was kept.")


def _outcome(attempt: AttemptView) -> str:
    return {
        AttemptOutcome.OPEN: "is being made",
        AttemptOutcome.CLOSED: "ended",
        AttemptOutcome.UNKNOWN: "its end is unknown: the worker stopped",
    }[AttemptOutcome(attempt.outcome)]


def _company(items: int) -> str:
    return "with this record alone" if items == 1 else f"with {items:,} records in its calls"


def _exchange(exchange: Mapping[str, Any], *, is_last: bool) -> None:
    status = exchange["status"]
    answered = f"answered {status}" if status else "did not answer"
    where = escaped(f"{exchange['method']} {exchange['host']}")
    traffic = f"{precise(exchange['ms'] / 1000)}, {size(exchange['bytes_out'])} out"
    is_bad = status is None or status >= 400
    icon = ":material/error:" if is_bad else ":material/check_circle:"
    with st.expander(f"{where} {answered} · {traffic}", icon=icon, expanded=is_bad and is_last):
        st.caption("Request")
        _code(pretty(exchange["request"]) or "(empty)", "json")
        st.caption("Answer")
        _code(pretty(exchange["answer"]) or "(empty)", "json")


def _code(text: str, language: str) -> None:
    height: Any = _MOST_PX if text.count("\n") > _MOST_LINES else "content"
    st.code(text, language=language, wrap_lines=True, height=height)
