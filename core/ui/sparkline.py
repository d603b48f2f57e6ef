"""The line in a card: how a figure went, without axes.

Plain SVG: a chart of its own in each card is a third of what the page costs the browser.
"""

from collections.abc import Sequence

import streamlit as st

from core.ui.look import Color, palette

WIDE, HIGH, AIR = 100, 30, 2  # of the drawing's own units; it is stretched to the card


def sparkline(series: Sequence[float], color: Color) -> None:
    """From the lowest to the highest; the figures in the card say the same, so a reader need not see it."""
    ink = palette().named[color]
    line = " ".join(f"{x:.4g},{y:.4g}" for x, y in _points(series))
    st.html(
        f'<svg aria-hidden="true" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" '
        f'style="display:block;width:100%;height:38px"><polygon points="0,{HIGH} {line} {WIDE},{HIGH}" '
        f'fill="{ink}" fill-opacity="0.09"/><polyline points="{line}" fill="none" stroke="{ink}" '
        'stroke-width="1.6" stroke-linejoin="round" vector-effect="non-scaling-stroke"/></svg>'
    )


def _points(series: Sequence[float]) -> list[tuple[float, float]]:
    low, high = min(series), max(series)
    step, room = WIDE / max(1, len(series) - 1), HIGH - 2 * AIR
    return [
        (step * place, HIGH - AIR - room * (value - low) / ((high - low) or 1))
        for place, value in enumerate(series)
    ]
