"""Runs as a table of plain HTML: human times with the exact one beside, results as coloured words.

It is drawn with every refresh of Health; a data grid would cost the browser as much as the chart above it,
and draws its words on a canvas, where nobody can select them and a screen reader sees a copy.
"""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

import streamlit as st

from core.delivery.history.views import RunView
from core.health import RecentRun
from core.platform.durations import precise
from core.storage.models import RunStatus
from core.web.ui.theme import Color, palette
from core.web.ui.words import ago, exact, zone

STATUS: dict[str, tuple[str, Color]] = {
    RunStatus.SUCCESS: ("Delivered", "green"),
    RunStatus.PARTIAL: ("In part", "orange"),
    RunStatus.FAILED: ("Failed", "red"),
    RunStatus.BLOCKED: ("Blocked", "orange"),
    RunStatus.IDLE: ("Nothing to do", "gray"),
    RunStatus.INTERRUPTED: ("Interrupted", "gray"),
    RunStatus.RUNNING: ("Running", "blue"),
}
_STYLE = """<style>
.hub-runs {width:100%;border-collapse:collapse;font-size:0.93rem}
.hub-runs th, .hub-runs td {text-align:left;white-space:nowrap;padding:5px 14px 5px 0;border:none;
border-bottom:1px solid var(--line)}
.hub-runs th {font-weight:400;color:var(--quiet)}
.hub-runs .number {text-align:right}
.hub-runs td:last-child {width:100%;max-width:0;overflow:hidden;text-overflow:ellipsis}
.hub-runs a {color:inherit;text-decoration:none}
.hub-runs b {font-weight:600}
</style>"""


def runs_table(runs: Sequence[RecentRun], now: datetime, told: str, *, with_connection: bool = True) -> None:
    """`told` says what they are to whoever cannot see it."""
    colors, local = palette(), zone()
    heads = ["When", "Time", *(["Connection"] if with_connection else []), "Result"]
    head = "".join(f"<th>{name}</th>" for name in heads)
    head += '<th class="number">Records</th><th class="number">Took</th><th>Started by</th><th>Message</th>'
    rows = "".join(_row(run, now, local, with_connection) for run in runs)
    st.html(
        f'<div style="--line:{colors.grid};--quiet:{colors.muted};overflow-x:auto" role="region" '
        f'tabindex="0" aria-label="{escape(told)}">{_STYLE}<table class="hub-runs">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def logs_table(rows: Sequence[RunView], now: datetime, told: str) -> None:
    """Runs of one connection, as `core.delivery.history.logs` gives them."""
    runs = [
        RecentRun(
            row.id,
            row.connection_id,
            row.connection,
            row.started_at,
            row.finished_at,
            row.status,
            row.action,
            row.records,
            row.error,
        )
        for row in rows
    ]
    runs_table(runs, now, told, with_connection=False)


def _row(run: RecentRun, now: datetime, zone: ZoneInfo, with_connection: bool) -> str:
    word, color = STATUS[run.status]
    took = "" if run.finished_at is None else precise((run.finished_at - run.started_at).total_seconds())
    error, name = escape(run.error or ""), escape(run.name)
    link = f'<td><a href="/connection?id={escape(run.connection_id)}" target="_self">{name}</a></td>'
    return (
        f'<tr><td title="{exact(run.started_at)}">{ago(run.started_at, now)}</td>'
        f"<td>{run.started_at.astimezone(zone):%d %b %H:%M:%S}</td>{link if with_connection else ''}"
        f'<td style="color:{palette().named[color]}"><b>{word}</b></td>'
        f'<td class="number">{run.records:,}</td><td class="number">{took}</td>'
        f'<td>{escape(run.sync_type.capitalize())}</td><td title="{error}">{error}</td></tr>'
    )
