"""Numbers and times as people say them."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from core.platform.durations import duration


def ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < 5 else f"{duration(seconds)} ago"


def capital(text: str) -> str:
    """The beginning of a sentence."""
    return text[:1].upper() + text[1:]


def compact(number: float) -> str:
    """`950`, `12.4k`, `3.1M`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + unit
    return f"{number:,.0f}"


def percent(share: float) -> str:
    """Rounded down at the top: 99.97 % must not read as everything."""
    if share < 1:
        share = min(share, 0.999)
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def span(hours: int) -> str:
    return "24 hours" if hours == 24 else f"{hours // 24} days"


def bucket(hours: int) -> str:
    return {1: "hour", 24: "day"}.get(hours, f"{hours} hours")


def exact(moment: datetime) -> str:
    return f"{moment:%d %b %Y, %H:%M:%S} UTC"


def clock(moment: datetime) -> str:
    """`28 Nov 15:04:05`, by the clock of who looks."""
    return f"{moment.astimezone(zone()):%d %b %H:%M:%S}"


def zone() -> ZoneInfo:
    """The browser's own; what it calls it need not be known here."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def within(moment: datetime, now: datetime) -> str:
    """`in 12 min`, or `now` for what is due."""
    left_s = (moment - now).total_seconds()
    return f"in {duration(left_s)}" if left_s >= 1 else "now"


def size(count: int) -> str:
    """`312 B`, `4.2 kB`."""
    return f"{count} B" if count < 1000 else f"{compact(count)}B".replace("k", " k").replace("M", " M")
