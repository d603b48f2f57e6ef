"""Deliveries as a table of plain HTML: each row is a link to its story, human times with the exact one beside.

A data grid draws its words on a canvas: it opens by mouse only, and a screen reader sees a copy of it.
"""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from urllib.parse import quote, urlencode

import streamlit as st

from core.delivery.history.search import Found
from core.storage.models import State
from core.web.ui.theme import Color, palette
from core.web.ui.words import ago, clock, exact

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
#: on a phone: what is not `wide`, and records in as many lines as they take
_STYLE = """<style>
.hub-rows {width:100%;border-collapse:collapse;font-size:0.93rem}
.hub-rows th, .hub-rows td {text-align:left;white-space:nowrap;padding:7px 14px 7px 0;border:none;
border-bottom:1px solid var(--line)}
.hub-rows th {font-weight:400;color:var(--quiet)}
.hub-rows .number {text-align:right}
.hub-rows .record {max-width:24rem;overflow:hidden;text-overflow:ellipsis}
.hub-rows td:last-child {width:100%;max-width:0;overflow:hidden;text-overflow:ellipsis}
.hub-rows tbody tr {cursor:pointer}
.hub-rows tbody tr:hover {background:var(--hover)}
.hub-rows a {color:inherit;text-decoration:none}
.hub-rows .record a {color:var(--link)}
.hub-rows a:hover {text-decoration:underline}
.hub-rows b {font-weight:600}
@media (max-width: 640px) {
.hub-rows .wide {display:none}
.hub-rows th, .hub-rows td {padding-right:10px;vertical-align:top}
.hub-rows td.record, .hub-rows td.there {white-space:normal;overflow-wrap:anywhere}
.hub-rows td.there {min-width:5.5rem}
}
</style>"""


def deliveries_table(
    rows: Sequence[Found], path: str, now: datetime, *, with_connection: bool = True
) -> None:
    """`path` is the page that shows them: the story opens over it, with the same filters."""
    colors = palette()
    heads = [("Record", "record"), *([("Connection", "")] if with_connection else []), ("State", "")]
    heads += [("When", "wide"), ("Time", "wide"), ("Attempts", "wide number"), ("Answer", "wide")]
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in heads)
    body = "".join(_row(row, path, now, with_connection) for row in rows)
    variables = (
        f"--line:{colors.grid};--quiet:{colors.muted};--hover:{colors.track};--link:{colors.named['blue']}"
    )
    told = f"{len(rows)} deliveries, newest first"
    st.html(
        f'<div style="{variables}">{_STYLE}<table class="hub-rows" aria-label="{told}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Found, path: str, now: datetime, with_connection: bool) -> str:
    word, color = STATE[State(row.state)]
    title, told = escape(row.title), escape(row.vendor_id or row.reason or "")
    there = f'<td class="there"><a href="/connection?id={quote(row.connection_id)}">{escape(row.connection)}</a></td>'
    return (
        f'<tr><td class="record" title="{title}"><a href="{escape(_story(row.id, path))}">{title}</a></td>'
        f"{there if with_connection else ''}"
        f'<td style="color:{palette().named[color]}"><b>{word}</b></td>'
        f'<td class="wide" title="{exact(row.created_at)}">{ago(row.created_at, now)}</td>'
        f'<td class="wide">{clock(row.created_at)}</td>'
        f'<td class="wide number">{row.attempts:,}</td>'
        f'<td class="wide" title="{told}">{told}</td></tr>'
    )


def _story(delivery_id: int, path: str) -> str:
    return f"{path}?{urlencode({**st.query_params.to_dict(), 'delivery': str(delivery_id)})}"
