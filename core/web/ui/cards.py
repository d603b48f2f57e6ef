"""The four cards on top of a page of figures: one shape, so they are read as one row."""

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from core.connections import ConnectionView
from core.health import OBJECTIVE, Figure, Overview
from core.platform.durations import precise
from core.web.ui.sparkline import sparkline
from core.web.ui.theme import Color
from core.web.ui.words import compact, percent, span

SAME = "no change"


def cards(view: Overview) -> None:
    """Of all connections together."""
    with st.grid(4, min_column_width=210, gap="small"):
        _success(view)
        _delivered(view)
        _card(
            "Need attention",
            f"{view.attention.value or 0:.0f} of {view.connections}",
            _by_state(view),
            "now",
            view.attention.series,
            color="red" if view.needs_you else "gray",
            explained="Connections that fail, are late, or wait for a person. "
            "The line: those with failed or blocked runs.",
        )
        _delay(view)


def connection_cards(view: Overview, connection: ConnectionView) -> None:
    """Of one connection."""
    unsent = view.strips[0].facts.unsent
    failed = [float(sum(t.bad_runs for t in view.timeline if t.at == at)) for at in view.times]
    with st.grid(4, min_column_width=210, gap="small"):
        _success(view)
        _delivered(view)
        _card(
            "Waiting",
            f"{unsent.number:,}+" if unsent.more else compact(unsent.number),
            _stuck(connection),
            "now",
            failed,
            color="red" if connection.dead else "gray",
            explained="Records that it wants and the tool does not have: new, tried again, or in doubt. "
            "The line: failed and blocked runs.",
        )
        _delay(view)


def _success(view: Overview) -> None:
    _card(
        "Success rate",
        None if view.success.value is None else percent(view.success.value),
        _points(view.success),
        _before(view),
        view.success.series,
        color=_grade(view.success.value),
        explained=f"Share of runs with something to do that delivered every record. The objective is {OBJECTIVE:.0%}.",
    )


def _delivered(view: Overview) -> None:
    _card(
        "Records delivered",
        compact(view.delivered.value or 0),
        _relative(view.delivered),
        _before(view),
        view.delivered.series,
        explained="Records that a tool has confirmed.",
    )


def _delay(view: Overview) -> None:
    _card(
        "Delay, 95th percentile",
        None if view.delay_p95_s.value is None else precise(view.delay_p95_s.value),
        _slower(view.delay_p95_s),
        _before(view),
        view.delay_p95_s.series,
        explained="19 of 20 records reach the tool within this time after the hub has them.",
    )


def _before(view: Overview) -> str:
    return f"vs {span(view.hours)} before"


def _stuck(connection: ConnectionView) -> str:
    parts = [f"{connection.dead:,} refused"] if connection.dead else []
    parts += [f"{connection.in_doubt:,} in doubt"] if connection.in_doubt else []
    return ", ".join(parts) or "none refused"


def _card(
    label: str,
    value: str | None,
    delta: str | None,
    described: str,
    series: Sequence[float | None],
    *,
    color: Color = "gray",
    explained: str,
) -> None:
    is_change = delta is not None and delta[0] in "+-"
    with st.container(border=True, height="stretch", gap="xxsmall"):
        st.metric(
            label,
            value,
            delta,
            delta_color=color,
            delta_arrow="auto" if is_change else "off",
            delta_description=described if delta else None,
            help=explained,
        )
        sparkline(series, color)


def _grade(share: float | None) -> Color:
    if share is None:
        return "gray"
    return "green" if share >= OBJECTIVE else "orange" if share >= OBJECTIVE - 0.04 else "red"


def _points(figure: Figure) -> str | None:
    """The change in percentage points; None while there is nothing to compare with."""
    if figure.value is None or figure.before is None:
        return None
    change = (figure.value - figure.before) * 100
    return f"{change:+.1f} pp" if abs(change) >= 0.05 else SAME


def _relative(figure: Figure) -> str | None:
    if figure.before is None:
        return None
    if not figure.before:
        return "none before" if figure.value else SAME
    times = (figure.value or 0) / figure.before
    if times >= 10:
        return f"{times:,.0f} times as many"
    change = round((times - 1) * 100)
    return f"{change:+,d} %" if change else SAME


def _slower(figure: Figure) -> str | None:
    if figure.value is None or figure.before is None:
        return None
    change = figure.value - figure.before
    if abs(change) < 0.1 * figure.before:
        return SAME
    return ("+" if change > 0 else "-") + precise(abs(change))


def _by_state(view: Overview) -> str:
    words = Counter(strip.standing.word.lower() for strip in view.needs_you)
    told = ", ".join(f"{count} {word}" for word, count in words.items())
    return told or ("nothing runs" if view.scheduler.is_silent else "all is well")
