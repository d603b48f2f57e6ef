"""Deliveries as a table: human times with the exact one beside, states as coloured pills."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.delivery.history.search import Found
from core.storage.models import State
from core.web.ui.theme import Color

STATE: dict[State, tuple[str, Color]] = {
    State.PENDING: ("Pending", "blue"),
    State.SENDING: ("Sending", "blue"),
    State.RETRYING: ("Retrying", "orange"),
    State.IN_DOUBT: ("In doubt", "yellow"),
    State.DELIVERED: ("Delivered", "green"),
    State.DEAD: ("Dead", "red"),
    State.HELD: ("Held", "violet"),
    State.SKIPPED: ("Skipped", "gray"),
}
_make = st.column_config


def deliveries_table(
    rows: Sequence[Found], key: str, on_open: Callable[[], None], *, with_connection: bool = True
) -> None:
    """A row opens with its button; the place of the row is then in `st.session_state[f"{key}_open"]`."""
    frame = pd.DataFrame([_delivery(row) for row in rows])
    columns = _delivery_columns(f"{key}_open", on_open)
    order = [name for name in columns if with_connection or name != "connection"]
    st.dataframe(
        frame,
        hide_index=True,
        column_config=columns,
        column_order=order,
        key=key,
        alt=f"{len(rows)} deliveries, newest first",
        height="content",
    )


def _delivery(row: Found) -> dict[str, Any]:
    return {
        "when": row.created_at,
        "at": row.created_at,
        "state": [STATE[State(row.state)][0]],
        "record": row.title,
        "connection": row.connection,
        "attempts": row.attempts,
        "told": row.vendor_id or row.reason or "",
        "open": "Open",
    }


def _delivery_columns(open_key: str, on_open: Callable[[], None]) -> dict[str, Any]:
    return {
        "open": _make.ButtonColumn("Story", width=62, key=open_key, on_click=on_open),
        **_times(),
        "state": _pills("State", list(STATE.values()), 95),
        "record": _make.TextColumn("Record", width=280),
        "connection": _make.TextColumn("Connection", width=135),
        "attempts": _make.NumberColumn("Attempts", width=65),
        "told": _make.TextColumn(
            "Answer", width=240, help="The tool's own id of it, or why it is not there."
        ),
    }


def _times() -> dict[str, Any]:
    zone = st.context.timezone or "UTC"
    return {
        "when": _make.DatetimeColumn("When", format="distance", width=100, timezone=zone),
        "at": _make.DatetimeColumn("Time", format="D MMM HH:mm:ss", width=110, timezone=zone),
    }


def _pills(label: str, known: Sequence[tuple[str, Color]], width: int) -> Any:
    words, colors = [word for word, _ in known], [color for _, color in known]
    return _make.MultiselectColumn(label, options=words, color=colors, width=width)
