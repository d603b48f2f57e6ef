"""Rows of runs as a table: human times with the exact one beside, states as coloured pills."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.health import Run
from core.models import RunStatus
from core.ui.words import seconds

STATUS = {
    RunStatus.SUCCESS: ("Delivered", "green"),
    RunStatus.PARTIAL: ("In part", "orange"),
    RunStatus.FAILED: ("Failed", "red"),
    RunStatus.INTERRUPTED: ("Interrupted", "gray"),
    RunStatus.RUNNING: ("Running", "blue"),
}


def runs_table(runs: Sequence[Run], key: str, alt: str) -> None:
    rows = pd.DataFrame([_row(run) for run in runs])
    st.dataframe(rows, hide_index=True, column_config=_columns(), key=key, alt=alt, height="content")


def _row(run: Run) -> dict[str, Any]:
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


def _columns() -> dict[str, Any]:
    zone = st.context.timezone or "UTC"
    labels = [label for label, _ in STATUS.values()]
    colors = [color for _, color in STATUS.values()]
    make = st.column_config
    return {
        "when": make.DatetimeColumn("When", format="distance", width=110, timezone=zone),
        "at": make.DatetimeColumn("Time", format="D MMM HH:mm:ss", width=120, timezone=zone),
        "connection": make.TextColumn("Connection", width=170),
        "status": make.MultiselectColumn("Result", options=labels, color=colors, width=100),
        "records": make.NumberColumn("Records", format="localized", width=70),
        "took": make.TextColumn("Took", width=60),
        "by": make.TextColumn("Started by", width=85),
        "message": make.TextColumn("Message", width=420),
    }
