"""Shared pieces of the pages: who looks, how things look, how numbers and times are said."""

from core.web.ui.errors import doing, flash, guarded, refreshing, show_flash
from core.web.ui.filters import (
    RANGES,
    number_asked,
    range_picker,
    say_unknown,
    segments_filter,
    select_filter,
    unknown,
)
from core.web.ui.markup import escaped, muted
from core.web.ui.panels import empty_state
from core.web.ui.session import require_user, sign_out_button, signed_in_user, watching_user
from core.web.ui.theme import DARK_STYLE, STATE_COLOR, STATE_ICON, Palette, icon, is_dark, logo, palette

__all__ = [
    "DARK_STYLE",
    "RANGES",
    "STATE_COLOR",
    "STATE_ICON",
    "Palette",
    "doing",
    "empty_state",
    "escaped",
    "flash",
    "guarded",
    "icon",
    "is_dark",
    "logo",
    "muted",
    "number_asked",
    "palette",
    "range_picker",
    "refreshing",
    "require_user",
    "say_unknown",
    "segments_filter",
    "select_filter",
    "show_flash",
    "sign_out_button",
    "signed_in_user",
    "unknown",
    "watching_user",
]
