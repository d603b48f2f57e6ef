"""Shared pieces of the pages: who looks, how things look, how numbers and times are said."""

from core.ui.look import STATE_COLOR, STATE_ICON, Palette, icon, is_dark, logo, palette
from core.ui.session import require_user, sign_out_button, watching_user

__all__ = [
    "STATE_COLOR",
    "STATE_ICON",
    "Palette",
    "icon",
    "is_dark",
    "logo",
    "palette",
    "require_user",
    "sign_out_button",
    "watching_user",
]
