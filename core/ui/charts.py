"""The health page's two charts: failures over time, and the last runs of each connection."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import altair as alt
import pandas as pd

from core.health import Overview, Strip, Trouble
from core.models import RunStatus
from core.ui.look import Palette
from core.ui.words import ago, span

LINES = 5  # connections with a colour of their own; the rest is one grey
OTHERS = "Other connections"
BLOCKS, STATE_AT, SYNC_AT, RIGHT_END = 60, 61.5, 71, 79
ROW_PX = 26


def failures(view: Overview, palette: Palette) -> Any:
    """Bars of failed runs and undeliverable records, by connection."""
    worst = _worst(view.timeline)
    shown = [*worst, OTHERS] if len({t.name for t in view.timeline if _weight(t)}) > LINES else worst
    count = alt.Axis(tickMinStep=1, format="d", tickCount=4, domain=False, ticks=False)
    return (
        alt.Chart(_trouble_frame(view, worst))
        .mark_bar(cornerRadius=1)
        .encode(
            x=_bucket_axis(view),
            y=alt.Y("problems:Q", title=None, axis=count),
            color=alt.Color("connection:N", sort=shown, scale=alt.Scale(domain=shown), legend=_legend()),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("connection:N", title="Connection"),
                alt.Tooltip("at:T", title="From", format="%d %b %H:%M"),
                alt.Tooltip("failed:Q", title="Failed runs", format=",d"),
                alt.Tooltip("dead:Q", title="Records undeliverable", format=",d"),
                alt.Tooltip("retried:Q", title="Records tried again", format=",d"),
            ],
        )
        .properties(height=250, padding={"left": 0, "right": 8, "top": 8, "bottom": 0})
        .configure_view(strokeWidth=0)
        .configure_axis(gridColor=palette.grid)
    )


def failures_alt(view: Overview) -> str:
    runs, dead = sum(t.failed_runs for t in view.timeline), sum(t.dead for t in view.timeline)
    worst = _worst(view.timeline)
    where = f", most of them in {worst[0]}" if worst else ""
    return f"{runs:,} failed runs and {dead:,} undeliverable records in the last {span(view.hours)}{where}."


def strips(view: Overview, palette: Palette) -> Any:
    """A row per connection: its last 60 runs as blocks, the newest at the right, then how it stands."""
    names = [strip.name for strip in view.strips]
    y = alt.Y("name:N", sort=names, title=None, axis=_name_axis(palette))
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, RIGHT_END], nice=False), axis=None)
    rows = alt.Chart(_row_frame(view, palette)).encode(y=y)
    state = rows.mark_text(align="left", fontWeight=600).encode(
        x=x, text="state:N", color=alt.Color("color:N", scale=None), tooltip=_row_tooltip()
    )
    sync = rows.mark_text(align="left", color=palette.muted).encode(
        x="sync_x:Q", text="sync:N", tooltip=_row_tooltip()
    )
    return (
        alt.layer(_blocks(view, palette, x, y), state, sync)
        .properties(height=ROW_PX * len(view.strips), padding={"left": 0, "right": 0, "top": 4, "bottom": 4})
        .configure_view(strokeWidth=0)
    )


def strips_alt(view: Overview) -> str:
    states = Counter(str(strip.standing.word) for strip in view.strips)
    return "Last runs by connection: " + ", ".join(f"{n} {word.lower()}" for word, n in states.items()) + "."


def _blocks(view: Overview, palette: Palette, x: Any, y: Any) -> Any:
    statuses = [str(status) for status in RunStatus]
    colors = [palette.run[status] for status in statuses]
    return (
        alt.Chart(_block_frame(view.strips))
        .mark_rect(height=15, cornerRadius=2)
        .encode(
            x=x,
            x2="x2:Q",
            y=y,
            color=alt.Color("status:N", scale=alt.Scale(domain=statuses, range=colors), legend=None),
            tooltip=[
                alt.Tooltip("name:N", title="Connection"),
                alt.Tooltip("at:T", title="Run", format="%d %b %H:%M:%S"),
                alt.Tooltip("status:N", title="Result"),
                alt.Tooltip("records:Q", title="Records", format=",d"),
            ],
        )
    )


def _weight(trouble: Trouble) -> int:
    return trouble.failed_runs + trouble.dead


def _worst(timeline: Sequence[Trouble]) -> list[str]:
    weights: Counter[str] = Counter()
    for trouble in timeline:
        weights[trouble.name] += _weight(trouble)
    return [name for name, weight in weights.most_common(LINES) if weight]


def _trouble_frame(view: Overview, worst: list[str]) -> pd.DataFrame:
    rows = [
        {
            "at": trouble.at,
            "bucket": trouble.at.isoformat(),
            "connection": trouble.name if trouble.name in worst else OTHERS,
            "rank": worst.index(trouble.name) if trouble.name in worst else LINES,
            "problems": _weight(trouble),
            "failed": trouble.failed_runs,
            "dead": trouble.dead,
            "retried": trouble.retried,
        }
        for trouble in view.timeline
        if _weight(trouble)
    ]
    return pd.DataFrame(rows)


def _bucket_axis(view: Overview) -> alt.X:
    """Every bucket has its place, whether something failed in it or not; the browser says its own time."""
    buckets = [view.since + timedelta(hours=hour) for hour in range(0, view.hours, view.bucket_h)]
    names = [at.isoformat() for at in buckets]
    is_day = view.hours == 24
    form = "%H:%M" if is_day else "%d %b"
    labelled = names[::3] if is_day else [at.isoformat() for at in buckets if at.hour == 0]
    axis = alt.Axis(
        values=labelled,
        labelExpr=f"timeFormat(toDate(datum.value), '{form}')",
        labelAngle=0,
        labelOverlap=True,
        ticks=False,
    )
    return alt.X("bucket:O", title=None, axis=axis, scale=alt.Scale(domain=names, paddingInner=0.2))


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", columns=3, labelLimit=190, symbolType="square", offset=8)


def _name_axis(palette: Palette) -> alt.Axis:
    return alt.Axis(
        labelLimit=200,
        labelColor=palette.text,
        labelFontSize=13,
        labelPadding=12,
        labelOverlap=False,
        labelFlush=False,
        ticks=False,
        domain=False,
        grid=False,
    )


def _row_tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="Connection"),
        alt.Tooltip("vendor:N", title="Tool"),
        alt.Tooltip("state:N", title="State"),
        alt.Tooltip("sentence:N", title="Why"),
    ]


def _row_frame(view: Overview, palette: Palette) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "name": strip.name,
                "vendor": strip.vendor,
                "x": STATE_AT,
                "sync_x": SYNC_AT,
                "state": str(strip.standing.word),
                "color": palette.state(strip.standing.word),
                "sentence": strip.standing.sentence,
                "sync": ago(strip.last_sync, view.at),
            }
            for strip in view.strips
        ]
    )


def _block_frame(shown: Sequence[Strip]) -> pd.DataFrame:
    rows = [
        {
            "name": strip.name,
            "x": x,
            "x2": x + 0.8,
            "status": block.status,
            "at": block.at,
            "records": block.records,
        }
        for strip in shown
        for x, block in enumerate(strip.blocks, start=BLOCKS - len(strip.blocks))
    ]
    return pd.DataFrame(rows, columns=["name", "x", "x2", "status", "at", "records"])
