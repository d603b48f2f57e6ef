"""What a page shows, chosen in its head and kept in the address, so that a view can be shared.

The address decides at each run, and a widget writes into it what was chosen: a link may name a value (`state=held`,
a connection's id) or the words for it. What is not there is said instead of being dropped.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from core.web.ui.markup import escaped

#: back from now, in hours
RANGES = {"24h": 24, "7d": 168, "30d": 720}
_MOST = 2**63 - 1  # a database's highest id
_UNKNOWN = "unknown_in_address"
_Value = TypeVar("_Value", bound=str)
_Range = TypeVar("_Range", int, int | None)


def select_filter(
    label: str,
    everything: str,
    options: Mapping[_Value, str],
    *,
    key: str,
    width: int,
    on_change: Callable[[], None] | None = None,
) -> _Value | None:
    """Choose one of `options` (value: its words), or None for `everything`: in the plural, like "All states"."""
    _follow_address(label, options, key, None, f"{everything[:1].lower()}{everything[1:]} are")
    return st.selectbox(
        label,
        list(options),
        index=None,
        format_func=lambda value: options.get(value, value),
        placeholder=everything,
        label_visibility="collapsed",
        key=key,
        width=width,
        on_change=partial(_into_address, key, None, on_change),
    )


def segments_filter(label: str, everything: str, options: Mapping[_Value, str], *, key: str) -> _Value | None:
    """The same, for few: all of them in view."""
    _follow_address(label, options, key, None, f"{everything[:1].lower()}{everything[1:]} are")
    return st.segmented_control(
        label,
        list(options),
        format_func=options.__getitem__,
        label_visibility="collapsed",
        key=key,
        on_change=partial(_into_address, key, None, None),
    )


def range_picker(
    label: str,
    ranges: Mapping[str, _Range],
    *,
    key: str,
    default: str,
    on_change: Callable[[], None] | None = None,
) -> _Range:
    """Choose how far back to look; returns what `ranges` has for it."""
    _follow_address("range", {name: name for name in ranges}, key, default, f"{default} is")
    shown = st.segmented_control(
        label,
        list(ranges),
        required=True,
        label_visibility="collapsed",
        key=key,
        on_change=partial(_into_address, key, default, on_change),
    )
    return ranges[shown or default]


def number_asked(key: str, noun: str, instead: str) -> int | None:
    """Read the id in the address, or None; what can be nobody's id is said."""
    given = st.query_params.get(key)
    if given is None:
        return None
    if given.isascii() and given.isdigit() and int(given[:40]) <= _MOST:
        return int(given)
    unknown(noun, given, instead)
    return None


def unknown(noun: str, given: str, instead: str) -> None:
    """Note that the address asks for something that is not there, and what is shown instead."""
    _unknown().append(f'There is no {noun} "{given[:60]}": {instead} shown.')


def say_unknown() -> None:
    """Below the head of a page: what its address asks for in vain."""
    for sentence in _unknown():
        st.warning(escaped(sentence), icon=":material/link_off:")
    st.session_state[_UNKNOWN] = []


def _unknown() -> list[str]:
    found: list[str] = st.session_state.setdefault(_UNKNOWN, [])
    return found


def _follow_address(
    noun: str, options: Mapping[Any, str], key: str, default: str | None, instead: str
) -> None:
    """Before the widget is drawn: it shows what the address says."""
    given = st.query_params.get(key)
    chosen = default if given is None else _named(given, options)
    if chosen is None and given is not None:
        unknown(noun.lower(), given, instead)
        chosen = default
    st.session_state[key] = chosen


def _named(given: str, options: Mapping[_Value, str]) -> _Value | None:
    if given in options:
        return next(value for value in options if value == given)
    return next((value for value, words in options.items() if words.lower() == given.lower()), None)


def _into_address(key: str, default: str | None, on_change: Callable[[], None] | None) -> None:
    chosen = st.session_state[key]
    if chosen in (None, default):
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = str(chosen)
    if on_change:
        on_change()
