"""The line in a card: how a figure went, without axes.

A picture, as a chart of its own in each card costs the browser more than all the strips below.
"""

from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st

from core.web.ui.theme import Color, palette

WIDE, HIGH, AIR = 100, 30, 2  # of the drawing's own units; it is stretched to the card


def sparkline(series: Sequence[float | None], color: Color) -> None:
    """From the lowest to the highest, and nothing before the first value.

    The figures in the card say the same, so a reader need not see it.
    """
    ink, points = palette().named[color], _points(series)
    line = " ".join(f"{x:.4g},{y:.4g}" for x, y in points)
    start = points[0][0] if points else WIDE
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none">'
        f'<polygon points="{start:.4g},{HIGH} {line} {WIDE},{HIGH}" fill="{ink}" fill-opacity="0.09"/>'
        f'<polyline points="{line}" fill="none" stroke="{ink}" stroke-width="1.6" '
        'stroke-linejoin="round" vector-effect="non-scaling-stroke"/></svg>'
    )
    # As a picture behind an empty block: st.html takes SVG elements away.
    picture = f"background:url(&quot;data:image/svg+xml,{quote(drawing)}&quot;) 0 0/100% 100% no-repeat"
    st.html(f'<div class="hub-sparkline" aria-hidden="true" style="height:40px;{picture}"></div>')


def _points(series: Sequence[float | None]) -> list[tuple[float, float]]:
    step, room = WIDE / max(1, len(series) - 1), HIGH - 2 * AIR
    known = [(place, value) for place, value in enumerate(series) if value is not None]
    shares = _shares([value for _, value in known])
    return [
        (step * place, HIGH - AIR - room * share) for (place, _), share in zip(known, shares, strict=True)
    ]


def _shares(series: Sequence[float]) -> list[float]:
    """0 at the lowest, 1 at the highest. A figure that never changed is half-way, and nothing at all is low."""
    low, high = min(series, default=0.0), max(series, default=0.0)
    if low == high:
        return [0.5 if high else 0.0] * len(series)
    return [(value - low) / (high - low) for value in series]
