"""The hub's logo and the colour of each state, for light and dark pages."""

from dataclasses import dataclass
from typing import Literal

import streamlit as st

from core.health import Status
from core.storage.models import RunStatus

Color = Literal["red", "orange", "yellow", "green", "blue", "violet", "gray", "primary"]

#: names of the theme's colours, see .streamlit/config.toml
STATE_COLOR: dict[Status, Color] = {
    Status.NEEDS_YOU: "red",
    Status.FAILING: "red",
    Status.LATE: "orange",
    Status.CATCHING_UP: "blue",
    Status.NOT_RUN: "gray",
    Status.HEALTHY: "green",
    Status.PAUSED: "gray",
}
STATE_ICON: dict[Status, str] = {
    Status.NEEDS_YOU: ":material/person_alert:",
    Status.FAILING: ":material/error:",
    Status.LATE: ":material/schedule:",
    Status.CATCHING_UP: ":material/sync:",
    Status.NOT_RUN: ":material/hourglass_empty:",
    Status.HEALTHY: ":material/check_circle:",
    Status.PAUSED: ":material/pause_circle:",
}


@dataclass(frozen=True)
class Palette:
    """Colours inside charts, where the theme's names are not known."""

    text: str
    muted: str
    grid: str
    track: str
    named: dict[Color, str]
    run: dict[str, str]

    def state(self, word: Status) -> str:
        return self.named[STATE_COLOR[word]]


# What went well is quiet grey-green, so that what did not is seen first.
_LIGHT = Palette(
    text="#1B2430",
    muted="#5B6778",
    grid="#E8ECF2",
    track="#F1F4F8",
    named={
        "red": "#C92A2A",
        "orange": "#B45309",
        "yellow": "#8A6100",
        "green": "#2B7A4B",
        "blue": "#2563EB",
        "violet": "#6D4AC4",
        "gray": "#64748B",
    },
    run={
        RunStatus.SUCCESS: "#B7CFC3",
        RunStatus.PARTIAL: "#E0A23C",
        RunStatus.FAILED: "#D64545",
        RunStatus.BLOCKED: "#E07B5A",
        RunStatus.IDLE: "#E3E9EF",
        RunStatus.INTERRUPTED: "#98A2B3",
        RunStatus.RUNNING: "#6E9BF5",
    },
)
_DARK = Palette(
    text="#E4E9F0",
    muted="#9AA7B8",
    grid="#232D3B",
    track="#18202B",
    named={
        "red": "#F0716B",
        "orange": "#E6984A",
        "yellow": "#D9B44A",
        "green": "#58B881",
        "blue": "#7AA7FF",
        "violet": "#A78BFA",
        "gray": "#94A3B8",
    },
    run={
        RunStatus.SUCCESS: "#3E5A4C",
        RunStatus.PARTIAL: "#D79A3B",
        RunStatus.FAILED: "#E5605B",
        RunStatus.BLOCKED: "#C9694B",
        RunStatus.IDLE: "#253040",
        RunStatus.INTERRUPTED: "#66738A",
        RunStatus.RUNNING: "#5C8DF0",
    },
)

#: two tools and the line between them
MARK = (
    '<rect width="32" height="32" rx="8" fill="#2563EB"/>'
    '<path d="M9 22V10m0 6h14m0 6V10" stroke="#fff" stroke-width="2.6" stroke-linecap="round" fill="none"/>'
    '<circle cx="16" cy="16" r="3.6" fill="#fff"/><circle cx="16" cy="16" r="1.4" fill="#2563EB"/>'
)

#: Streamlit writes white on the primary colour. On a dark page that colour must be light to be read as text
#: (tabs, chosen segments), and white on it is 2.4 to 1; this is 7.4 to 1.
DARK_STYLE = """<style>
[data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primaryFormSubmit"] { color: #10161F; }
</style>"""


def is_dark() -> bool:
    return st.context.theme.type == "dark"


def palette() -> Palette:
    return _DARK if is_dark() else _LIGHT


def logo(ink: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="180" height="32" viewBox="0 0 180 32">'
        f'{MARK}<text x="42" y="22" fill="{ink}" font-size="16" font-weight="600" '
        'textLength="134" lengthAdjust="spacingAndGlyphs" '  # the same width whatever font there is
        'font-family="system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif">'
        "FootprintIQ Hub</text></svg>"
    )


def icon() -> str:
    """For the browser's tab. A Material icon's name would be fetched from Google's font server."""
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 32 32">{MARK}</svg>'
