"""The charts of health: failures over time, and the good and the bad days of each connection."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import altair as alt
import pandas as pd

from core.health import DeliveryTrouble, Overview
from core.storage.models import RunStatus
from core.web.ui.theme import Palette
from core.web.ui.words import bucket, span

LINES = 5  # connections with a colour of their own; the rest is one grey
OTHERS = "Other connections"
SHORT_PX, TALL_PX, MANY = 250, 385, 4
HEAT_ROW_PX, HEAT_FRAME_PX = 22, 72  # a row; the axis and the legend below
#: share of a bucket's runs that failed → how loud it is; a run now and then fails everywhere, and stays quiet
LEVELS = ((0.5, "half or more failed"), (0.2, "20 to 50 %"), (0.05, "5 to 20 %"), (0.0, "under 5 %"))


def failures(view: Overview, palette: Palette) -> Any:
    """Bars of failed and blocked runs and undeliverable records, by connection."""
    worst = _worst(view.timeline)
    shown = [*worst, OTHERS] if len({t.name for t in view.timeline if _weight(t)}) > LINES else worst
    legend = _legend() if view.connections > 1 else None
    height = TALL_PX if len(view.needs_you) >= MANY else SHORT_PX  # beside the list of who needs somebody
    count = alt.Axis(tickMinStep=1, format="d", tickCount=4, domain=False, ticks=False)
    return (
        alt.Chart(_trouble_frame(view, worst))
        .mark_bar(cornerRadius=1)
        .encode(
            x=_bucket_axis(view),
            y=alt.Y("problems:Q", title=None, axis=count),
            color=alt.Color("connection:N", sort=shown, scale=alt.Scale(domain=shown), legend=legend),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("connection:N", title="Connection"),
                alt.Tooltip("at:T", title="From", format="%d %b %H:%M"),
                alt.Tooltip("failed:Q", title="Failed runs", format=",d"),
                alt.Tooltip("blocked:Q", title="Runs that could not call", format=",d"),
                alt.Tooltip("dead:Q", title="Records undeliverable", format=",d"),
                alt.Tooltip("retried:Q", title="Records tried again", format=",d"),
            ],
        )
        .properties(height=height, padding={"left": 0, "right": 8, "top": 8, "bottom": 0})
        .configure_view(strokeWidth=0)
        .configure_axis(gridColor=palette.grid)
    )


def failures_alt(view: Overview) -> str:
    runs, dead = sum(t.bad_runs for t in view.timeline), sum(t.dead for t in view.timeline)
    worst = _worst(view.timeline)
    where = f", most of them in {worst[0]}" if worst else ""
    return f"{runs:,} failed or blocked runs and {dead:,} undeliverable records in the last {span(view.hours)}{where}."


def heat(view: Overview, palette: Palette) -> Any:
    """A row per connection, a column per bucket; only what failed has a colour."""
    warm, hot = palette.run[RunStatus.PARTIAL], palette.run[RunStatus.FAILED]
    names = [name for _, name in reversed(LEVELS)]
    legend = alt.Legend(title=None, orient="bottom", symbolType="square", offset=6, symbolOpacity=1)
    return (
        alt.Chart(_heat_frame(view))
        .mark_rect(cornerRadius=2)
        .encode(
            x=_bucket_axis(view, padding=0.12),
            y=alt.Y("name:N", sort=[row.name for row in view.heat], title=None, axis=_name_axis(palette)),
            color=alt.Color(
                "level:N",
                scale=alt.Scale(domain=names, range=[palette.grid, _mixed(warm, palette.grid), warm, hot]),
                legend=legend,
            ),
            tooltip=[
                alt.Tooltip("name:N", title="Connection"),
                alt.Tooltip("at:T", title="From", format="%d %b %H:%M"),
                alt.Tooltip("runs:Q", title="Runs", format=",d"),
                alt.Tooltip("failed:Q", title="Not fully delivered", format=",d"),
                alt.Tooltip("share:Q", title="Share", format=".1%"),
            ],
        )
        .properties(
            height=HEAT_ROW_PX * len(view.heat) + HEAT_FRAME_PX,
            padding={"left": 0, "right": 8, "top": 4, "bottom": 0},
        )
        .configure_view(strokeWidth=0)
    )


def heat_alt(view: Overview) -> str:
    worst = next((row for row in view.heat if row.share), None)
    told = f"; worst: {worst.name} with {worst.share:.0%}" if worst else "; no run failed"
    return f"Share of runs that failed per connection and {bucket(view.bucket_h)}{told}."


def _weight(trouble: DeliveryTrouble) -> int:
    return trouble.bad_runs + trouble.dead


def _worst(timeline: Sequence[DeliveryTrouble]) -> list[str]:
    weights: Counter[str] = Counter()
    for trouble in timeline:
        weights[trouble.name] += _weight(trouble)
    return [name for name, weight in weights.most_common(LINES) if weight]


def _trouble_frame(view: Overview, worst: list[str]) -> pd.DataFrame:
    """A row per bar: what has no colour of its own is one bar, which also is much less for the browser to draw."""
    sums: dict[tuple[datetime, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for trouble in view.timeline:
        if _weight(trouble):
            rank = worst.index(trouble.name) if trouble.name in worst else LINES
            counts = (trouble.failed_runs, trouble.blocked_runs, trouble.dead, trouble.retried)
            sums[trouble.at, rank] = [*map(sum, zip(sums[trouble.at, rank], counts, strict=True))]
    rows = [
        (
            at,
            at.isoformat(),
            worst[rank] if rank < LINES else OTHERS,
            rank,
            *(failed + blocked + dead, failed, blocked, dead, retried),
        )
        for (at, rank), (failed, blocked, dead, retried) in sums.items()
    ]
    names = ["at", "bucket", "connection", "rank", "problems", "failed", "blocked", "dead", "retried"]
    return pd.DataFrame(rows, columns=names)


def _bucket_axis(view: Overview, padding: float = 0.2) -> alt.X:
    """Every bucket has its place, whether something failed in it or not; the browser says its own time."""
    times = view.times
    names = [at.isoformat() for at in times]
    is_day = view.hours == 24
    form = "%H:%M" if is_day else "%d %b"
    labelled = names[::3] if is_day else [at.isoformat() for at in times if at.hour == 0]
    axis = alt.Axis(
        values=labelled,
        labelExpr=f"timeFormat(toDate(datum.value), '{form}')",
        labelAngle=0,
        labelOverlap=True,
        ticks=False,
    )
    return alt.X("bucket:O", title=None, axis=axis, scale=alt.Scale(domain=names, paddingInner=padding))


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


def _heat_frame(view: Overview) -> pd.DataFrame:
    rows = [
        (row.name, cell.at.isoformat(), cell.at, cell.runs, cell.failed, cell.failed / cell.runs)
        for row in view.heat
        for cell in row.cells
    ]
    frame = pd.DataFrame(rows, columns=["name", "bucket", "at", "runs", "failed", "share"])
    frame["level"] = [next(name for least, name in LEVELS if share >= least) for share in frame["share"]]
    return frame


def _mixed(one: str, other: str) -> str:
    """The colour half-way between two, each as `#RRGGBB`."""
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{(first + second) // 2:02X}" for first, second in pairs)
