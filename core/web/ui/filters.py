"""What a page shows, chosen in its head and kept in the address, so that a view can be shared."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import streamlit as st

#: back from now, in hours
RANGES = {"24h": 24, "7d": 168, "30d": 720}
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
    """Choose one of `options` (value: its words), or None for `everything`."""
    return st.selectbox(
        label,
        list(options),
        index=None,
        format_func=lambda value: options.get(value, value),
        placeholder=everything,
        label_visibility="collapsed",
        key=key,
        bind="query-params",
        width=width,
        on_change=on_change,
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
    shown = st.segmented_control(
        label,
        list(ranges),
        default=default,
        required=True,
        label_visibility="collapsed",
        key=key,
        bind="query-params",
        on_change=on_change,
    )
    return ranges[shown or default]
