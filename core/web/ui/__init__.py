"""Shared pieces of the pages: who looks, how things look, how numbers and times are said."""

from core.web.ui.errors import doing, flash, gone, guarded, show_flash
from core.web.ui.filters import RANGES, range_picker, select_filter
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
    "gone",
    "guarded",
    "icon",
    "is_dark",
    "logo",
    "muted",
    "palette",
    "range_picker",
    "require_user",
    "select_filter",
    "show_flash",
    "sign_out_button",
    "signed_in_user",
    "watching_user",
]
