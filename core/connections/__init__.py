"""Connections as people handle them: create, edit, test, preview, pause, delete. One transaction per verb."""

from typing import TYPE_CHECKING

from core.platform.faces import face

if TYPE_CHECKING:
    from core.connections.catalog import offer, offered, publish_catalog, why_off
    from core.connections.changes import delete, disable, edit, enable
    from core.connections.creation import check_new, create
    from core.connections.previews import (
        MatchCount,
        PreviewRequest,
        count_next,
        count_wanted,
        preview,
        preview_draft,
        stages,
        stages_draft,
        test,
        test_draft,
    )
    from core.connections.table import Board, ConnectionRow, board, count_by_slug
    from core.connections.views import ConnectionView, channels, find, left_out, list_views, name_of
else:
    __getattr__ = face(
        __name__,
        {
            "catalog": ("offer", "offered", "publish_catalog", "why_off"),
            "changes": ("delete", "disable", "edit", "enable"),
            "creation": ("check_new", "create"),
            "previews": (
                "MatchCount",
                "PreviewRequest",
                "count_next",
                "count_wanted",
                "preview",
                "preview_draft",
                "stages",
                "stages_draft",
                "test",
                "test_draft",
            ),
            "table": ("Board", "ConnectionRow", "board", "count_by_slug"),
            "views": ("ConnectionView", "channels", "find", "left_out", "list_views", "name_of"),
        },
    )

__all__ = [
    "Board",
    "ConnectionRow",
    "ConnectionView",
    "MatchCount",
    "PreviewRequest",
    "board",
    "channels",
    "check_new",
    "count_by_slug",
    "count_next",
    "count_wanted",
    "create",
    "delete",
    "disable",
    "edit",
    "enable",
    "find",
    "left_out",
    "list_views",
    "name_of",
    "offer",
    "offered",
    "preview",
    "preview_draft",
    "publish_catalog",
    "stages",
    "stages_draft",
    "test",
    "test_draft",
    "why_off",
]
