"""The last runs of one connection as a row of small bars, light enough for 25 rows on a page."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import streamlit as st

from core.storage.models import RunStatus
from core.web.ui.theme import palette

SHOWN = 30
_HEIGHT_PX, _BAR_PX, _QUIET_PX = 22, 3, 5
_SAID = {
    RunStatus.SUCCESS: "delivered",
    RunStatus.PARTIAL: "in part",
    RunStatus.FAILED: "failed",
    RunStatus.BLOCKED: "blocked",
    RunStatus.IDLE: "with nothing to do",
    RunStatus.INTERRUPTED: "interrupted",
    RunStatus.RUNNING: "running",
}


def strip(recent: Sequence[Any]) -> None:
    """`recent`: [epoch s, status, records], oldest first. A taller bar delivered more, hovering says what."""
    shown = recent[-SHOWN:]
    most = max((records for _, _, records in shown), default=0)
    empty = _drawn(_QUIET_PX, palette().track, "") * (SHOWN - len(shown))
    bars = "".join(_bar(run, most) for run in shown)
    st.html(
        f'<div role="img" aria-label="{escape(_told(shown))}" '
        f'style="display:flex;align-items:flex-end;gap:1px;height:{_HEIGHT_PX}px">{empty}{bars}</div>'
    )


def _told(shown: Sequence[Any]) -> str:
    if not shown:
        return "No run yet"
    counts = Counter(status for _, status, _ in shown)
    parts = [f"{counts[status]} {said}" for status, said in _SAID.items() if counts[status]]
    return f"Last {len(shown)} runs: {', '.join(parts)}"


def _bar(run: Any, most: int) -> str:
    at, status, records = run
    grown = round((_HEIGHT_PX - _QUIET_PX) * records / most) if most else 0
    height = _QUIET_PX + grown if status in (RunStatus.SUCCESS, RunStatus.IDLE) else _HEIGHT_PX
    when = datetime.fromtimestamp(at, UTC)
    told = f"{when:%d %b %H:%M} UTC: {_SAID.get(status, status)}, {records:,} records"
    return _drawn(height, palette().run.get(status, palette().muted), told)


def _drawn(height: int, color: str, told: str) -> str:
    style = f"width:{_BAR_PX}px;height:{height}px;background:{color};border-radius:1px"
    return f'<span title="{escape(told)}" style="{style}"></span>'
