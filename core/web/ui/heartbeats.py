"""Heartbeat strips: a row per connection with its last runs as blocks, how it stands, and when it synced.

Plain HTML and not a chart: sixty rows of sixty blocks are thousands of marks for Vega, and here one coloured
band per row, cut into blocks by a mask. Its words are words, also for a screen reader.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from typing import Any

import streamlit as st

from core.health import Overview, Strip
from core.storage.models import RunStatus
from core.web.ui.theme import Palette, palette
from core.web.ui.words import ago

BLOCKS = 60
_COLUMNS = "minmax(80px, 200px) minmax(200px, 1fr) 96px 96px"
#: on a phone without the time of the last sync
_STYLE = f"""<style>.hub-beats {{grid-template-columns:{_COLUMNS}}}
@media (max-width: 640px) {{
.hub-beats {{grid-template-columns:minmax(60px, 1fr) 110px auto}}
.hub-beats span:last-child {{display:none}}
}}</style>"""
_CUT = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_MASK = f"linear-gradient(to right,#000 80%,transparent 80%) 0 0/calc(100%/{BLOCKS}) 100%"
_SAID = {
    RunStatus.PARTIAL: "delivered in part",
    RunStatus.FAILED: "failed",
    RunStatus.BLOCKED: "could not call the tool",
    RunStatus.INTERRUPTED: "was interrupted",
    RunStatus.RUNNING: "is running",
}


def heartbeats(view: Overview) -> None:
    colors = palette()
    rows = "".join(_row(strip, view.at, colors) for strip in view.strips)
    st.html(
        f'{_STYLE}<div role="list" class="hub-beats" style="display:grid;gap:9px 14px;'
        f'align-items:center;font-size:0.93rem">{rows}</div>'
    )


def _row(strip: Strip, now: datetime, colors: Palette) -> str:
    word, sentence, name = strip.standing.word, escape(strip.standing.sentence), escape(strip.name)
    told = _told(strip.recent)
    band = f"background:linear-gradient(to right,{','.join(_stops(strip.recent, colors))})"
    state = f"color:{colors.state(word)};font-weight:600;white-space:nowrap"
    return (
        '<div role="listitem" style="display:contents">'
        f'<a href="/connection?id={escape(strip.connection_id)}" target="_self" '
        f'title="{name}, {escape(strip.vendor)}" style="color:{colors.named["blue"]};text-decoration:none;{_CUT}">'
        f"{name}</a>"
        f'<div role="img" aria-label="{told}" title="{told}" style="height:16px;mask:{_MASK};{band}"></div>'
        f'<span title="{sentence}" style="{state}">{word}</span>'
        f'<span style="color:{colors.muted};white-space:nowrap">{ago(strip.last_sync, now)}</span>'
        "</div>"
    )


def _stops(recent: Sequence[Any], colors: Palette) -> Iterator[str]:
    """A colour from here to there, for each stretch of runs that ended alike; pale before the first run."""
    blocks = [colors.track] * (BLOCKS - len(recent))
    blocks += [colors.run.get(status, colors.muted) for _, status, _ in recent]
    place = 0
    for color, stretch in groupby(blocks):
        end = place + len(list(stretch))
        yield f"{color} {100 * place / BLOCKS:.4g}% {100 * end / BLOCKS:.4g}%"
        place = end


def _told(recent: Sequence[Any]) -> str:
    if not recent:
        return "No run yet"
    worked = [(at, status) for at, status, _ in recent if status != RunStatus.IDLE]
    bad = [(at, status) for at, status in worked if status != RunStatus.SUCCESS]
    if not worked:
        return f"The last {len(recent)} runs had nothing to do"
    told = f"{len(worked) - len(bad)} of the last {len(worked)} runs delivered everything"
    if not bad:
        return told
    at, status = bad[-1]
    return f"{told}; the last other one, {datetime.fromtimestamp(at, UTC):%d %b %H:%M} UTC, {_SAID[status]}"
