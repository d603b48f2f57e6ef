"""Shared pieces of the pages: who looks, how things look, how numbers and times are said."""

from core.ui.guard import doing, flash, gone, guarded, show_flash
from core.ui.look import STATE_COLOR, STATE_ICON, Palette, icon, is_dark, logo, palette
from core.ui.markup import escaped, muted
from core.ui.session import require_user, sign_out_button, watching_user

__all__ = [
    "STATE_COLOR",
    "STATE_ICON",
    "Palette",
    "doing",
    "escaped",
    "flash",
    "gone",
    "guarded",
    "icon",
    "is_dark",
    "logo",
    "muted",
    "palette",
    "require_user",
    "show_flash",
    "sign_out_button",
    "watching_user",
]
