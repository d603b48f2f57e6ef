"""Runs and deliveries as tables: human times with the exact one beside, states as coloured pills."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.deliveries.search import Found
from core.health import Run
from core.models import RunStatus, State
from core.ui.look import Color
from core.ui.words import seconds

STATUS: dict[RunStatus, tuple[str, Color]] = {
    RunStatus.SUCCESS: ("Delivered", "green"),
    RunStatus.PARTIAL: ("In part", "orange"),
    RunStatus.FAILED: ("Failed", "red"),
    RunStatus.INTERRUPTED: ("Interrupted", "gray"),
    RunStatus.RUNNING: ("Running", "blue"),
}
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


def runs_table(runs: Sequence[Run], key: str, alt: str, *, with_connection: bool = True) -> None:
    rows = pd.DataFrame([_run(run) for run in runs])
    columns = _run_columns()
    order = [name for name in columns if with_connection or name != "connection"]
    st.dataframe(
        rows, hide_index=True, column_config=columns, column_order=order, key=key, alt=alt, height="content"
    )


def logs_table(rows: Sequence[Mapping[str, Any]], key: str, alt: str) -> None:
    """Runs of one connection, as `core.deliveries.logs` gives them."""
    runs = [
        Run(
            row["id"],
            row["connection_id"],
            row["connection"],
            row["started_at"],
            row["finished_at"],
            row["status"],
            row["action"],
            row["records"],
            row["error"],
        )
        for row in rows
    ]
    runs_table(runs, key, alt, with_connection=False)


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


def _run(run: Run) -> dict[str, Any]:
    took = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return {
        "when": run.started_at,
        "at": run.started_at,
        "connection": run.name,
        "status": [STATUS[RunStatus(run.status)][0]],
        "records": run.records,
        "took": "" if took is None else seconds(took),
        "by": run.sync_type.capitalize(),
        "message": run.error or "",
    }


def _run_columns() -> dict[str, Any]:
    return {
        **_times(),
        "connection": _make.TextColumn("Connection", width=170),
        "status": _pills("Result", list(STATUS.values()), 100),
        "records": _make.NumberColumn("Records", format="localized", width=70),
        "took": _make.TextColumn("Took", width=60),
        "by": _make.TextColumn("Started by", width=85),
        "message": _make.TextColumn("Message", width=420),
    }


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
