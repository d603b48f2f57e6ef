"""The options every connection has, as widgets: how often, which records, and from when on."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st

from core import connections
from core.access import Principal
from core.health import duration
from core.integrations import Manifest, options
from core.platform.errors import Invalid
from core.storage.models import Category, Kind
from core.web.ui import unsaved
from core.web.ui.unsaved import Unsaved

EVERY = ("1m", "5m", "15m", "1h", "6h", "1d")
NOUN = {Kind.SCAN: "scan", Kind.CASE: "case", Kind.ALERT: "alert"}
SEVERITIES = {
    "": "All severities",
    "medium": "Medium and above",
    "high": "High and above",
    "critical": "Critical only",
}
ORDERS = {options.SEVERITY: "The most severe", options.OLDEST: "The oldest"}
STARTS = {"all": "Everything", "now": "From now on", "date": "From a date"}


def plural(manifest: Manifest) -> str:
    return f"{NOUN[manifest.kind]}s"


def draw(
    who: Principal, manifest: Manifest, key: str, saved: Mapping[str, Any], entered: Unsaved
) -> dict[str, Any]:
    """The options as `options.parse` takes them. `saved` is what an edited connection has, or nothing."""
    before = options.dump(options.parse(saved, manifest.category))
    chosen = _widgets(who, manifest, key, before | entered.options)
    for name, value in chosen.items():
        unsaved.note(entered.options, name, value, before[name])
    return chosen


def _widgets(who: Principal, manifest: Manifest, key: str, start: Mapping[str, Any]) -> dict[str, Any]:
    """`start` is what they begin with."""
    left, right = st.columns(2)
    chosen: dict[str, Any] = {}
    with left:
        chosen["every"] = _interval(key, start["every"])
    with right:
        chosen["min_severity"] = _severity(key, start["min_severity"])
    if manifest.category is Category.SIEM:
        chosen["high_risk_threshold"] = st.number_input(
            "High risks, at least",
            0,
            1_000_000,
            int(start["high_risk_threshold"]),
            key=f"{key}_threshold",
            help="A scan with fewer high risks is not sent.",
        )
    chosen["start_from"] = _start(manifest, key, start["start_from"])
    if who.is_admin:
        chosen["scope"] = _scope(manifest, key, start["scope"])
    with st.expander("More options", icon=":material/tune:"):
        chosen |= _more(who, manifest, key, start)
    return chosen


def _interval(key: str, current: str) -> str:
    offered = list(EVERY) if current in EVERY else [current, *EVERY]
    return str(
        st.selectbox(
            "How often",
            offered,
            offered.index(current),
            format_func=said_interval,
            accept_new_options=True,
            key=f"{key}_every",
            help="Pick one, or write your own, like 90s, 10m or 2h: from 10 seconds to 7 days.",
        )
    )


def said_interval(value: str) -> str:
    try:
        return f"Every {duration(options.parse_interval(value))}"
    except Invalid:
        return value


def _severity(key: str, current: str | None) -> str:
    words = list(SEVERITIES)
    at = words.index(current) if current in words else 0
    said = SEVERITIES.__getitem__
    return str(st.selectbox("Which severities", words, at, format_func=said, key=f"{key}_severity"))


def _start(manifest: Manifest, key: str, current: str) -> str:
    """A date that was not changed keeps its time of day."""
    saved = None if current in STARTS else datetime.fromisoformat(current)
    default = "date" if saved else current
    with st.container(horizontal=True, vertical_alignment="bottom"):
        mode = st.segmented_control(
            f"Which {plural(manifest)} to begin with",
            list(STARTS),
            default=default,
            required=True,
            format_func=STARTS.__getitem__,
            key=f"{key}_start",
            help="By the time the hub received them.",
        )
        if mode != "date":
            return current if saved and mode == default else str(mode)
        first = saved.date() if saved else datetime.now(UTC).date()
        picked = st.date_input("Received since (UTC)", first, key=f"{key}_date", width=180)
    if saved and picked == saved.date():
        return current
    return picked.isoformat() if isinstance(picked, date) else current


def everybodys(manifest: Manifest) -> str:
    """The switch that an admin has, as its label."""
    return f"Send everybody's {plural(manifest)}, not only the owner's"


def _scope(manifest: Manifest, key: str, current: str) -> str:
    return "all" if st.toggle(everybodys(manifest), current == "all", key=f"{key}_scope") else "mine"


def _more(who: Principal, manifest: Manifest, key: str, start: Mapping[str, Any]) -> dict[str, Any]:
    nouns = plural(manifest)
    more: dict[str, Any] = {
        "batch_limit": st.number_input(
            f"New {nouns} per sync, at most",
            1,
            options.MAX_BATCH_LIMIT,
            int(start["batch_limit"]),
            key=f"{key}_limit",
        ),
        "order": st.segmented_control(
            "What goes first when more wait",
            list(ORDERS),
            default=start["order"],
            required=True,
            format_func=ORDERS.__getitem__,
            key=f"{key}_order",
            help=f"So that a critical one never waits behind many old {nouns} of less severity.",
        ),
        "drain": st.toggle(
            "Go on until nothing is left",
            bool(start["drain"]),
            key=f"{key}_drain",
            help="One sync sends batch after batch instead of one.",
        ),
        "realtime": st.toggle(
            f"Send as soon as {nouns} arrive",
            bool(start["realtime"]),
            key=f"{key}_realtime",
            help="Besides the interval.",
        ),
    }
    more["notify_via"] = _channel(who, key, start["notify_via"])
    if manifest.category is Category.COMMUNICATION:
        more["storm"] = st.text_input(
            "One digest when there are more messages than",
            start["storm"] or "",
            key=f"{key}_storm",
            placeholder=_storm(manifest),
            help="Like 20/5m: more than 20 in five minutes become one message with the list. off: never.",
        )
    if manifest.category is Category.SIEM:
        more["include_raw"] = st.toggle(
            "Put the whole scan inside the event", bool(start["include_raw"]), key=f"{key}_raw"
        )
    return more


def _channel(who: Principal, key: str, current: str | None) -> str | None:
    """Who is told when this connection fails for days; `""` takes the choice back."""
    known = dict(connections.channels(who))
    if current and current not in known:
        known[current] = "a connection that is not there any more"
    if not known:
        return current
    picked = st.selectbox(
        "When it fails for days, tell",
        list(known),
        list(known).index(current) if current else None,
        format_func=lambda id: known.get(id, id),
        placeholder="Only these pages",
        key=f"{key}_notify",
        help="A message on days 1, 3 and 5; on day 5 the connection is switched off.",
    )
    return picked or ""


def _storm(manifest: Manifest) -> str:
    return f"{manifest.storm.messages}/{manifest.storm.window_s // 60}m" if manifest.storm else "off"
